"""Ordered exports over HTTP: asked for, looked at, fetched in pieces, and removed."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, cast

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from llm_cost_ops.server.access.change import KEYED, Raw, actor_of, change
from llm_cost_ops.server.access.deps import require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.analytics.asked import Asked
from llm_cost_ops.server.analytics.request import home
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read, write_retrying
from llm_cost_ops.server.exports import openapi, store
from llm_cost_ops.server.exports.allowed import EXPORT, allowed
from llm_cost_ops.server.exports.asked import kind_named, wanted_of
from llm_cost_ops.server.exports.orders import is_shown, order, removed, unknown
from llm_cost_ops.server.exports.ranges import Span, Unsatisfiable, span_of
from llm_cost_ops.server.exports.wire import PATH, export_row
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.pagination import (
    PARAMETERS,
    encode_cursor,
    page_answer,
    page_request,
    paging_parameters,
)
from llm_cost_ops.server.http.problems import Problem, invalid
from llm_cost_ops.server.http.routing import beside, refuse_unknown
from llm_cost_ops.server.ledger.routes import Body
from llm_cost_ops.server.pricing.change import Untimed
from llm_cost_ops.server.storage.lazily import OnFirstUse
from llm_cost_ops.server.storage.storage import NotKept, Storage, StorageUnavailable

BATCH = 500
Exporter = Depends(require(EXPORT, conditions="applied"))

router = APIRouter(prefix=PATH, tags=["exports"])


def _storage(request: Request) -> Storage:
    """Raises StorageUnavailable."""
    return cast("OnFirstUse", request.app.state.storage).opened()


@router.post(
    "",
    status_code=202,
    operation_id="createExport",
    openapi_extra={**KEYED, **openapi.NEW},
    responses=openapi.ORDERED,
)
def create_export(
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Exporter,
) -> Response:
    """Order a file of calls, or of groups of them: a worker makes it, and it is kept for some days.
    Calls that arrive meanwhile, behind the place reached, are not in it."""
    settings = deps.settings(request)
    within = allowed(principal, kind_named(body.get("type")))
    _storage(request)  # what lacks is told now, and not to a worker

    def work(session: WriteSession, actor: Actor) -> Response:
        at = home(session, principal, deps.clock(request).now())
        wanted = wanted_of(Asked(body, in_url=False), within, at)
        most = settings.export.max_unfinished
        row = order(session, body, wanted, at, actor, within, most)
        return json_response(export_row(row, actor.now_us), 202)

    return change(request, principal, raw, work)


@router.get(
    "",
    operation_id="listExports",
    openapi_extra={"parameters": [openapi.STATUS]},
    responses=openapi.LISTED,
    dependencies=[Depends(paging_parameters)],
)
def list_exports(request: Request, principal: Principal = Exporter) -> Response:
    """Exports that the caller may see, the newest first."""
    refuse_unknown(request, PARAMETERS | {"organization_id", "status"})
    status = request.query_params.get("status")
    if status is not None and status not in store.STATUSES:
        raise invalid("status", f"must be one of: {', '.join(store.STATUSES)}")
    subject = f"{principal.organization_id} exports {status}"
    page = page_request(request.query_params, subject, (str,))
    below = None if page.position is None else str(page.position[0])
    with read(deps.database(request)) as session:
        found = _shown(session, principal, below, status, page.offset + page.limit + 1)
    rows = found[page.offset :]
    kept = rows[: page.limit]
    cursor = encode_cursor(subject, [kept[-1]["id"]]) if len(rows) > page.limit else None
    now_us = deps.clock(request).micros()
    return json_response(page_answer([export_row(row, now_us) for row in kept], page, cursor))


def _shown(
    session: ReadSession, principal: Principal, below: str | None, status: str | None, most: int
) -> list[dict[str, Any]]:
    """The first `most` exports that the caller may see."""
    found: list[dict[str, Any]] = []
    while True:
        rows = store.rows(session, principal.organization_id, below, BATCH, status)
        found += [row for row in rows if is_shown(row, principal)]
        if len(rows) < BATCH or len(found) >= most:
            return found[:most]
        below = rows[-1]["id"]


@router.get("/{export_id}", operation_id="getExport", responses=openapi.ONE)
def get_export(export_id: str, request: Request, principal: Principal = Exporter) -> Response:
    """One export and how far it is."""
    row = _found(request, principal, export_id)
    return json_response(export_row(row, deps.clock(request).micros()))


@router.delete("/{export_id}", status_code=204, operation_id="deleteExport", dependencies=[Untimed])
def delete_export(export_id: str, request: Request, principal: Principal = Exporter) -> Response:
    """Cancel an export that is not made yet, or remove the file of one that is."""
    actor = actor_of(request, principal)
    key = write_retrying(
        deps.database(request),
        lambda session: removed(session, export_id, actor, principal),
    )
    if key is not None:
        with suppress(StorageUnavailable):  # then the sweep does it
            _storage(request).delete(key)
    return Response(status_code=204)


@router.get(
    "/{export_id}/download",
    operation_id="downloadExport",
    openapi_extra=openapi.DOWNLOAD,
    responses=openapi.FILE,
    dependencies=[Untimed],
)
def download_export(export_id: str, request: Request, principal: Principal = Exporter) -> Response:
    """The file, or one range of its bytes: a download that broke goes on where it was."""
    row = _found(request, principal, export_id)
    _refuse_unready(row, deps.clock(request).micros())
    size, etag = int(row["size_bytes"]), f'"{row["sha256"]}"'
    try:
        headers = request.headers
        span = span_of(headers.get("range"), headers.get("if-range"), etag, size)
    except Unsatisfiable:
        raise Problem(
            416,
            "INVALID_REQUEST",
            f"The range begins behind the last of {size} bytes.",
            headers={"Content-Range": f"bytes */{size}"},
        ) from None
    chunks = _opened(_storage(request), row, span)
    actor = actor_of(request, principal)
    detail = {"bytes": size if span is None else span.end - span.start}
    write_retrying(
        deps.database(request),
        lambda session: actor.record(
            session, "export.downloaded", "export", export_id, None, detail
        ),
    )
    return _answer(row, span, etag, chunks)


def _answer(row: dict[str, Any], span: Span | None, etag: str, chunks: Iterator[bytes]) -> Response:
    size = int(row["size_bytes"])
    digest = base64.b64encode(bytes.fromhex(row["sha256"])).decode()
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{row["file_name"]}"',
        "Content-Length": str(size if span is None else span.end - span.start),
        "ETag": etag,
        "Repr-Digest": f"sha-256=:{digest}:",
    }
    if span is not None:
        headers["Content-Range"] = span.header(size)
    return StreamingResponse(
        chunks,
        status_code=200 if span is None else 206,
        media_type=row["media_type"],
        headers=headers,
    )


def _opened(storage: Storage, row: dict[str, Any], span: Span | None) -> Iterator[bytes]:
    """The bytes, of which the first are read before the answer begins: what cannot be read is an
    error still. Raises StorageUnavailable and Problem 410."""
    start, end = span or (0, int(row["size_bytes"]))
    chunks = storage.get(str(row["file_key"]), start, end)
    try:
        return chain((next(chunks, b""),), chunks)
    except NotKept:
        raise gone() from None


def _refuse_unready(row: dict[str, Any], now_us: int) -> None:
    status = export_row(row, now_us)["status"]
    if status == store.COMPLETED:
        return
    if status in store.UNFINISHED:
        raise Problem(409, "CONFLICT", "The export is not made yet.", headers={"Retry-After": "2"})
    if status == store.EXPIRED:
        raise gone()
    raise Problem(409, "CONFLICT", f"The export was {status}.", details={"reason": row["reason"]})


def gone() -> Problem:
    """410: the file is no longer there."""
    return Problem(410, "EXPORT_EXPIRED", "The file of this export is no longer there.")


def _found(request: Request, principal: Principal, export_id: str) -> dict[str, Any]:
    with read(deps.database(request)) as session:
        row = store.row(session, principal.organization_id, export_id)
    if row is None or not is_shown(row, principal):
        raise unknown()
    return row


plural = beside(router, PATH, f"{PATH}s", "Plural")
