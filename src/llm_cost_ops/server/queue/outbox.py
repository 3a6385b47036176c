"""Publish events in the transaction of the data that they tell of."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import insert

from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.queue.tables import outbox


class Event(NamedTuple):
    """What happened in an organization."""

    organization_id: str
    topic: str
    payload: Mapping[str, object]


def publish(session: WriteSession, events: Iterable[Event], *, now_us: int) -> None:
    """Append events in one statement; they exist if and only if the transaction commits."""
    rows = [
        {
            "id": single_id("evt", now_us // 1_000, secrets.randbits(80)),
            "organization_id": event.organization_id,
            "topic": event.topic,
            "payload": dumps(event.payload),
            "created_at": now_us,
        }
        for event in events
    ]
    if rows:
        session.execute(insert(outbox), rows)
