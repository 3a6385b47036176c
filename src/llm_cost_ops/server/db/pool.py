"""`ClosingPool`: the pool of every engine, whose connections do not outlive `dispose`."""

from __future__ import annotations

import logging

from sqlalchemy import QueuePool
from sqlalchemy.pool import ConnectionPoolEntry

# SQLAlchemy names the log of a pool after its class, and is silent about its own below this.
logging.getLogger(__name__).setLevel(logging.WARNING)


class ClosingPool(QueuePool):
    """A connection that was in use during `dispose`, or was being made, is closed when it comes
    back. In a QueuePool it would lie open, in a pool that nobody asks again."""

    _is_over = False

    def dispose(self) -> None:
        """Close what is idle now, and from now on all that comes back."""
        self._is_over = True
        super().dispose()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        super()._do_return_conn(record)
        if self._is_over:  # asked last: what came before is what `dispose` has found
            super().dispose()
