"""Statements that took long are logged, without their values: those may be anybody's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, event

_log = logging.getLogger("llm_cost_ops.db")
_STARTED = "llm_cost_ops.started"


def log_slow_statements(engine: Engine, threshold_ms: int, monotonic: Callable[[], float]) -> None:
    """Warn about statements of `threshold_ms` or more; 0 turns it off."""
    if threshold_ms == 0:
        return

    def before(connection: Connection, *_: Any) -> None:
        connection.info[_STARTED] = monotonic()

    def after(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        elapsed_ms = (monotonic() - connection.info[_STARTED]) * 1000
        if elapsed_ms >= threshold_ms:
            _log.warning(
                "slow statement", extra={"elapsed_ms": round(elapsed_ms), "statement": statement}
            )

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
