"""Webhooks over HTTP: endpoints, their secrets, what was delivered to them, sending again."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import islice
from typing import cast

from fastapi import APIRouter, Depends, Request
from sqlalchemy import ColumnElement
from starlette.responses import Response

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.access.change import KEYED, Raw, actor_of, change
from llm_cost_ops.server.access.deps import own_fields, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.delivery.trials import TRIALS
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.pagination import (
    PARAMETERS,
    counted_page,
    encode_cursor,
    page_answer,
    page_request,
    paging_parameters,
    rows_before,
)
from llm_cost_ops.server.http.problems import invalid
from llm_cost_ops.server.http.routing import refuse_unknown
from llm_cost_ops.server.ledger.routes import Body
from llm_cost_ops.server.webhooks import define, openapi, replay, store, wire
from llm_cost_ops.server.webhooks.catalogue import EVENTS, PING, canonical
from llm_cost_ops.server.webhooks.pump import Means
from llm_cost_ops.server.webhooks.tables import webhook_deliveries

Reader = Depends(require("read:webhooks"))
Writer = Depends(require("write:webhooks"))
_DEL = webhook_deliveries.c
_SECRETS = ("secret", "signing_secret")

router = APIRouter(prefix="/api/v1/webhooks", tags=["webhooks"])


def means_of(request: Request) -> Means:
    """What the app delivers with."""
    means: Means = request.app.state.webhooks
    return means


@router.post(
    "",
    status_code=201,
    operation_id="createWebhook",
    openapi_extra={**KEYED, **openapi.NEW_WEBHOOK},
    responses=openapi.MADE,
)
def create_webhook(
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Register a URL for events. The secret is shown in this answer and never again."""
    means, fields = means_of(request), own_fields(principal, body)
    define.examine(fields, means.outbound.guard)

    def work(session: WriteSession, actor: Actor) -> Response:
        made = define.create(session, fields, means.outbound.guard, means.vault, actor)
        return json_response(wire.shown(made, actor.now_us), 201)

    return _changed(request, principal, raw, work, hidden=_SECRETS)


@router.get(
    "",
    operation_id="listWebhooks",
    responses=openapi.WEBHOOKS,
    dependencies=[Depends(paging_parameters)],
)
def list_webhooks(request: Request, principal: Principal = Reader) -> Response:
    """Webhooks in the order in which they were made."""
    refuse_unknown(request, PARAMETERS | {"organization_id"})
    subject = f"{principal.organization_id} webhooks"
    page = page_request(request.query_params, subject, (int,))
    start, now_us = rows_before(page), deps.clock(request).micros()
    with read(deps.database(request)) as session:
        rows = store.endpoints(session, principal.organization_id)
    shown = [wire.endpoint_row(row, now_us) for row in islice(rows, start, start + page.limit + 1)]
    return json_response(counted_page(shown, page, subject))


@router.get(
    "/events",
    operation_id="listWebhookEvents",
    responses=openapi.KINDS,
    dependencies=[Reader],
)
def list_events() -> Response:
    """The events that can be wanted, with their other names and the schemas of their data."""
    kinds = wire.catalogue()
    listed = {"data": kinds, "has_more": False, "next_cursor": None}
    return json_response({**listed, "pagination": {"count": len(kinds)}})


@router.get("/{webhook_id}", operation_id="getWebhook", responses=openapi.WEBHOOK)
def get_webhook(webhook_id: str, request: Request, principal: Principal = Reader) -> Response:
    """One webhook."""
    with read(deps.database(request)) as session:
        row = define.found(session, principal.organization_id, webhook_id)
    return json_response(wire.endpoint_row(row, deps.clock(request).micros()))


