"""Alerts over HTTP: what fired, what happened to it, and taking care of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import Depends, Request
from sqlalchemy import ColumnElement
from starlette.responses import Response

from llm_cost_ops.core.instant import parse_instant, to_micros
from llm_cost_ops.server.access.change import KEYED, Raw, change
from llm_cost_ops.server.access.deps import own_fields, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.alerts import channels, lifecycle, openapi, reached, store, wire
from llm_cost_ops.server.alerts.admin import router
from llm_cost_ops.server.alerts.fields import Fields, RuleError
from llm_cost_ops.server.alerts.lifecycle import MAX_COMMENT
from llm_cost_ops.server.alerts.rules import SEVERITIES, TYPES
from llm_cost_ops.server.alerts.tables import alerts
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.pagination import (
    PARAMETERS,
    PageRequest,
    counted_page,
    encode_cursor,
    page_answer,
    page_request,
    paging_parameters,
    rows_before,
)
from llm_cost_ops.server.http.problems import invalid
from llm_cost_ops.server.http.routing import refuse_unknown
from llm_cost_ops.server.ledger.routes import Body, json_object

Reader = Depends(require("read:alerts", conditions="applied"))
Writer = Depends(require("write:alerts", conditions="applied"))
_FILTERS = ("status", "severity", "type", "rule_id", "budget_id", "since", "until")
_MINUTE_US = 60_000_000
_A = alerts.c


async def _optional_object(request: Request) -> dict[str, object]:
    """The body as a JSON object; none is an empty one."""
    return await json_object(request) if await request.body() else {}


OptionalBody = Depends(_optional_object)

__all__ = ["router"]


@router.get(
    "/alerts",
    operation_id="listAlerts",
    responses=openapi.ALERTS,
    dependencies=[Depends(paging_parameters)],
)
def list_alerts(
    request: Request,
    principal: Principal = Reader,
    status: str | None = None,
    severity: str | None = None,
    type: str | None = None,
    rule_id: str | None = None,
    budget_id: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> Response:
    """Alerts, the newest first. `status` may be `open` for all that are not resolved."""
    refuse_unknown(request, PARAMETERS | set(_FILTERS) | {"organization_id"})
    values = (status, severity, type, rule_id, budget_id, since, until)
    given = {n: v for n, v in zip(_FILTERS, values, strict=True) if v is not None}
    subject = f"{principal.organization_id} alerts {sorted(given.items())}"
    page = page_request(request.query_params, subject, (str,))
    with read(deps.database(request)) as session:
        return _listed(session, principal, _conditions(given), page, subject)


@router.get(
    "/budgets/{budget_id}/alerts",
    operation_id="listBudgetAlerts",
    responses=openapi.ALERTS,
    dependencies=[Depends(paging_parameters)],
)
def list_budget_alerts(
    budget_id: str, request: Request, principal: Principal = Reader, status: str | None = None
) -> Response:
    """Alerts about one budget, the newest first."""
    refuse_unknown(request, PARAMETERS | {"status", "organization_id"})
    given = {"budget_id": budget_id, **({} if status is None else {"status": status})}
    subject = f"{principal.organization_id} alerts {sorted(given.items())}"
    page = page_request(request.query_params, subject, (str,))
    with read(deps.database(request)) as session:
        reached.check_budget(session, principal, budget_id)
        return _listed(session, principal, _conditions(given), page, subject)


def _listed(
    session: ReadSession,
    principal: Principal,
    conditions: list[ColumnElement[bool]],
    page: PageRequest,
    subject: str,
) -> Response:
    before = None if page.position is None else str(page.position[0])
    rows = store.list_alerts(
        session,
        principal.organization_id,
        [*conditions, *reached.conditions(session, principal)],
        limit=page.limit + 1,
        offset=page.offset,
        before=before,
    )
    shown = [wire.alert_row(row) for row in rows[: page.limit]]
    more = len(rows) > page.limit
    cursor = encode_cursor(subject, [shown[-1]["id"]]) if more else None
    return json_response(page_answer(shown, page, cursor))


def _conditions(given: Mapping[str, str]) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for name, value in given.items():
        if name == "status":
            allowed = store.OPEN if value == "open" else _among(name, value, store.STATUSES)
            found.append(_A.status.in_(allowed))
        elif name == "severity":
            found.append(_A.severity.in_(_among(name, value, SEVERITIES)))
        elif name == "type":
            found.append(_A.kind.in_(_among(name, value, TYPES)))
        elif name == "since":
            found.append(_A.fired_at >= to_micros(parse_instant(value, name)))
        elif name == "until":
            found.append(_A.fired_at < to_micros(parse_instant(value, name)))
        else:
            found.append(_A[name] == value)
    return found


def _among(name: str, value: str, known: tuple[str, ...]) -> list[str]:
    wanted = value.split(",")
    if not set(wanted) <= set(known):
        raise invalid(name, f"must be among: {', '.join(known)}")
    return wanted


@router.get("/alerts/{alert_id}", operation_id="getAlert", responses=openapi.ALERT)
def get_alert(alert_id: str, request: Request, principal: Principal = Reader) -> Response:
    """One alert with its history and who was told how."""
    with read(deps.database(request)) as session:
        return json_response(_whole(session, principal, alert_id))


@router.get(
    "/alerts/{alert_id}/history",
    operation_id="listAlertHistory",
    responses=openapi.HISTORY,
    dependencies=[Depends(paging_parameters)],
)
def get_history(alert_id: str, request: Request, principal: Principal = Reader) -> Response:
    """What happened to an alert, the oldest first."""
    refuse_unknown(request, PARAMETERS | {"organization_id"})
    organization_id = principal.organization_id
    subject = f"{organization_id} history {alert_id}"
    page = page_request(request.query_params, subject, (int,))
    start = rows_before(page)
    with read(deps.database(request)) as session:
        reached.alert(session, principal, alert_id)
        rows = store.history_from(session, organization_id, alert_id, start, page.limit + 1)
    return json_response(counted_page([wire.history_row(row) for row in rows], page, subject))


@router.post(
    "/alerts/{alert_id}/acknowledge",
    operation_id="acknowledgeAlert",
    openapi_extra={**KEYED, **openapi.CLOSING},
    responses=openapi.ALERT,
)
def acknowledge_alert(
    alert_id: str,
    request: Request,
    body: dict[str, object] = OptionalBody,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Take care of an alert: nothing escalates any more."""
    comment = _only_comment(own_fields(principal, body))
    return _acted(
        request, principal, raw, alert_id,
        lambda session, actor: lifecycle.acknowledge(session, alert_id, comment, actor),
    )  # fmt: skip


