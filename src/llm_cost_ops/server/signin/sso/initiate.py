"""Where a program sends its user to sign in by an identity provider."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Request
from pydantic import Field
from starlette.responses import Response

from llm_cost_ops.server.access.oauth.consent import issuer_of
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers
from llm_cost_ops.server.http.problems import invalid, not_found
from llm_cost_ops.server.http.routing import Wire, room_router
from llm_cost_ops.server.signin.deps import PUBLIC
from llm_cost_ops.server.signin.desk import desk as sign_in_desk
from llm_cost_ops.server.signin.page import local
from llm_cost_ops.server.signin.sso import flow
from llm_cost_ops.server.signin.sso.desk import sso
from llm_cost_ops.server.signin.sso.pages import providers_here
from llm_cost_ops.server.signin.sso.providers import Provider

router = room_router("/api/v1/auth/sso", "auth")

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["provider", "name", "authorization_url"],
    "properties": {
        "provider": {"type": "string", "description": "Its id."},
        "name": {"type": "string"},
        "authorization_url": {
            "type": "string",
            "format": "uri",
            "description": "To open in the browser of the person.",
        },
    },
}


class Initiate(Wire):
    """`POST /api/v1/auth/sso/initiate`"""

    provider: Annotated[str | None, Field(max_length=64)] = None
    organization: Annotated[str | None, Field(max_length=100)] = None
    next: Annotated[str | None, Field(max_length=flow.MAX_ONWARD)] = None


@router.post(
    "/initiate",
    operation_id="initiateSso",
    responses=answers(200, _SCHEMA, "Where to go."),
    openapi_extra=dict(PUBLIC),
)
async def initiate(request: Request, body: Initiate) -> Response:
    """The address at which somebody signs in by an identity provider: the one that is named, or the
    only one of an organization (id or slug). What follows is bound to the browser that opens it."""
    provider = await _meant(request, body)
    onward = {} if body.next is None else {"next": local(body.next)}
    address = f"{issuer_of(request)}/login/sso/{provider.id}"
    return json_response(
        {
            "provider": provider.id,
            "name": provider.name,
            "authorization_url": f"{address}?{urlencode(onward)}" if onward else address,
        }
    )


async def _meant(request: Request, body: Initiate) -> Provider:
    """Raises Problem 404, 422."""
    here, desk = sign_in_desk(request), sso(request)
    named = body.provider
    if named is not None:
        found = await desk.run(lambda: flow.provider_of(here, desk, named))
        if found is None:
            raise not_found("Identity provider not found")
        return found
    several = [*await providers_here(request, body.organization or ""), *desk.installed.values()]
    if not several:
        raise not_found("Identity provider not found")
    if len(several) > 1:
        raise invalid("provider", f"must be one of {', '.join(each.id for each in several)}")
    return several[0]
