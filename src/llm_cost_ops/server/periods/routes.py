"""Billing periods over HTTP: close a month, open the last one again, read statements."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.months import MONTH_PATTERN, month_of
from llm_cost_ops.server.access.change import KEYED, Raw, change
from llm_cost_ops.server.access.deps import own_fields, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.charges.store import opened_again
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, read, report
from llm_cost_ops.server.exports.forms import MEDIA_TYPES, Form, written
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import JSON, answers, json_body, list_of
from llm_cost_ops.server.http.problems import invalid
from llm_cost_ops.server.http.routing import refuse_unknown
from llm_cost_ops.server.identity.organizations import get_organization
from llm_cost_ops.server.ledger import periods as ledger
from llm_cost_ops.server.ledger.books import Line, books_of
from llm_cost_ops.server.ledger.periods import CLOSED, CLOSING, REOPENING, Period
from llm_cost_ops.server.ledger.reopening import reopen
from llm_cost_ops.server.ledger.rollup import Delta
from llm_cost_ops.server.ledger.routes import Body, json_object
from llm_cost_ops.server.periods.closing import (
    REOPENED_TOPIC,
    Overdue,
    finish_all,
    is_at_work,
    leave,
    of_request,
    told,
)
from llm_cost_ops.server.periods.turn import RETRY_SECONDS, Taken, adding_up
from llm_cost_ops.server.periods.wire import shown, statement, table, told_of
from llm_cost_ops.server.pricing.change import Untimed
from llm_cost_ops.server.spend.lock import hold_alone

Reader = Depends(require("read:costs"))
Closer = Depends(require("read:costs", "write:budgets", "write:reports"))
MAX_REASON = 500
_UNDER_WAY = (CLOSING, REOPENING)
_STATEMENTS = ("json", "csv")
Schema = dict[str, Any]
_COUNT: Schema = {"type": ["integer", "null"]}
_INSTANT: Schema = {"type": ["string", "null"], "format": "date-time"}
_MONTH: Schema = {"type": "string", "pattern": MONTH_PATTERN}
_PERIOD: Schema = {
    "type": "object",
    "required": ["period", "status", "period_start", "period_end", "totals", "sha256"],
    "properties": {
        "period": _MONTH,
        "status": {"enum": ["open", "closing", "closed", "reopening"]},
        "period_start": _INSTANT,
        "period_end": _INSTANT,
        "requests": _COUNT,
        "total_tokens": _COUNT,
        "unpriced_count": _COUNT,
        "partially_priced_count": _COUNT,
        "totals": {
            "type": ["array", "null"],
            "description": "Per currency; null until the month is closed.",
            "items": {"type": "object", "required": ["currency", "total_cost"]},
        },
        "sha256": {"type": ["string", "null"], "description": "Of the entries of its books."},
        "closed_at": _INSTANT,
        "closed_by": {"type": ["string", "null"]},
        "labels_erased_at": _INSTANT,
        "warnings": {"type": "array", "items": {"type": "string"}},
    },
}
_WAIT: Schema = {
    "type": "boolean",
    "default": False,
    "description": "Answer when it is done, however long that takes; 202 where somebody else is at"
    " it already. No worker follows a request that waits and is stopped.",
}
_STATEMENT: Schema = {
    "type": "object",
    "required": ["period", "status", "totals", "calls", "corrections"],
}
_CLOSE = json_body(
    {
        "type": "object",
        "properties": {
            "strict": {
                "type": "boolean",
                "description": "Refuse while a call of the month has no price.",
            },
            "wait": _WAIT,
            "organization_id": {"type": ["string", "null"]},
        },
    },
    required=False,
)
_REOPEN = json_body(
    {
        "type": "object",
        "required": ["reason"],
        "properties": {
            "reason": {"type": "string", "minLength": 1, "maxLength": MAX_REASON},
            "wait": _WAIT,
            "organization_id": {"type": ["string", "null"]},
        },
    }
)

router = APIRouter(prefix="/api/v1/periods", tags=["periods"])


@router.get(
    "",
    operation_id="listPeriods",
    responses=answers(200, list_of(_PERIOD), "The oldest first."),
)
def list_periods(request: Request, principal: Principal = Reader) -> Response:
    """The calendar months (UTC) from the first call to now, closed and open."""
    refuse_unknown(request, {"organization_id"})
    with read(deps.database(request)) as session:
        found = ledger.all_periods(session, principal.organization_id, deps.clock(request).micros())
    rows = [shown(period) for period in found]
    listed = {"data": rows, "has_more": False, "next_cursor": None}
    return json_response({**listed, "pagination": {"count": len(rows)}})


@router.get("/{period}", operation_id="getPeriod", responses=answers(200, _PERIOD, "The month."))
def get_period(period: str, request: Request, principal: Principal = Reader) -> Response:
    """One month: whether it is closed, and then its totals."""
    refuse_unknown(request, {"organization_id"})
    month = month_of(period)
    with read(deps.database(request)) as session:
        return json_response(told_of(ledger.period_of(session, principal.organization_id, month)))


async def _wishes(request: Request) -> dict[str, object]:
    """The body as a JSON object; none is no wish. Raises JsonError."""
    return await json_object(request) if await request.body() else {}


@router.post(
    "/{period}/close",
    operation_id="closePeriod",
    openapi_extra={**KEYED, **_CLOSE},
    responses={
        **answers(200, _PERIOD, "The closed month."),
        **answers(202, _PERIOD, "The month: a worker adds up its books."),
    },
    dependencies=[Untimed],
)
def close_period(
    period: str,
    request: Request,
    body: dict[str, object] = Depends(_wishes),
    raw: bytes = Raw,
    principal: Principal = Closer,
) -> Response:
    """Freeze a month that is over. What is recorded for it later keeps its date and is in the books
    of the next open month. Months are closed in order; the first closes those before it, too. What
    takes longer than seconds a worker does (202): ask for the month until it is closed."""
    month = month_of(period)
    fields = own_fields(principal, body)
    strict, waits = _flag(fields, "strict"), _flag(fields, "wait")
    _refuse_others(fields, ("strict", "wait"))

    def work(session: WriteSession, actor: Actor) -> Response:
        organization = get_organization(session, actor.organization_id)
        months, unpriced = ledger.freeze(
            session,
            actor.organization_id,
            month,
            organization_name=None if organization is None else organization.name,
            actor_id=actor.actor_id,
            now_us=actor.now_us,
            strict=strict,
        )
        if months and not waits:
            leave(session, actor.organization_id, actor.now_us)
        if months:
            after: dict[str, object] = {"months": months, "unpriced": unpriced}
            actor.record(session, "periods.close", "period", month, None, after)
        return json_response({"months": months, "unpriced": unpriced})

    change(request, principal, raw, work, hold=hold_alone)
    return _settled(request, principal, month, waits)


def _settled(request: Request, principal: Principal, month: str, waits: bool) -> Response:
    """Do what is left to be done, whoever began it; the month then, 202 while a worker does it."""
    database, clock = deps.database(request), deps.clock(request)
    organization_id = principal.organization_id
    with read(database) as session:
        found = ledger.period_of(session, organization_id, month)
        is_left = bool(ledger.unfinished(session, organization_id, month))
    if (is_left or found.status in _UNDER_WAY) and not is_at_work(database, organization_id):
        turn = of_request(database, clock, waits=waits)
        with suppress(Overdue, Taken), adding_up(database, organization_id):
            finish_all(database, organization_id, clock.micros(), turn)
        with read(database) as session:
            found = ledger.period_of(session, organization_id, month)
    if found.status in _UNDER_WAY:
        return json_response(told_of(found), 202, {"Retry-After": str(RETRY_SECONDS)})
    return json_response(told_of(found))


@router.post(
    "/{period}/reopen",
    operation_id="reopenPeriod",
    openapi_extra={**KEYED, **_REOPEN},
    responses={
        **answers(200, _PERIOD, "The open month."),
        **answers(202, _PERIOD, "The month: a worker moves what came late for it."),
    },
    dependencies=[Untimed],
)
def reopen_period(
    period: str,
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Closer,
) -> Response:
    """Open the last closed month again, for a reason that the audit log keeps. What was recorded
    for it since is in its books then, and no correction any more. An open month stays open. Where
    very much came late a worker moves it (202)."""
    month = month_of(period)
    fields = own_fields(principal, body)
    reason = fields.get("reason")
    if not isinstance(reason, str) or not reason.strip() or len(reason) > MAX_REASON:
        raise UsageError("reason", f"must say why, in 1 to {MAX_REASON} characters")
    waits = _flag(fields, "wait")
    _refuse_others(fields, ("reason", "wait"))

    def work(session: WriteSession, actor: Actor) -> Response:
        found = reopen(session, actor.organization_id, month)
        if found is not None and found.was.status != REOPENING:
            before = {key: was for key, was in shown(found.was).items() if key in _AUDITED}
            after: dict[str, object] = {"reason": reason.strip()}
            actor.record(session, "periods.reopen", "period", month, before, after)
        if found is not None and found.is_open:
            opened_again(session, actor.organization_id, month)
            told(session, actor.organization_id, REOPENED_TOPIC, found.was, actor.now_us)
        elif found is not None and not waits:
            leave(session, actor.organization_id, actor.now_us)
        period = ledger.period_of(session, actor.organization_id, month)
        return json_response(told_of(period), 202 if period.status in _UNDER_WAY else 200)

    answer = change(request, principal, raw, work, hold=hold_alone)
    return answer if answer.status_code == 200 else _settled(request, principal, month, waits)


_AUDITED = ("closed_at", "closed_by", "requests", "totals", "sha256")


@router.get(
    "/{period}/statement",
    operation_id="getStatement",
    openapi_extra={
        "parameters": [
            {
                "name": "format",
                "in": "query",
                "required": False,
                "description": "Of the answer.",
                "schema": {"type": "string", "enum": [*_STATEMENTS], "default": "json"},
            }
        ]
    },
    responses={
        200: {
            "description": "The statement.",
            "content": {
                JSON: {"schema": _STATEMENT},
                "text/csv": {"schema": {"type": "string"}},
            },
        }
    },
    dependencies=[Untimed],
)
def get_statement(period: str, request: Request, principal: Principal = Reader) -> Response:
    """What a month cost by provider, model, project and team, and apart what it corrects of earlier
    months. That of a closed month stays the same."""
    refuse_unknown(request, {"format", "organization_id"})
    form = request.query_params.get("format", "json")
    if form not in _STATEMENTS:
        raise invalid("format", f"must be one of: {', '.join(_STATEMENTS)}")
    month = month_of(period)
    found, lines = _books(deps.database(request), principal.organization_id, month)
    if form == "csv":
        return _file(found, lines)
    name = found.organization_name
    if name is None:
        with read(deps.database(request)) as session:
            organization = get_organization(session, principal.organization_id)
        name = None if organization is None else organization.name
    return json_response(statement(principal.organization_id, name, found, lines))


def _books(
    database: Database, organization_id: str, month: str
) -> tuple[Period, list[tuple[Line, Delta]]]:
    with report(database) as session:
        found = ledger.period_of(session, organization_id, month)
        if found.status == CLOSED:
            return found, ledger.stored_lines(session, organization_id, month)
        with adding_up(database, organization_id):
            return found, books_of(session, organization_id, month).lines


def _file(period: Period, lines: list[tuple[Line, Delta]]) -> Response:
    content = b"".join(written(table(period, lines), Form("csv")))
    headers = {
        "Content-Disposition": f'attachment; filename="statement-{period.month}.csv"',
        "Cache-Control": "no-store",
    }
    return Response(content, media_type=MEDIA_TYPES["csv"], headers=headers)


def _flag(fields: dict[str, object], name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise UsageError(name, "must be true or false")
    return value


def _refuse_others(fields: dict[str, object], known: tuple[str, ...]) -> None:
    for name in fields:
        if name not in known:
            raise UsageError(name[:255], "is not a known field")
