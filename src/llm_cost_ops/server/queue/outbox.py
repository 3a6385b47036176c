"""Publish an event in the transaction of the data that it tells of."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from sqlalchemy import insert

from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.queue.tables import outbox


def publish(
    session: WriteSession,
    organization_id: str,
    topic: str,
    payload: Mapping[str, object],
    *,
    now_us: int,
) -> None:
    """Append an event; it exists if and only if the transaction commits."""
    session.execute(
        insert(outbox).values(
            id=single_id("evt", now_us // 1_000, secrets.randbits(80)),
            organization_id=organization_id,
            topic=topic,
            payload=dumps(payload),
            created_at=now_us,
        )
    )
