"""Reports over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice

from anyio import CancelScope, to_thread
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.access.change import KEYED, Raw, actor_of, change
from llm_cost_ops.server.access.deps import own_fields, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession, read, write_retrying
from llm_cost_ops.server.forecasts.turns import check_room, in_turn
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.idempotency import RETRY_SECONDS
from llm_cost_ops.server.http.pagination import (
    PARAMETERS,
    encode_cursor,
    page_answer,
    page_request,
    paging_parameters,
)
from llm_cost_ops.server.http.problems import Problem, invalid
from llm_cost_ops.server.http.routing import refuse_unknown
from llm_cost_ops.server.ledger.routes import Body
from llm_cost_ops.server.reports import ask, openapi, store, wire
from llm_cost_ops.server.reports.claim import Claim
from llm_cost_ops.server.reports.drawn import disposition, drawn, form_of, media_type
from llm_cost_ops.server.reports.produce import keep, outcome_of
from llm_cost_ops.server.reports.types import TYPES

Reader = Depends(require("read:reports", "read:costs", conditions="applied"))
Writer = Depends(require("write:reports", "read:costs", conditions="applied"))
# Kept sections are headings and groupings, about no call: conditions have nothing to limit there.
TemplateReader = Depends(require("read:reports", "read:costs", conditions="apart"))
TemplateWriter = Depends(require("write:reports", "read:costs", conditions="apart"))

router = APIRouter(prefix="/api/v1/reports", tags=["reports"])


@router.post(
    "/generate",
    status_code=202,
    operation_id="generateReport",
    openapi_extra={**KEYED, **openapi.ASKED},
    responses=openapi.MADE,
)
async def generate_report(
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Ask for a report. A worker makes it; with `wait` the answer comes when it is made."""
    fields = own_fields(principal, body)
    waits = fields.pop("wait", False)
    if not isinstance(waits, bool):
        raise invalid("wait", "must be true or false")
    asked = partial(_asked, request, fields, raw, principal, waits)
    if not waits:
        return await to_thread.run_sync(asked)
    check_room(request)  # before anything is stored
    row = await to_thread.run_sync(_begun, request, principal, asked)
    if row["status"] != store.PENDING:
        return json_response(wire.report_row(row), 201)
    claim, made = Claim(deps.database(request), deps.clock(request), row), False
    if not await to_thread.run_sync(claim.take):  # the answer of the first was lost or is late
        return json_response(wire.report_row(row), 202, {"Retry-After": str(RETRY_SECONDS)})
    try:
        answer = await in_turn(request, partial(_made, request, principal, row))
        made = True
        return answer
    finally:
        with CancelScope(shield=True):
            await to_thread.run_sync(claim.end, made)


def _asked(
    request: Request,
    fields: Mapping[str, object],
    raw: bytes,
    principal: Principal,
    waits: bool,
) -> Response:
    days = deps.settings(request).worker.keep_reports_days

    def work(session: WriteSession, actor: Actor) -> Response:
        row = ask.ask(session, fields, principal, actor, keep_days=days, waits=waits)
        return json_response(wire.report_row(row), 202)

    return change(request, principal, raw, work)


def _begun(request: Request, principal: Principal, asked: Callable[[], Response]) -> ask.Row:
    """The report as it stands; a request that comes again gets the same one."""
    report_id = str(loads(bytes(asked().body).decode())["id"])
    with read(deps.database(request)) as session:
        return ask.found(session, principal, report_id)


def _made(request: Request, principal: Principal, begun: ask.Row) -> Response:
    """The report once it is made."""
    database, clock = deps.database(request), deps.clock(request)
    outcome = outcome_of(database, clock, begun)
    write_retrying(database, lambda session: keep(session, begun, outcome))
    with read(database) as session:
        row = ask.found(session, principal, begun["id"])
    return json_response(wire.report_row(row), 201)


@router.get(
    "",
    operation_id="listReports",
    openapi_extra=openapi.LISTED,
    responses=openapi.REPORTS,
    dependencies=[Depends(paging_parameters)],
)
def list_reports(request: Request, principal: Principal = Reader) -> Response:
    """Reports, the newest first."""
    refuse_unknown(request, PARAMETERS | {"organization_id", "type", "status"})
    kind, status = (request.query_params.get(name) for name in ("type", "status"))
    if kind is not None and kind not in TYPES:
        raise invalid("type", f"must be one of: {', '.join(TYPES)}")
    if status is not None and status not in store.STATUSES:
        raise invalid("status", f"must be one of: {', '.join(store.STATUSES)}")
    subject = f"{principal.organization_id} reports {kind} {status}"
    page = page_request(request.query_params, subject, (str,))
    below = None if page.position is None else str(page.position[0])
    with read(deps.database(request)) as session:
        found = ask.listed(session, principal, below, kind=kind, status=status)
        rows = list(islice(found, page.offset, page.offset + page.limit + 1))
    shown = rows[: page.limit]
    cursor = encode_cursor(subject, [shown[-1]["id"]]) if len(rows) > page.limit else None
    return json_response(page_answer([wire.report_row(row) for row in shown], page, cursor))


