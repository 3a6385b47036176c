"""Send again what was sent, or could not be: one delivery, those of a range, or a test event."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import ColumnElement, or_

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.instant import format_micros, parse_instant, to_micros
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read, write_retrying
from llm_cost_ops.server.queue.enqueue import NewJob, enqueue
from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.work import Kind
from llm_cost_ops.server.webhooks import attempt, store
from llm_cost_ops.server.webhooks.catalogue import EVENTS, PING, canonical
from llm_cost_ops.server.webhooks.define import (
    WebhookConflict,
    WebhookError,
    WebhookUnknown,
    found,
)
from llm_cost_ops.server.webhooks.pump import Means, sent
from llm_cost_ops.server.webhooks.tables import webhook_deliveries
from llm_cost_ops.server.webhooks.wake import pump_now

REPLAYED = (store.FAILED, store.SKIPPED)
FIELDS = ("start", "end", "status", "events")
AT_ONCE = 2_000
"""Deliveries that are begun again in one transaction; a job goes on with the others."""
REPLAY = Kind("webhooks.replay", max_attempts=20, retry=exponential(first_s=1.0, most_s=300.0))
_DEL = webhook_deliveries.c


def one(session: ReadSession, organization_id: str, endpoint_id: str, delivery_id: str) -> Any:
    """A delivery of an endpoint. Raises WebhookUnknown."""
    found(session, organization_id, endpoint_id)
    row = store.delivery(session, organization_id, endpoint_id, delivery_id)
    if row is None:
        raise WebhookUnknown("Delivery not found")
    return row


def redeliver(
    session: WriteSession, endpoint_id: str, delivery_id: str, actor: Actor
) -> dict[str, Any]:
    """Attempt a delivery from now on as if it were new, with the same ids. Raises WebhookUnknown,
    WebhookConflict."""
    _enabled(session, endpoint_id, actor)
    organization_id, now_us = actor.organization_id, actor.now_us
    if one(session, organization_id, endpoint_id, delivery_id)["data"] is None:
        raise WebhookConflict("The event of this delivery is not kept any more.")
    mine = [_DEL.id == delivery_id]
    store.begin_again(session, organization_id, endpoint_id, mine, now_us, 1)
    pump_now(session, organization_id, [endpoint_id], now_us=now_us)
    facts = {"delivery_id": delivery_id}
    actor.record(session, "webhooks.redeliver", "webhook", endpoint_id, None, facts)
    after: dict[str, Any] = one(session, organization_id, endpoint_id, delivery_id)
    return after


def replay(
    session: WriteSession, endpoint_id: str, fields: Mapping[str, object], actor: Actor
) -> int:
    """Attempt again the deliveries whose events happened from `start` up to before `end`: those
    that failed or were left out while the endpoint was disabled, or the ones of `status`. How many
    there are; of more than AT_ONCE the rest is begun by a job. Test events are no events. Raises
    WebhookUnknown, WebhookConflict, WebhookError."""
    chosen = _chosen(fields, actor.now_us)
    _enabled(session, endpoint_id, actor)
    organization_id, now_us = actor.organization_id, actor.now_us
    conditions = _conditions(chosen)
    count = store.count_deliveries(session, organization_id, endpoint_id, conditions)
    if count:
        begun = store.begin_again(
            session, organization_id, endpoint_id, conditions, now_us, AT_ONCE
        )
        pump_now(session, organization_id, [endpoint_id], now_us=now_us)
        if begun and len(begun) < count:
            rest = {"endpoint_id": endpoint_id, **chosen, "after": begun[-1]}
            enqueue(session, NewJob(REPLAY, rest, organization_id), now_us=now_us)
    said = {name: fields[name] for name in FIELDS if fields.get(name) is not None}
    facts = {"deliveries": count, **said}
    actor.record(session, "webhooks.replay", "webhook", endpoint_id, None, facts)
    return count


def go_on(
    session: WriteSession, organization_id: str, chosen: Mapping[str, Any], after: str, now_us: int
) -> str | None:
    """Begin the next AT_ONCE deliveries of a replay, those after an id; the last one's. None when
    there are no more, or the endpoint was removed or disabled meanwhile."""
    endpoint_id = str(chosen["endpoint_id"])
    row = store.locked(session, organization_id, endpoint_id)
    if row is None or not row["enabled"]:
        return None
    further = [*_conditions(chosen), _DEL.id > after]
    begun = store.begin_again(session, organization_id, endpoint_id, further, now_us, AT_ONCE)
    if not begun:
        return None
    pump_now(session, organization_id, [endpoint_id], now_us=now_us)
    return begun[-1]


def _chosen(fields: Mapping[str, object], now_us: int) -> dict[str, Any]:
    """What to send again, as a job can keep it. Raises WebhookError."""
    for name in fields:
        if name not in FIELDS:
            raise WebhookError("is not a known field", field=name)
    start_us, end_us = _micros(fields, "start", 0), _micros(fields, "end", now_us + 1)
    if start_us >= end_us:
        raise WebhookError("must be after start", field="end")
    return {
        "start": start_us,
        "end": end_us,
        "statuses": list(_statuses(fields.get("status"))),
        "topics": _topics(fields.get("events")),
        "asked_at": now_us,
    }


def _conditions(chosen: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """A delivery that has ended since it was asked for has been sent again already."""
    topics = chosen["topics"]
    return [
        _DEL.event_at >= int(chosen["start"]),
        _DEL.event_at < int(chosen["end"]),
        _DEL.status.in_(chosen["statuses"]),
        or_(_DEL.finished_at.is_(None), _DEL.finished_at <= int(chosen["asked_at"])),
        _DEL.topic != PING if topics is None else _DEL.topic.in_(topics),
    ]


def _enabled(session: WriteSession, endpoint_id: str, actor: Actor) -> None:
    row = store.locked(session, actor.organization_id, endpoint_id)
    if row is None:
        raise WebhookUnknown("Webhook not found")
    if not row["enabled"]:
        raise WebhookConflict("The webhook is disabled: enable it first.")


def _micros(fields: Mapping[str, object], name: str, default: int) -> int:
    value = fields.get(name)
    if value is None:
        if name == "start":
            raise WebhookError("is required", field=name)
        return default
    if not isinstance(value, str):
        raise WebhookError("must be an instant such as 2026-01-31T12:00:00Z", field=name)
    try:
        return to_micros(parse_instant(value))
    except DomainError as error:
        raise WebhookError(error.message, field=name) from None


def _statuses(value: object) -> tuple[str, ...]:
    if value is None:
        return REPLAYED
    if value == "all":
        return (store.DELIVERED, *REPLAYED)
    if not isinstance(value, str) or value not in (store.DELIVERED, *REPLAYED):
        raise WebhookError("must be delivered, failed, skipped or all", field="status")
    return (value,)


def _topics(value: object) -> list[str] | None:
    if value is None:
        return None
    names = cast("list[object]", value) if isinstance(value, list) else []
    meant = [canonical(name) for name in names if isinstance(name, str)]
    topics = [name for name in meant if name is not None and name in EVENTS]
    if not topics or len(topics) != len(names):
        raise WebhookError("must be a list of events", field="events")
    return topics


def ping(means: Means, endpoint_id: str, actor: Actor) -> tuple[store.Row, list[store.Row]]:
    """Send a test event now, also to a disabled endpoint, and wait for the answer: the delivery
    and its attempts. It is not repeated and no mark against the endpoint. Raises WebhookUnknown."""
    organization_id, now_us = actor.organization_id, actor.now_us
    with read(means.database) as session:
        endpoint = found(session, organization_id, endpoint_id)
    event_id = single_id("evt", now_us // 1_000, secrets.randbits(80))
    delivery_id = single_id("whd", now_us // 1_000, secrets.randbits(80))
    delivery = {
        "id": delivery_id,
        "organization_id": organization_id,
        "endpoint_id": endpoint_id,
        "event_id": event_id,
        "topic": PING,
        "event_type": PING,
        "status": store.FAILED,
        "event_at": now_us,
        "next_attempt_at": None,
        "created_at": now_us,
    }
    data = dumps({"webhook_id": endpoint_id, "sent_at": format_micros(now_us)})
    attempted = {**delivery, "attempts": 0, "step": 0, "data": data, "occurred_at": now_us}
    call = sent(means, endpoint, attempted, now_us)
    event = {"id": event_id, "topic": PING, "data": data, "created_at": now_us}

    def keep(session: WriteSession) -> None:
        store.add_events(session, [{**event, "organization_id": organization_id}])
        store.add_deliveries(session, [delivery])
        attempt.keep(
            session,
            endpoint_id,
            attempted,
            call,
            began_us=now_us,
            now_us=means.clock.micros(),
            random=means.random,
            retrying=False,
        )

    write_retrying(means.database, keep)
    with read(means.database) as session:
        row = one(session, organization_id, endpoint_id, delivery_id)
        return row, store.attempts(session, organization_id, delivery_id)
