"""Schedules over HTTP: defined, paused, run; their runs and files."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import cast

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from llm_cost_ops.server.access.change import KEYED, Raw, actor_of, change
from llm_cost_ops.server.access.deps import own_fields, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.analytics.request import Home, home
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession, read, write_retrying
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.pagination import (
    PARAMETERS,
    encode_cursor,
    page_answer,
    page_request,
    paging_parameters,
)
from llm_cost_ops.server.http.problems import invalid, not_found
from llm_cost_ops.server.http.request_id import request_id
from llm_cost_ops.server.http.routing import beside, refuse_unknown
from llm_cost_ops.server.ledger.routes import Body
from llm_cost_ops.server.pricing.change import Untimed
from llm_cost_ops.server.schedules import define, openapi, store, wire
from llm_cost_ops.server.schedules.desk import ScheduleDesk
from llm_cost_ops.server.schedules.kinds import EXPORT, KINDS, REPORT
from llm_cost_ops.server.schedules.owner import owner_of
from llm_cost_ops.server.schedules.store import STATUSES, Row
from llm_cost_ops.server.storage.storage import NotKept

Owner = Depends(require("read:costs", "export:data", conditions="applied"))
ReportOwner = Depends(require("read:costs", "export:data", "write:reports", conditions="applied"))
_DIGITS = 12
Work = Callable[[WriteSession, Actor], Row]

router = APIRouter(prefix="/api/v1/exports", tags=["schedules"])
reports = APIRouter(prefix="/api/v1/reports", tags=["schedules"])


def desk_of(request: Request) -> ScheduleDesk:
    return cast("ScheduleDesk", request.app.state.schedules)


def _home(request: Request, principal: Principal) -> Home:
    with read(deps.database(request)) as session:
        return home(session, principal, deps.clock(request).now())


@router.post(
    "/schedules",
    status_code=201,
    operation_id="createSchedule",
    openapi_extra={**KEYED, **openapi.NEW},
    responses=openapi.MADE,
)
def create_schedule(
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Owner,
) -> Response:
    """Deliver a file again and again: what is exported, when, and where it goes."""
    return _created(request, principal, body, raw, EXPORT)


@reports.post(
    "/schedules",
    status_code=201,
    operation_id="createReportSchedule",
    openapi_extra={**KEYED, **openapi.NEW},
    responses=openapi.MADE,
)
def create_report_schedule(
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = ReportOwner,
) -> Response:
    """Deliver a report again and again; it is one of the schedules of `/exports/schedules`."""
    return _created(request, principal, body, raw, REPORT)


def _created(
    request: Request, principal: Principal, body: dict[str, object], raw: bytes, kind: str
) -> Response:
    desk, at, now_us = desk_of(request), _home(request, principal), deps.clock(request).micros()
    given = define.read_given(own_fields(principal, body), at, now_us, kind=kind)
    define.check(given, principal, at, desk)
    define.examine(given, desk.carriers.http.guard)
    return _changed(
        request, principal, raw,
        lambda session, actor: define.create(session, given, principal, desk, actor), 201,
    )  # fmt: skip


@router.get(
    "/schedules",
    operation_id="listSchedules",
    responses=openapi.SCHEDULES,
    dependencies=[Depends(paging_parameters)],
)
def list_schedules(
    request: Request, principal: Principal = Owner, what: str | None = None
) -> Response:
    """Schedules, the newest first. Who is limited by conditions sees own ones."""
    refuse_unknown(request, PARAMETERS | {"what", "organization_id"})
    if what is not None and what not in KINDS:
        raise invalid("what", f"must be one of: {', '.join(KINDS)}")
    organization_id = principal.organization_id
    subject = f"{organization_id} schedules {what}"
    page = page_request(request.query_params, subject, (str,))
    own = None
    if not principal.reach.is_everything:
        mine = owner_of(principal)
        own = (mine.key_id, mine.user_id)
    with read(deps.database(request)) as session:
        rows = store.schedules(
            session,
            organization_id,
            kind=what,
            own=own,
            before=str(page.position[0]) if page.position else None,
            limit=page.limit + 1,
            offset=page.offset,
        )
        last = store.last_runs(session, organization_id, [row["id"] for row in rows])
    desk = desk_of(request)
    shown = [wire.schedule_row(row, last.get(row["id"]), desk) for row in rows[: page.limit]]
    more = len(rows) > page.limit
    cursor = encode_cursor(subject, [shown[-1]["id"]]) if more else None
    return json_response(page_answer(shown, page, cursor))


@router.get("/schedules/{schedule_id}", operation_id="getSchedule", responses=openapi.SCHEDULE)
def get_schedule(schedule_id: str, request: Request, principal: Principal = Owner) -> Response:
    """One schedule with its last run."""
    with read(deps.database(request)) as session:
        row = define.own_schedule(session, principal, schedule_id)
        last = store.last_runs(session, principal.organization_id, [schedule_id])
    return json_response(wire.schedule_row(row, last.get(schedule_id), desk_of(request)))


@router.put(
    "/schedules/{schedule_id}",
    operation_id="updateSchedule",
    openapi_extra={**KEYED, **openapi.CHANGED},
    responses=openapi.SCHEDULE,
)
@router.patch(
    "/schedules/{schedule_id}",
    operation_id="changeSchedule",
    openapi_extra={**KEYED, **openapi.CHANGED},
    responses=openapi.SCHEDULE,
)
def update_schedule(
    schedule_id: str,
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Owner,
) -> Response:
    """Change a schedule; what is not named stays. It runs in the caller's name from then on."""
    desk, at = desk_of(request), _home(request, principal)
    fields = own_fields(principal, body)
    with read(deps.database(request)) as session:
        before = define.own_schedule(session, principal, schedule_id)
    given = define.read_given(fields, at, deps.clock(request).micros(), before)
    define.examine(given, desk.carriers.http.guard)
    return _changed(
        request, principal, raw,
        lambda session, actor: define.update(
            session, schedule_id, fields, principal, at, desk, actor
        ),
    )  # fmt: skip