@router.put(
    "/{webhook_id}",
    operation_id="updateWebhook",
    openapi_extra={**KEYED, **openapi.CHANGED_WEBHOOK},
    responses=openapi.WEBHOOK,
)
@router.patch(
    "/{webhook_id}",
    operation_id="changeWebhook",
    openapi_extra={**KEYED, **openapi.CHANGED_WEBHOOK},
    responses=openapi.WEBHOOK,
)
def update_webhook(
    webhook_id: str,
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Change a webhook; what is not named stays. `enabled` true begins anew after failures."""
    means, fields = means_of(request), own_fields(principal, body)
    with read(deps.database(request)) as session:
        define.found(session, principal.organization_id, webhook_id)
    define.examine(fields, means.outbound.guard)

    def work(session: WriteSession, actor: Actor) -> Response:
        changed = define.update(
            session, webhook_id, fields, means.outbound.guard, means.vault, actor
        )
        return json_response(wire.endpoint_row(changed.row, actor.now_us))

    return _changed(request, principal, raw, work)


@router.delete("/{webhook_id}", status_code=204, operation_id="deleteWebhook", openapi_extra=KEYED)
def delete_webhook(
    webhook_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Remove a webhook; nothing more is delivered to it."""

    def work(session: WriteSession, actor: Actor) -> Response:
        define.remove(session, webhook_id, actor)
        return Response(status_code=204)

    return _changed(request, principal, raw, work)


@router.post(
    "/{webhook_id}/rotate-secret",
    operation_id="rotateWebhookSecret",
    openapi_extra={**KEYED, **openapi.NEW_SECRET},
    responses=openapi.ROTATED,
)
def rotate_secret(
    webhook_id: str,
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Give a webhook a new secret, shown this once; the old one signs beside it for a while."""
    means, fields = means_of(request), own_fields(principal, body)

    def work(session: WriteSession, actor: Actor) -> Response:
        rotated = define.rotate(session, webhook_id, fields, means.vault, actor)
        return json_response(wire.shown(rotated, actor.now_us))

    return _changed(request, principal, raw, work, hidden=_SECRETS)


@router.post("/{webhook_id}/test", operation_id="testWebhook", responses=openapi.DELIVERY)
def send_test(webhook_id: str, request: Request, principal: Principal = Writer) -> Response:
    """Send a test event now and tell how it went."""
    with TRIALS.one(principal.organization_id):
        row, attempts = replay.ping(means_of(request), webhook_id, actor_of(request, principal))
    return json_response(wire.delivery_shown(row, attempts))


@router.get(
    "/{webhook_id}/deliveries",
    operation_id="listWebhookDeliveries",
    responses=openapi.DELIVERIES,
    dependencies=[Depends(paging_parameters)],
)
def list_deliveries(
    webhook_id: str,
    request: Request,
    principal: Principal = Reader,
    status: str | None = None,
    event: str | None = None,
) -> Response:
    """What was or is to be delivered to a webhook, the newest first."""
    refuse_unknown(request, PARAMETERS | {"organization_id", "status", "event"})
    conditions = _conditions(status, event)
    subject = f"{principal.organization_id} deliveries {webhook_id} {status} {event}"
    page = page_request(request.query_params, subject, (str,))
    if page.position:
        conditions.append(_DEL.id < str(page.position[0]))
    with read(deps.database(request)) as session:
        define.found(session, principal.organization_id, webhook_id)
        rows = store.deliveries(
            session,
            principal.organization_id,
            webhook_id,
            conditions,
            page.limit + 1,
            page.offset,
        )
    shown = [wire.delivery_row(row) for row in rows[: page.limit]]
    more = len(rows) > page.limit
    cursor = encode_cursor(subject, [rows[page.limit - 1]["id"]]) if more else None
    return json_response(page_answer(shown, page, cursor))


def _conditions(status: str | None, event: str | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if status is not None:
        if status not in store.STATUSES:
            raise invalid("status", f"must be one of: {', '.join(store.STATUSES)}")
        conditions.append(_DEL.status == status)
    if event is not None:
        topic = PING if event == PING else canonical(event)
        if topic not in (*EVENTS, PING):
            raise invalid("event", "is not a known event")
        conditions.append(_DEL.topic == topic)
    return conditions


@router.get(
    "/{webhook_id}/deliveries/{delivery_id}",
    operation_id="getWebhookDelivery",
    responses=openapi.DELIVERY,
)
def get_delivery(
    webhook_id: str, delivery_id: str, request: Request, principal: Principal = Reader
) -> Response:
    """One delivery with its data and its attempts."""
    with read(deps.database(request)) as session:
        row = replay.one(session, principal.organization_id, webhook_id, delivery_id)
        attempts = store.attempts(session, principal.organization_id, delivery_id)
    return json_response(wire.delivery_shown(row, attempts))


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver",
    status_code=202,
    operation_id="redeliverWebhook",
    openapi_extra=KEYED,
    responses={202: openapi.DELIVERY[200]},
)
def redeliver(
    webhook_id: str,
    delivery_id: str,
    request: Request,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Send one delivery again, with all its attempts before it."""

    def work(session: WriteSession, actor: Actor) -> Response:
        row = replay.redeliver(session, webhook_id, delivery_id, actor)
        attempts = store.attempts(session, actor.organization_id, delivery_id)
        return json_response(wire.delivery_shown(row, attempts), 202)

    return _changed(request, principal, raw, work)


@router.post(
    "/{webhook_id}/replay",
    status_code=202,
    operation_id="replayWebhook",
    openapi_extra={**KEYED, **openapi.RANGE},
    responses=openapi.REPLAYED,
)
def replay_range(
    webhook_id: str,
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Send again what failed, or was left out while the webhook was disabled, in a time."""
    fields = own_fields(principal, body)

    def work(session: WriteSession, actor: Actor) -> Response:
        return json_response({"replayed": replay.replay(session, webhook_id, fields, actor)}, 202)

    return _changed(request, principal, raw, work)


def _changed(
    request: Request,
    principal: Principal,
    raw: bytes,
    work: Callable[[WriteSession, Actor], Response],
    *,
    hidden: Collection[str] = (),
) -> Response:
    """A change whose answer is kept without its `hidden` fields: a secret is shown once, and never
    to who repeats."""
    return change(request, principal, raw, work, kept=lambda answer: _without(answer, hidden))


def _without(answer: Response, hidden: Collection[str]) -> Response:
    if not hidden:
        return answer
    body = cast("dict[str, object]", loads(bytes(answer.body).decode()))
    kept = {name: value for name, value in body.items() if name not in hidden}
    return json_response(kept, answer.status_code)
