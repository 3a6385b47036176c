"""Requests of persons over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.access.change import KEYED, Raw, change
from llm_cost_ops.server.access.deps import own_fields, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession, read, write_retrying
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import MEDIA_TYPE, json_response
from llm_cost_ops.server.http.pagination import (
    PARAMETERS,
    encode_cursor,
    page_answer,
    page_request,
    paging_parameters,
)
from llm_cost_ops.server.http.problems import Problem, invalid, not_found
from llm_cost_ops.server.http.routing import refuse_unknown
from llm_cost_ops.server.ledger.routes import Body
from llm_cost_ops.server.privacy import openapi, store
from llm_cost_ops.server.privacy.export import write_json, write_zip
from llm_cost_ops.server.privacy.requests import ACCESS, again, make
from llm_cost_ops.server.privacy.subject import subject_of
from llm_cost_ops.server.privacy.wire import request_row

Reader = Depends(require("read:privacy"))
Writer = Depends(require("write:privacy"))
CHUNK_BYTES = 64 * 1024

router = APIRouter(prefix="/api/v1/privacy/requests", tags=["privacy"])


@router.post(
    "",
    status_code=201,
    operation_id="createPrivacyRequest",
    openapi_extra={**KEYED, **openapi.NEW_REQUEST},
    responses=openapi.MADE,
)
def create_request(
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Ask for what a person may: `access`, `erase`, `rectify`, `restrict`, `object`, `lift`. An
    erasure is a job; look at its status."""
    fields = own_fields(principal, body)

    def work(session: WriteSession, actor: Actor) -> Response:
        return json_response(request_row(make(session, fields, actor, principal)), 201)

    return change(request, principal, raw, work, kept=_without_name)


def _without_name(response: Response) -> Response:
    """What is kept of an answer for who sends the request again."""
    shown = loads(bytes(response.body).decode())
    return json_response({**shown, "subject": shown["id"]}, response.status_code)


@router.get(
    "",
    operation_id="listPrivacyRequests",
    responses=openapi.REQUESTS,
    dependencies=[Depends(paging_parameters)],
)
def list_requests(request: Request, principal: Principal = Reader) -> Response:
    """Requests, the newest first."""
    refuse_unknown(request, PARAMETERS | {"organization_id"})
    subject = f"{principal.organization_id} privacy"
    page = page_request(request.query_params, subject, (str,))
    below = None if page.position is None else str(page.position[0])
    with read(deps.database(request)) as session:
        rows = store.rows(session, principal.organization_id, below, page.offset, page.limit + 1)
    kept = rows[: page.limit]
    cursor = encode_cursor(subject, [kept[-1]["id"]]) if len(rows) > page.limit else None
    return json_response(page_answer([request_row(row) for row in kept], page, cursor))


@router.post(
    "/{request_id}/retry",
    status_code=202,
    operation_id="retryPrivacyRequest",
    openapi_extra=KEYED,
    responses=openapi.RETRIED,
)
def retry_request(
    request_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Try an erasure again that failed; it goes on where it was."""

    def work(session: WriteSession, actor: Actor) -> Response:
        return json_response(request_row(again(session, request_id, actor, principal)), 202)

    return change(request, principal, raw, work, kept=_without_name)


@router.get("/{request_id}", operation_id="getPrivacyRequest", responses=openapi.REQUEST)
def get_request(request_id: str, request: Request, principal: Principal = Reader) -> Response:
    """One request and where it stands."""
    return json_response(request_row(_found(request, principal, request_id)))


@router.get(
    "/{request_id}/certificate",
    operation_id="getPrivacyCertificate",
    responses=openapi.CERTIFICATE,
)
def get_certificate(request_id: str, request: Request, principal: Principal = Reader) -> Response:
    """What an erasure did, signed."""
    row = _found(request, principal, request_id)
    if row["certificate"] is None:
        raise not_found("This request has no certificate (yet)")
    return json_response(loads(row["certificate"]))


@router.get(
    "/{request_id}/export",
    operation_id="exportPrivacyRequest",
    openapi_extra=openapi.EXPORT_PARAMETERS,
    responses=openapi.EXPORT,
)
def export_request(request_id: str, request: Request, principal: Principal = Writer) -> Response:
    """All that is stored about the person of an `access` request, as of now."""
    refuse_unknown(request, {"format", "organization_id"})
    form = request.query_params.get("format", "json")
    if form not in ("json", "csv"):
        raise invalid("format", "must be json or csv")
    row = _found(request, principal, request_id)
    if row["kind"] != ACCESS:
        raise Problem(409, "CONFLICT", "Only a request for access has an export")
    database, at_us = deps.database(request), deps.clock(request).micros()
    with read(database) as session:
        subject = subject_of(session, principal.organization_id, row["subject"])
    actor = Actor(principal.organization_id, principal.key_id, None, at_us)
    write_retrying(
        database,
        lambda session: actor.record(
            session, "privacy.export", "privacy_request", row["id"], None, {"format": form}
        ),
    )
    file = (write_json if form == "json" else write_zip)(database, subject, at_us)
    # The id is ours: nothing that anybody typed gets into the name of the file.
    name = f"{row['id']}.{'json' if form == 'json' else 'zip'}"
    return StreamingResponse(
        _chunks(file),
        media_type=MEDIA_TYPE if form == "json" else "application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        },
    )


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _found(request: Request, principal: Principal, request_id: str) -> dict[str, Any]:
    with read(deps.database(request)) as session:
        row = store.row(session, principal.organization_id, request_id)
    if row is None:
        raise not_found("Privacy request not found")
    return row
