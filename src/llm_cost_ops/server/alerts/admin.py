"""Rules and channels over HTTP, before the routes of alerts: `rules` is no id of an alert."""

from __future__ import annotations

from itertools import islice
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from llm_cost_ops.server.access.change import KEYED, Raw, change
from llm_cost_ops.server.access.deps import own_fields, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.alerts import channels, define, openapi, store, wire
from llm_cost_ops.server.alerts.deps import desk
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read
from llm_cost_ops.server.delivery import sample
from llm_cost_ops.server.delivery.notice import Outcome
from llm_cost_ops.server.delivery.sealing import SecretUnreadable, Vault
from llm_cost_ops.server.delivery.trials import TRIALS
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.pagination import (
    PARAMETERS,
    counted_page,
    page_request,
    paging_parameters,
    rows_before,
)
from llm_cost_ops.server.http.routing import refuse_unknown
from llm_cost_ops.server.identity.organizations import get_organization
from llm_cost_ops.server.ledger.routes import Body

Reader = Depends(require("read:alerts"))
Writer = Depends(require("write:alerts"))

router = APIRouter(prefix="/api/v1", tags=["alerts"])


@router.post(
    "/alerts/rules",
    status_code=201,
    operation_id="createAlertRule",
    openapi_extra={**KEYED, **openapi.NEW_RULE},
    responses=openapi.RULE_MADE,
)
def create_rule(
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Make a rule: on what alerts fire, whom they tell, and when they keep quiet."""
    fields = own_fields(principal, body)

    def work(session: WriteSession, actor: Actor) -> Response:
        made = define.create_rule(session, fields, actor)
        return json_response(_rule(session, actor.organization_id, made), 201)

    return change(request, principal, raw, work)


@router.get(
    "/alerts/rules",
    operation_id="listAlertRules",
    responses=openapi.RULES,
    dependencies=[Depends(paging_parameters)],
)
def list_rules(request: Request, principal: Principal = Reader) -> Response:
    """Rules in the order in which they were made."""
    refuse_unknown(request, PARAMETERS | {"organization_id"})
    subject = f"{principal.organization_id} alert rules"
    page = page_request(request.query_params, subject, (int,))
    with read(deps.database(request)) as session:
        rows = store.rule_rows(session, principal.organization_id)
    start = rows_before(page)
    shown = [wire.rule_row(row) for row in islice(rows, start, start + page.limit + 1)]
    return json_response(counted_page(shown, page, subject))


@router.get("/alerts/rules/{rule_id}", operation_id="getAlertRule", responses=openapi.RULE)
def get_rule(rule_id: str, request: Request, principal: Principal = Reader) -> Response:
    """One rule."""
    with read(deps.database(request)) as session:
        return json_response(_rule(session, principal.organization_id, rule_id))


@router.put(
    "/alerts/rules/{rule_id}",
    operation_id="updateAlertRule",
    openapi_extra={**KEYED, **openapi.CHANGED_RULE},
    responses=openapi.RULE,
)
@router.patch(
    "/alerts/rules/{rule_id}",
    operation_id="changeAlertRule",
    openapi_extra={**KEYED, **openapi.CHANGED_RULE},
    responses=openapi.RULE,
)
def update_rule(
    rule_id: str,
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Change a rule; what is not named stays, null takes a field away."""
    fields = own_fields(principal, body)

    def work(session: WriteSession, actor: Actor) -> Response:
        define.update_rule(session, rule_id, fields, actor)
        return json_response(_rule(session, actor.organization_id, rule_id))

    return change(request, principal, raw, work)


@router.delete(
    "/alerts/rules/{rule_id}",
    status_code=204,
    operation_id="deleteAlertRule",
    openapi_extra=KEYED,
)
def delete_rule(
    rule_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Remove a rule; the alerts that it made stay."""

    def work(session: WriteSession, actor: Actor) -> Response:
        define.remove_rule(session, rule_id, actor)
        return Response(status_code=204)

    return change(request, principal, raw, work)


@router.post(
    "/alerts/channels",
    status_code=201,
    operation_id="createAlertChannel",
    openapi_extra={**KEYED, **openapi.NEW_CHANNEL},
    responses=openapi.CHANNEL_MADE,
)
def create_channel(
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Make a channel. Its secrets are never shown again."""
    fields = own_fields(principal, body)
    guard, seal = desk(request).guard, desk(request).seal
    channels.examine(fields, guard)

    def work(session: WriteSession, actor: Actor) -> Response:
        made = define.create_channel(session, fields, guard, seal, actor)
        return json_response(_channel(session, actor.organization_id, made, seal), 201)

    return change(request, principal, raw, work)


@router.get(
    "/alerts/channels",
    operation_id="listAlertChannels",
    responses=openapi.CHANNELS_LISTED,
    dependencies=[Depends(paging_parameters)],
)
def list_channels(request: Request, principal: Principal = Reader) -> Response:
    """Channels in the order in which they were made, without their secrets."""
    refuse_unknown(request, PARAMETERS | {"organization_id"})
    subject = f"{principal.organization_id} alert channels"
    page = page_request(request.query_params, subject, (int,))
    with read(deps.database(request)) as session:
        rows = channels.rows(session, principal.organization_id)
    start, seal = rows_before(page), desk(request).seal
    shown = [wire.channel_row(row, seal) for row in islice(rows, start, start + page.limit + 1)]
    return json_response(counted_page(shown, page, subject))


@router.get(
    "/alerts/channels/{channel_id}", operation_id="getAlertChannel", responses=openapi.CHANNEL
)
def get_channel(channel_id: str, request: Request, principal: Principal = Reader) -> Response:
    """One channel by its id or name, without its secrets."""
    with read(deps.database(request)) as session:
        found = _channel(session, principal.organization_id, channel_id, desk(request).seal)
    return json_response(found)


@router.put(
    "/alerts/channels/{channel_id}",
    operation_id="updateAlertChannel",
    openapi_extra={**KEYED, **openapi.CHANGED_CHANNEL},
    responses=openapi.CHANNEL,
)
@router.patch(
    "/alerts/channels/{channel_id}",
    operation_id="changeAlertChannel",
    openapi_extra={**KEYED, **openapi.CHANGED_CHANNEL},
    responses=openapi.CHANNEL,
)
def update_channel(
    channel_id: str,
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Change a channel; what is not named stays, secrets too."""
    fields = own_fields(principal, body)
    guard, seal = desk(request).guard, desk(request).seal
    channels.examine(fields, guard)

    def work(session: WriteSession, actor: Actor) -> Response:
        found = define.update_channel(session, channel_id, fields, guard, seal, actor)
        return json_response(_channel(session, actor.organization_id, found, seal))

    return change(request, principal, raw, work)


@router.delete(
    "/alerts/channels/{channel_id}",
    status_code=204,
    operation_id="deleteAlertChannel",
    openapi_extra=KEYED,
)
def delete_channel(
    channel_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Remove a channel that no rule names."""

    def work(session: WriteSession, actor: Actor) -> Response:
        define.remove_channel(session, channel_id, actor)
        return Response(status_code=204)

    return change(request, principal, raw, work)


@router.post(
    "/alerts/channels/{channel_id}/test",
    operation_id="testAlertChannel",
    responses=openapi.TESTED,
)
def try_channel(channel_id: str, request: Request, principal: Principal = Writer) -> Response:
    """Send a test message now and say how that went."""
    own, now_us = desk(request), deps.clock(request).micros()
    with read(deps.database(request)) as session:
        row = channels.row(session, principal.organization_id, channel_id)
        organization = get_organization(session, principal.organization_id)
    name = "" if organization is None else organization.name
    try:
        whole = channels.channel_of(row, own.seal)
    except SecretUnreadable as error:
        outcomes = [Outcome(False, f"the channel's secrets cannot be read: {error}")]
    else:
        test_id = store.new_id("alt", now_us)
        with TRIALS.one(principal.organization_id):
            outcomes = sample.try_channel(whole, name, test_id, own.send, own.public_url)
    results = [
        {"delivered": each.delivered, "detail": each.detail, "status": each.status}
        for each in outcomes
    ]
    delivered = all(each.delivered for each in outcomes)
    answer = {"channel_id": row["id"], "channel_name": row["name"], "delivered": delivered}
    return json_response({**answer, "results": results})


def _rule(session: ReadSession, organization_id: str, rule_id: str) -> dict[str, Any]:
    row = store.rule_row(session, organization_id, rule_id)
    if row is None:
        raise define.RuleUnknown("Rule not found")
    return wire.rule_row(row)


def _channel(
    session: ReadSession, organization_id: str, channel_id: str, seal: Vault
) -> dict[str, Any]:
    return wire.channel_row(channels.row(session, organization_id, channel_id), seal)
