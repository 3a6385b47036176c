"""The looks of reports over HTTP."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from llm_cost_ops.server.access.change import KEYED, Raw, change
from llm_cost_ops.server.access.deps import require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers, json_body
from llm_cost_ops.server.http.routing import refuse_unknown
from llm_cost_ops.server.ledger.routes import Body
from llm_cost_ops.server.reports import store
from llm_cost_ops.server.reports.style import MAX_LOGO_TEXT, keep_style, remove_style, wire

Reader = Depends(require("read:reports"))
Writer = Depends(require("write:organizations"))
_COLOUR = {"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"}
_STYLE = {
    "type": "object",
    "required": ["primary_color", "accent_color", "logo", "updated_at"],
    "properties": {
        "primary_color": _COLOUR,
        "accent_color": _COLOUR,
        "logo": {"type": ["string", "null"], "description": "A PNG picture in base64."},
        "updated_at": {"type": ["string", "null"], "format": "date-time"},
    },
}
_CHOSEN = {"type": ["string", "null"], "pattern": "^#[0-9a-fA-F]{6}$"}
_LOGO = {
    "type": ["string", "null"],
    "maxLength": MAX_LOGO_TEXT,
    "description": "A PNG or JPEG file in base64, at most 1 MiB and 4096 pixels each way.",
}
_GIVEN = json_body(
    {
        "type": "object",
        "properties": {
            "primary_color": _CHOSEN,
            "accent_color": _CHOSEN,
            "logo": _LOGO,
            "organization_id": {"type": "string"},
        },
    }
)

router = APIRouter(prefix="/api/v1/reports/style", tags=["reports"])


@router.get("", operation_id="getReportStyle", responses=answers(200, _STYLE, "Colours and logo."))
def get_style(request: Request, principal: Principal = Reader) -> Response:
    """The looks of the organization's reports."""
    refuse_unknown(request, {"organization_id"})
    with read(deps.database(request)) as session:
        return json_response(wire(store.style(session, principal.organization_id)))


@router.put(
    "",
    operation_id="setReportStyle",
    openapi_extra={**KEYED, **_GIVEN},
    responses=answers(200, _STYLE, "Colours and logo."),
)
def set_style(
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Replace the looks of reports that are made from now on; what is left out is plain."""

    def work(session: WriteSession, actor: Actor) -> Response:
        return json_response(wire(keep_style(session, body, principal, actor)))

    return change(request, principal, raw, work)


@router.delete("", status_code=204, operation_id="deleteReportStyle", openapi_extra=KEYED)
def delete_style(request: Request, raw: bytes = Raw, principal: Principal = Writer) -> Response:
    """Make reports plain again."""

    def work(session: WriteSession, actor: Actor) -> Response:
        remove_style(session, principal, actor)
        return Response(status_code=204)

    return change(request, principal, raw, work)
