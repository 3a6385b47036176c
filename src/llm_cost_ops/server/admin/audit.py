"""The audit log over HTTP: list, export, prove, checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request
from starlette.responses import Response, StreamingResponse

from llm_cost_ops.core.csvcell import line
from llm_cost_ops.core.instant import parse_end, parse_instant, to_micros
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.access.change import actor_of
from llm_cost_ops.server.access.deps import own_fields, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.admin import audit_openapi as openapi
from llm_cost_ops.server.audit import outside, store
from llm_cost_ops.server.audit.checkpoint import Checkpoint, checkpoints
from llm_cost_ops.server.audit.shown import FIELDS, shown
from llm_cost_ops.server.audit.sign import Signer
from llm_cost_ops.server.audit.verify import verify
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import ReadSession, read, snapshot, write_retrying
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.pagination import (
    PARAMETERS,
    encode_cursor,
    page_answer,
    page_request,
    paging_parameters,
)
from llm_cost_ops.server.http.routing import refuse_unknown, room_router
from llm_cost_ops.server.identity.emails import emails_of
from llm_cost_ops.server.ledger.routes import Body

Reader = Depends(require("read:audit"))
FILTERS = frozenset(
    {
        "organization_id", "start_date", "end_date", "action", "user_id", "actor", "resource",
        "outcome", "request_id",
    }
)  # fmt: skip
MAX_CHECKPOINTS = 10_000
_Text = Annotated[str | None, Query(max_length=255)]

router = room_router("/api/v1/audit", "audit")


async def filters_of(
    start_date: Annotated[str | None, Query(description="From this day or time on.")] = None,
    end_date: Annotated[str | None, Query(description="To this day, included, or time.")] = None,
    action: Annotated[
        str | None, Query(max_length=64, description="One, or all that begin so: `auth.*`.")
    ] = None,
    user_id: _Text = None,
    actor: Annotated[
        str | None, Query(max_length=255, description="Id of a credential, or its kind.")
    ] = None,
    resource: Annotated[
        str | None, Query(max_length=320, description="A type, or type and id: `budget:bud_1`.")
    ] = None,
    outcome: Literal["success", "denied", "failure"] | None = None,
    request_id: _Text = None,
) -> store.Filters:
    """The filters of a request. Raises InstantError and Problem 422."""
    start = None if start_date is None else to_micros(parse_instant(start_date, "start_date"))
    end = None if end_date is None else to_micros(parse_end(end_date))
    return store.Filters(start, end, action, user_id, actor, resource, outcome, request_id)


Filtered = Depends(filters_of)


@router.get(
    "",
    operation_id="listAuditEntries",
    responses=openapi.ENTRIES,
    dependencies=[Depends(paging_parameters)],
)
@router.get(
    "/logs",
    operation_id="listAuditLogs",
    responses=openapi.ENTRIES,
    dependencies=[Depends(paging_parameters)],
)
def list_entries(
    request: Request, filters: store.Filters = Filtered, principal: Principal = Reader
) -> Response:
    """Entries of the organization's audit log, the newest first."""
    refuse_unknown(request, PARAMETERS | FILTERS)
    organization_id = principal.organization_id
    subject = f"{organization_id} audit {dumps(asdict(filters))}"
    page = page_request(request.query_params, subject, (int, int))
    after = None
    if page.position is not None:
        after = int(page.position[0] or 0), int(page.position[1] or 0)
    with read(deps.database(request)) as session:
        rows = store.entries(
            session,
            organization_id,
            filters,
            limit=page.limit + 1,
            offset=page.offset,
            after=after,
        )
        data = _shown(session, organization_id, rows[: page.limit])
    cursor = None
    if len(rows) > page.limit:
        last = rows[page.limit - 1]
        cursor = encode_cursor(subject, (int(last["timestamp"]), int(last["seq"])))
    return json_response(page_answer(data, page, cursor))


def _shown(
    session: ReadSession, organization_id: str, rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, object]]:
    users = {row["user_id"] for row in rows if row["user_id"] and not row["user_email"]}
    emails = emails_of(session, organization_id, users)
    return [shown(row, emails) for row in rows]