@router.post(
    "/templates",
    status_code=201,
    operation_id="createReportTemplate",
    openapi_extra={**KEYED, **openapi.NEW_TEMPLATE},
    responses=openapi.TEMPLATE,
)
def create_template(
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = TemplateWriter,
) -> Response:
    """Keep sections of custom reports under a name."""

    def work(session: WriteSession, actor: Actor) -> Response:
        row = ask.keep_template(session, body, principal, actor)
        return json_response(wire.template_row(row), 201)

    return change(request, principal, raw, work)


@router.get(
    "/templates",
    operation_id="listReportTemplates",
    responses=openapi.TEMPLATES,
    dependencies=[Depends(paging_parameters)],
)
def list_templates(request: Request, principal: Principal = TemplateReader) -> Response:
    """Kept sections, the newest first."""
    refuse_unknown(request, PARAMETERS | {"organization_id"})
    organization_id = principal.organization_id
    subject = f"{organization_id} report templates"
    page = page_request(request.query_params, subject, (str,))
    below = None if page.position is None else str(page.position[0])
    with read(deps.database(request)) as session:
        rows = store.templates(session, organization_id, below, page.offset, page.limit + 1)
    shown = rows[: page.limit]
    cursor = encode_cursor(subject, [shown[-1]["id"]]) if len(rows) > page.limit else None
    return json_response(page_answer([wire.template_row(row) for row in shown], page, cursor))


@router.delete(
    "/templates/{template_id}",
    status_code=204,
    operation_id="deleteReportTemplate",
    openapi_extra=KEYED,
)
def delete_template(
    template_id: str, request: Request, raw: bytes = Raw, principal: Principal = TemplateWriter
) -> Response:
    """Remove kept sections; reports made with them stay."""

    def work(session: WriteSession, actor: Actor) -> Response:
        ask.remove_template(session, principal, template_id, actor)
        return Response(status_code=204)

    return change(request, principal, raw, work)


@router.get("/{report_id}", operation_id="getReport", responses=openapi.REPORT)
def get_report(report_id: str, request: Request, principal: Principal = Reader) -> Response:
    """One report and where it stands."""
    with read(deps.database(request)) as session:
        return json_response(wire.report_row(ask.found(session, principal, report_id)))


@router.post(
    "/{report_id}/cancel",
    operation_id="cancelReport",
    openapi_extra=KEYED,
    responses=openapi.REPORT,
)
def cancel_report(
    report_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Take back a report that is not made yet."""

    def work(session: WriteSession, actor: Actor) -> Response:
        return json_response(wire.report_row(ask.cancel(session, principal, report_id, actor)))

    return change(request, principal, raw, work)


@router.delete("/{report_id}", status_code=204, operation_id="deleteReport", openapi_extra=KEYED)
def delete_report(
    report_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Remove a report with its content."""

    def work(session: WriteSession, actor: Actor) -> Response:
        ask.remove(session, principal, report_id, actor)
        return Response(status_code=204)

    return change(request, principal, raw, work)


@router.get(
    "/{report_id}/download",
    operation_id="downloadReport",
    openapi_extra=openapi.DOWNLOAD,
    responses=openapi.FILE,
)
async def download_report(
    report_id: str, request: Request, principal: Principal = Reader
) -> Response:
    """The report as a file, in the form that it was asked for or in any other."""
    return await in_turn(request, partial(_downloaded, request, principal, report_id))


def _downloaded(request: Request, principal: Principal, report_id: str) -> Response:
    refuse_unknown(request, {"format", "organization_id"})
    database = deps.database(request)
    with read(database) as session:
        row = ask.found(session, principal, report_id)
    form = form_of(request.query_params.get("format"), row)
    if form is None:
        raise invalid("format", "must be pdf, xlsx (or excel), html, markdown or json")
    if row["status"] != store.COMPLETED:
        told = f": {row['error']}" if row["error"] else "."
        raise Problem(409, "CONFLICT", f"The report is {row['status']}{told}")
    content = drawn(row, form)
    actor = actor_of(request, principal)
    write_retrying(
        database,
        lambda session: actor.record(
            session, "report.downloaded", "report", report_id, None, {"format": form}
        ),
    )
    headers = {"Content-Disposition": disposition(row, form), "Cache-Control": "no-store"}
    return Response(content, media_type=media_type(form), headers=headers)
