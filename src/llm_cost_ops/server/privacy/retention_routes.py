"""Retention over HTTP."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.server.access.change import KEYED, Raw, change
from llm_cost_ops.server.access.deps import own_fields, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers, json_body, list_of
from llm_cost_ops.server.http.pagination import (
    PARAMETERS,
    encode_cursor,
    page_answer,
    page_request,
    paging_parameters,
)
from llm_cost_ops.server.http.routing import refuse_unknown
from llm_cost_ops.server.ledger.routes import Body
from llm_cost_ops.server.privacy.jobs import RETAIN
from llm_cost_ops.server.privacy.retention import MOST_DAYS, archives_of, preview, set_policy, wire
from llm_cost_ops.server.queue.enqueue import NewJob, enqueue

Reader = Depends(require("read:privacy"))
Writer = Depends(require("write:privacy"))
Schema = dict[str, Any]
_POLICY: Schema = {
    "type": "object",
    "required": ["kept", "days", "archive"],
    "properties": {
        "kept": {"type": "string"},
        "days": {"type": ["integer", "null"], "description": "null: for ever."},
        "archive": {"type": "boolean"},
        "inherited": {
            "type": "boolean",
            "description": "Whether it is the organization's data_retention_days.",
        },
        "due": {"type": "integer", "description": "Rows that are older now."},
    },
}
_NEW = json_body(
    {
        "type": "object",
        "required": ["days"],
        "properties": {
            "days": {"type": ["integer", "null"], "minimum": 1, "maximum": MOST_DAYS},
            "archive": {"type": "boolean"},
            "organization_id": {"type": ["string", "null"]},
        },
    }
)
_ARCHIVE: Schema = {"type": "object", "required": ["id", "kept", "file", "sha256", "rows"]}

router = APIRouter(prefix="/api/v1/retention", tags=["privacy"])


@router.get(
    "",
    operation_id="listRetention",
    responses=answers(200, list_of(_POLICY), "A policy for each thing that may have one."),
)
def list_policies(request: Request, principal: Principal = Reader) -> Response:
    """How long the organization keeps what, and how much is older now."""
    refuse_unknown(request, {"organization_id"})
    with read(deps.database(request)) as session:
        rows = preview(session, principal.organization_id, deps.clock(request).micros())
    listed = {"data": rows, "has_more": False, "next_cursor": None}
    return json_response({**listed, "pagination": {"count": len(rows)}})


@router.put(
    "/{kept}",
    operation_id="setRetention",
    openapi_extra={**KEYED, **_NEW},
    responses=answers(200, _POLICY, "The policy."),
)
def put_policy(
    kept: str,
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Keep something for a number of days, or for ever (`days` null). It is archived before it is
    removed unless `archive` is false."""
    fields = own_fields(principal, body)

    def work(session: WriteSession, actor: Actor) -> Response:
        return json_response(wire(set_policy(session, kept, fields, actor)))

    return change(request, principal, raw, work)


@router.post(
    "/run",
    status_code=202,
    operation_id="runRetention",
    openapi_extra=KEYED,
    responses=answers(202, {"type": "object", "required": ["job_id"]}, "A worker does it."),
)
def run_now(request: Request, raw: bytes = Raw, principal: Principal = Writer) -> Response:
    """Remove what is older than its policy now, and not only at night."""

    def work(session: WriteSession, actor: Actor) -> Response:
        job = NewJob(RETAIN, {}, actor.organization_id)
        job_id = enqueue(session, job, now_us=actor.now_us)
        actor.record(session, "retention.run", "retention", job_id, None, None)
        return json_response({"job_id": job_id}, 202)

    return change(request, principal, raw, work)


@router.get(
    "/archives",
    operation_id="listRetentionArchives",
    responses=answers(200, list_of(_ARCHIVE), "The newest first."),
    dependencies=[Depends(paging_parameters)],
)
def list_archives(request: Request, principal: Principal = Reader) -> Response:
    """Archives of what was removed, with their digests."""
    refuse_unknown(request, PARAMETERS | {"organization_id"})
    subject = f"{principal.organization_id} archives"
    page = page_request(request.query_params, subject, (str,))
    below = None if page.position is None else str(page.position[0])
    with read(deps.database(request)) as session:
        rows = archives_of(session, principal.organization_id, below, page.offset, page.limit + 1)
    kept = rows[: page.limit]
    cursor = encode_cursor(subject, [kept[-1]["id"]]) if len(rows) > page.limit else None
    shown = [
        {
            "id": row["id"],
            "kept": row["kept"],
            "file": row["file"],
            "rows": row["row_count"],
            "bytes": row["size_bytes"],
            "sha256": row["sha256"],
            "content_sha256": row["content_sha256"],
            "before": from_micros(row["before_at"]).isoformat(),
            "created_at": from_micros(row["created_at"]).isoformat(),
        }
        for row in kept
    ]
    return json_response(page_answer(shown, page, cursor))