@router.delete(
    "/schedules/{schedule_id}",
    status_code=204,
    operation_id="deleteSchedule",
    openapi_extra=KEYED,
)
def delete_schedule(
    schedule_id: str, request: Request, raw: bytes = Raw, principal: Principal = Owner
) -> Response:
    """Remove a schedule. Files that were delivered are kept as long as others."""

    def work(session: WriteSession, actor: Actor) -> Response:
        define.remove(session, principal, schedule_id, actor)
        return Response(status_code=204)

    return change(request, principal, raw, work)


@router.post(
    "/schedules/{schedule_id}/pause",
    operation_id="pauseSchedule",
    openapi_extra=KEYED,
    responses=openapi.SCHEDULE,
)
def pause_schedule(
    schedule_id: str, request: Request, raw: bytes = Raw, principal: Principal = Owner
) -> Response:
    """Let a schedule rest until it is resumed."""
    return _changed(
        request, principal, raw,
        lambda session, actor: define.pause(session, principal, schedule_id, actor),
    )  # fmt: skip


@router.post(
    "/schedules/{schedule_id}/resume",
    operation_id="resumeSchedule",
    openapi_extra=KEYED,
    responses=openapi.SCHEDULE,
)
def resume_schedule(
    schedule_id: str, request: Request, raw: bytes = Raw, principal: Principal = Owner
) -> Response:
    """Go on with the next slot."""
    return _changed(
        request, principal, raw,
        lambda session, actor: define.resume(session, principal, schedule_id, actor),
    )  # fmt: skip


@router.post(
    "/schedules/{schedule_id}/run",
    status_code=202,
    operation_id="runSchedule",
    openapi_extra=KEYED,
    responses=openapi.BEGUN,
)
def run_schedule(
    schedule_id: str, request: Request, raw: bytes = Raw, principal: Principal = Owner
) -> Response:
    """Run a schedule now, beside its own times."""

    def work(session: WriteSession, actor: Actor) -> Response:
        run = define.run_now(session, principal, schedule_id, actor)
        return json_response(wire.run_row(run, []), 202)

    return change(request, principal, raw, work)


