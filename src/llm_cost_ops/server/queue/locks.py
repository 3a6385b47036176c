"""What only one process may do at a time: a row that is locked until the transaction ends."""

from __future__ import annotations

from sqlalchemy import select

from llm_cost_ops.server.db.dialects import lock_rows
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.queue.tables import queue_locks

LANES = "lanes"
RELAY = "relay"


def try_lock(session: WriteSession, name: str) -> bool:
    """Whether the lock was free; it is ours until the transaction ends. Never waits.

    A SQLite transaction that writes is alone anyway. The rows come with the schema.
    """
    if session.kind is DatabaseKind.SQLITE:
        return True
    row = select(queue_locks.c.name).where(queue_locks.c.name == name)
    return session.execute(lock_rows(row, skip_locked=True)).first() is not None
