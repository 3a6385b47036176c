"""Renewing and giving back tokens, for people who signed in."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import from_thread
from fastapi import Request
from pydantic import Field
from starlette.responses import Response

from llm_cost_ops.server.access.tokens.desk import Tokens, invalid_token, sender_of
from llm_cost_ops.server.access.tokens.pairs import Refused
from llm_cost_ops.server.db.session import WriteSession, write_retrying
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers
from llm_cost_ops.server.http.request_id import request_id
from llm_cost_ops.server.http.routing import Wire, room_router

router = room_router("/api/v1/auth", "auth")

_BY_BODY: dict[str, Any] = {"security": []}
"""The credential stands in the body."""
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
PAIR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["access_token", "token_type", "expires_in", "scope"],
    "properties": {
        "access_token": {"type": "string"},
        "token_type": {"const": "Bearer"},
        "expires_in": {"type": "integer", "description": "Seconds."},
        "scope": {"type": "string"},
        "refresh_token": {"type": "string", "description": "Works once."},
        "refresh_expires_in": {"type": "integer", "description": "Seconds."},
    },
}


class Refresh(Wire):
    """`POST /api/v1/auth/refresh`"""

    refresh_token: Annotated[str, Field(min_length=1, max_length=256)]


class Revocation(Wire):
    """`POST /api/v1/auth/token/revoke`"""

    token: Annotated[str, Field(min_length=1, max_length=4_096)]


def tokens(request: Request) -> Tokens:
    """The tokens of the app that serves this request."""
    found: Tokens = request.app.state.tokens
    return found


@router.post(
    "/refresh",
    operation_id="refreshToken",
    openapi_extra=_BY_BODY,
    responses=answers(200, PAIR_SCHEMA, "The tokens that follow; the old refresh token is spent."),
)
def refresh(request: Request, body: Refresh) -> Response:
    """Renew an access token. The refresh token works once: a second use, unless the same client
    repeats it within seconds, ends all tokens of this signing in."""
    made = tokens(request).refresh(
        body.refresh_token, used_from=sender_of(request), request_id=request_id(request.scope)
    )
    if isinstance(made, Refused):
        raise invalid_token()
    response = json_response(made.wire())
    response.headers.update(NO_STORE)
    return response


@router.post(
    "/token/revoke",
    status_code=204,
    operation_id="revokeToken",
    openapi_extra=_BY_BODY,
)
def revoke(request: Request, body: Revocation) -> Response:
    """Give an access or refresh token back: all tokens of this signing in end."""
    desk = tokens(request)

    def work(session: WriteSession) -> str | None:
        family = desk.family_of(session, body.token)
        if family is None:
            return None
        desk.mint.end(session, family, "signed out", request_id(request.scope))
        return family.id

    family_id = write_retrying(deps.database(request), work)
    if family_id is None:
        raise invalid_token()
    from_thread.run_sync(desk.forget_family, family_id)
    return Response(status_code=204)