@router.get(
    "/schedules/{schedule_id}/runs",
    operation_id="listScheduleRuns",
    responses=openapi.RUNS,
    dependencies=[Depends(paging_parameters)],
)
def list_runs(
    schedule_id: str, request: Request, principal: Principal = Owner, status: str | None = None
) -> Response:
    """Runs of a schedule, the newest first."""
    refuse_unknown(request, PARAMETERS | {"status", "organization_id"})
    if status is not None and status not in STATUSES:
        raise invalid("status", f"must be one of: {', '.join(STATUSES)}")
    organization_id = principal.organization_id
    subject = f"{organization_id} runs {schedule_id} {status}"
    page = page_request(request.query_params, subject, (int,))
    with read(deps.database(request)) as session:
        schedule = define.own_schedule(session, principal, schedule_id)
        rows = store.runs(
            session,
            organization_id,
            schedule_id,
            status=status,
            before_us=int(str(page.position[0])) if page.position else None,
            limit=page.limit + 1,
            offset=page.offset,
        )
        parts = store.parts(session, organization_id, [row["id"] for row in rows])
    shown = [
        wire.run_row(row, parts, is_read=define.is_read(principal, row, schedule))
        for row in rows[: page.limit]
    ]
    more = len(rows) > page.limit
    cursor = encode_cursor(subject, [int(rows[page.limit - 1]["fire_at"])]) if more else None
    return json_response(page_answer(shown, page, cursor))


@router.get("/schedules/runs/{run_id}", operation_id="getScheduleRun", responses=openapi.RUN)
def get_run(run_id: str, request: Request, principal: Principal = Owner) -> Response:
    """One run with what became of it at each destination."""
    with read(deps.database(request)) as session:
        run, _ = define.own_run(session, principal, run_id)
        parts = store.parts(session, principal.organization_id, [run_id])
    return json_response(wire.run_row(run, parts))


@router.get(
    "/schedules/runs/{run_id}/file",
    operation_id="downloadScheduleRun",
    responses=openapi.FILE,
    dependencies=[Untimed],
)
def download_run(run_id: str, request: Request, principal: Principal = Owner) -> Response:
    """The file of a run, as long as it is kept."""
    with read(deps.database(request)) as session:
        run, _ = define.own_run(session, principal, run_id)
    return _file(request, run, actor_of(request, principal))


@router.get(
    "/deliveries/{run_id}",
    operation_id="fetchDelivery",
    openapi_extra={"security": []},
    responses=openapi.FILE,
    dependencies=[Untimed],
)
def fetch_delivery(
    run_id: str, request: Request, organization: str, expires: str, signature: str
) -> Response:
    """The file of a run by the link of a message: without signing in, until the link ends."""
    now_us = deps.clock(request).micros()
    until_s = int(expires) if expires.isascii() and expires.isdigit() and (
        len(expires) <= _DIGITS) else 0  # fmt: skip
    links = desk_of(request).links
    if not links.good(organization, run_id, until_s, signature, now_us):
        raise not_found("The link is not valid, or has ended.")
    with read(deps.database(request)) as session:
        run = store.run(session, organization, run_id)
    if run is None:
        raise not_found("The link is not valid, or has ended.")
    return _file(request, run, Actor(organization, None, request_id(request.scope), now_us))


def _file(request: Request, run: Row, actor: Actor) -> Response:
    """What is kept of a run, streamed; who fetches it is in the audit log."""
    if run["file"] is None or run["expires_at"] is None or int(run["expires_at"]) <= actor.now_us:
        raise not_found("There is no file of this run, or no longer.")
    files, key = desk_of(request).files, str(run["file_key"])
    chunks = files.get(key)
    try:  # the first piece before the answer begins: what cannot be read is an error still
        chunks = chain((next(chunks, b""),), chunks)
    except NotKept:
        raise not_found("There is no file of this run, or no longer.") from None
    write_retrying(
        deps.database(request),
        lambda session: actor.record(
            session, "export.downloaded", "schedule_run", run["id"], None, {"file": run["file"]}
        ),
    )
    return StreamingResponse(
        chunks,
        media_type=run["media_type"],
        headers={
            "Content-Disposition": f'attachment; filename="{run["file"]}"',
            "Content-Length": str(run["size_bytes"]),
            "Cache-Control": "no-store",
        },
    )


def _changed(
    request: Request, principal: Principal, raw: bytes, work: Work, status: int = 200
) -> Response:
    def run(session: WriteSession, actor: Actor) -> Response:
        row = work(session, actor)
        last = store.last_runs(session, actor.organization_id, [row["id"]])
        shown = wire.schedule_row(row, last.get(row["id"]), desk_of(request))
        return json_response(shown, status)

    return change(request, principal, raw, run)


singular = beside(router, "/api/v1/exports", "/api/v1/export", "Singular")
