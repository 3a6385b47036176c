"""Events: published in the transaction of the data that they tell of, relayed to jobs.

The relay looks for events that are not marked as delivered, not for ids beyond the last one seen:
transactions commit in another order than that in which their ids were made, and an event that came
late would never be seen. One relay runs at a time; it makes the jobs and marks the events in one
transaction, so each event reaches each subscription exactly once.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import insert, select, update

from llm_cost_ops.core.ids import batch_ids, batch_stem
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.queue.enqueue import NewJob, enqueue_all
from llm_cost_ops.server.queue.locks import RELAY, try_lock
from llm_cost_ops.server.queue.tables import outbox
from llm_cost_ops.server.queue.work import Subscription

RELAY_LIMIT = 500
EVENTS_A_JOB = 100
_ENTROPY_BITS = 60
_ROW = outbox.c


class Event(NamedTuple):
    """What happened in an organization."""

    organization_id: str
    topic: str
    payload: Mapping[str, object]


def publish(session: WriteSession, events: Iterable[Event], *, now_us: int) -> None:
    """Append events in one statement; they exist if and only if the transaction commits.

    They are delivered in this order, and after those that were published in earlier milliseconds
    and committed when the relay looked.
    """
    new = list(events)
    if not new:
        return
    stem = batch_stem("evt", now_us // 1_000, secrets.randbits(_ENTROPY_BITS))
    rows = [
        {
            "id": event_id,
            "organization_id": event.organization_id,
            "topic": event.topic,
            "payload": dumps(event.payload),
            "created_at": now_us,
        }
        for event_id, event in zip(batch_ids(stem, len(new)), new, strict=True)
    ]
    session.execute(insert(outbox), rows)


def relay(session: WriteSession, subscriptions: Sequence[Subscription], *, now_us: int) -> int:
    """Make jobs of the oldest events and mark these as delivered; how many there were, at most
    RELAY_LIMIT. Nothing while another worker relays."""
    if not try_lock(session, RELAY):
        return 0
    rows = session.execute(
        select(_ROW.id, _ROW.organization_id, _ROW.topic, _ROW.payload, _ROW.created_at)
        .where(_ROW.delivered_at.is_(None))
        .order_by(_ROW.id)
        .limit(RELAY_LIMIT)
    ).all()
    if not rows:
        return 0
    enqueue_all(session, _jobs(session, rows, subscriptions), now_us=now_us)
    session.execute(
        update(outbox).where(_ROW.id.in_([row.id for row in rows])).values(delivered_at=now_us)
    )
    return len(rows)


def _jobs(
    session: WriteSession, rows: Sequence[Any], subscriptions: Sequence[Subscription]
) -> list[NewJob]:
    """One job for some events of one organization and subscription, in a lane of these two."""
    topics = frozenset[str]().union(*(each.topics for each in subscriptions))
    events: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        if row.topic in topics:
            events.setdefault(row.organization_id, []).append(
                {
                    "id": row.id,
                    "topic": row.topic,
                    "created_at": int(row.created_at),
                    "payload": loads(row.payload),
                }
            )
    asking = {
        each.name: set(each.wanted(session, sorted(events)))
        for each in subscriptions
        if each.wanted is not None and events
    }
    made: list[NewJob] = []
    for organization_id, told in events.items():
        for each in subscriptions:
            if organization_id not in asking.get(each.name, events):
                continue
            wanted = [event for event in told if event["topic"] in each.topics]
            for first in range(0, len(wanted), EVENTS_A_JOB):
                payload = {"events": wanted[first : first + EVENTS_A_JOB]}
                lane = f"{each.name}/{organization_id}"
                made.append(NewJob(each.kind, payload, organization_id, lane=lane))
    return made