@router.post(
    "/alerts/{alert_id}/snooze",
    operation_id="snoozeAlert",
    openapi_extra={**KEYED, **openapi.SNOOZE},
    responses=openapi.ALERT,
)
def snooze_alert(
    alert_id: str,
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Keep an alert quiet for some minutes, or until an instant."""
    fields = Fields(own_fields(principal, body))
    minutes = fields.whole("minutes", 1, 90 * 24 * 60)
    until = fields.text("until")
    comment = fields.text("comment", most=MAX_COMMENT) or ""
    fields.finish()
    if (minutes is None) == (until is None):
        raise RuleError("or until is required, not both", field="minutes")
    until_us = None if until is None else to_micros(parse_instant(until, "until"))

    def work(session: WriteSession, actor: Actor) -> None:
        end_us = actor.now_us + (minutes or 0) * _MINUTE_US if until_us is None else until_us
        lifecycle.snooze(session, alert_id, end_us, comment, actor)

    return _acted(request, principal, raw, alert_id, work)


@router.post(
    "/alerts/{alert_id}/resolve",
    operation_id="resolveAlert",
    openapi_extra={**KEYED, **openapi.CLOSING},
    responses=openapi.ALERT,
)
def resolve_alert(
    alert_id: str,
    request: Request,
    body: dict[str, object] = OptionalBody,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Say that it is over; who was told of the alert is told of that."""
    comment = _only_comment(own_fields(principal, body))
    return _acted(
        request, principal, raw, alert_id,
        lambda session, actor: lifecycle.resolve(session, alert_id, comment, actor),
    )  # fmt: skip


@router.post(
    "/alerts/{alert_id}/comments",
    operation_id="commentOnAlert",
    openapi_extra={**KEYED, **openapi.COMMENT},
    responses=openapi.ALERT,
)
def comment_on_alert(
    alert_id: str,
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Add a remark to the history of an alert."""
    fields = Fields(own_fields(principal, body))
    comment = fields.text("comment", required=True, most=MAX_COMMENT) or ""
    fields.finish()
    return _acted(
        request, principal, raw, alert_id,
        lambda session, actor: lifecycle.comment_on(session, alert_id, comment, actor),
    )  # fmt: skip


def _only_comment(body: Mapping[str, object]) -> str:
    fields = Fields(body)
    comment = fields.text("comment", most=MAX_COMMENT) or ""
    fields.finish()
    return comment


def _acted(
    request: Request,
    principal: Principal,
    raw: bytes,
    alert_id: str,
    work: Callable[[WriteSession, Actor], None],
) -> Response:
    def run(session: WriteSession, actor: Actor) -> Response:
        reached.alert(session, principal, alert_id)
        work(session, actor)
        return json_response(_whole(session, principal, alert_id))

    return change(request, principal, raw, run)


def _whole(session: ReadSession, principal: Principal, alert_id: str) -> dict[str, Any]:
    row = reached.alert(session, principal, alert_id)
    organization_id = principal.organization_id
    names = {each["id"]: each["name"] for each in channels.rows(session, organization_id)}
    return wire.with_history(
        row,
        store.history(session, organization_id, alert_id),
        store.deliveries(session, organization_id, alert_id),
        names,
    )