@router.get("/export", operation_id="exportAuditEntries", responses=openapi.EXPORT)
def export_entries(
    request: Request,
    filters: store.Filters = Filtered,
    form: Annotated[
        Literal["csv", "json", "jsonl"], Query(alias="format", description="Of the file.")
    ] = "csv",
    principal: Principal = Reader,
) -> Response:
    """All entries that the filters leave, the newest first, as a file. In CSV a text that a
    spreadsheet would take for a formula is led by an apostrophe."""
    refuse_unknown(request, FILTERS | {"format"})
    database, organization_id = deps.database(request), principal.organization_id
    actor = actor_of(request, principal)
    told = {name: value for name, value in asdict(filters).items() if value is not None}
    write_retrying(
        database,
        lambda session: actor.record(
            session, "audit.export", "audit", organization_id, None, {"format": form, **told}
        ),
    )
    write, media_type = _FORMS[form]
    return StreamingResponse(
        write(_every(database, organization_id, filters)),
        media_type=media_type,
        headers={
            "Content-Disposition": f'attachment; filename="audit.{form}"',
            "Cache-Control": "no-store",
        },
    )


def _every(
    database: Database, organization_id: str, filters: store.Filters
) -> Iterator[list[dict[str, object]]]:
    for rows in store.pages(database, organization_id, filters):
        with read(database) as session:
            made = _shown(session, organization_id, rows)
        yield made


def _csv(pages: Iterator[list[dict[str, object]]]) -> Iterator[str]:
    yield line(FIELDS)
    for page in pages:
        for entry in page:
            for name in ("before", "after"):
                entry[name] = None if entry[name] is None else dumps(entry[name])
        yield "".join(line(entry[name] for name in FIELDS) for entry in page)


def _jsonl(pages: Iterator[list[dict[str, object]]]) -> Iterator[str]:
    for page in pages:
        yield "".join(f"{dumps(entry)}\n" for entry in page)


def _json(pages: Iterator[list[dict[str, object]]]) -> Iterator[str]:
    between = "["
    for page in pages:
        yield "".join(f"{between if n == 0 else ','}{dumps(e)}" for n, e in enumerate(page))
        between = ","
    yield "[]" if between == "[" else "]"


_FORMS: dict[str, tuple[Callable[[Iterator[list[dict[str, object]]]], Iterator[str]], str]] = {
    "csv": (_csv, "text/csv; charset=utf-8"),
    "json": (_json, "application/json"),
    "jsonl": (_jsonl, "application/x-ndjson"),
}


@router.get("/verify", operation_id="verifyAuditLog", responses=openapi.PROOF)
def verify_log(request: Request, principal: Principal = Reader) -> Response:
    """Walk the organization's chain; `ok`, or the first bad entry."""
    return _proof(request, principal, [])


@router.post(
    "/verify",
    operation_id="verifyAuditLogAgainst",
    responses=openapi.PROOF,
    openapi_extra=openapi.KEPT,
)
def verify_log_against(
    request: Request, body: dict[str, object] = Body, principal: Principal = Reader
) -> Response:
    """The same with checkpoints that were kept outside, as they were given away."""
    fields = own_fields(principal, body)
    given = fields.get("checkpoints")
    if not isinstance(given, list) or set(fields) != {"checkpoints"}:
        raise outside.CheckpointError("must be a list of checkpoints", field="checkpoints")
    if len(given) > MAX_CHECKPOINTS:  # pyright: ignore[reportUnknownArgumentType]
        raise outside.CheckpointError(f"are more than {MAX_CHECKPOINTS}", field="checkpoints")
    kept = outside.checked_all(given)  # pyright: ignore[reportUnknownArgumentType]
    own = [each for each in kept if each.organization_id == principal.organization_id]
    if len(own) < len(kept):
        raise outside.CheckpointError("are of another organization", field="checkpoints")
    return _proof(request, principal, own)


def _proof(request: Request, principal: Principal, kept: list[Checkpoint]) -> Response:
    signer = Signer.of(deps.settings(request))
    with snapshot(deps.database(request)) as session:
        return json_response(verify(session, principal.organization_id, signer, kept).shown())


@router.get("/checkpoints", operation_id="listAuditCheckpoints", responses=openapi.CHECKPOINTS)
def list_checkpoints(
    request: Request,
    since: Annotated[str | None, Query(description="Those made since this day or time.")] = None,
    principal: Principal = Reader,
) -> Response:
    """Signed checkpoints of the log, the oldest first, to be kept outside: the first 10,000 since
    the time that is given."""
    refuse_unknown(request, ("since", "organization_id"))
    since_us = 0 if since is None else to_micros(parse_instant(since, "since"))
    signer = Signer.of(deps.settings(request))
    with read(deps.database(request)) as session:
        found = checkpoints(
            session, principal.organization_id, since_us=since_us, limit=MAX_CHECKPOINTS + 1
        )
    data = [outside.shown(each, signer) for each in found[:MAX_CHECKPOINTS]]
    more = len(found) > MAX_CHECKPOINTS
    listed = {"data": data, "has_more": more, "next_cursor": None}
    return json_response({**listed, "pagination": {"count": len(data), "has_more": more}})
