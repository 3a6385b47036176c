"""What routes of signing in take from a request, and give back with an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.http.request_id import request_id
from llm_cost_ops.server.identity.accounts import Membership
from llm_cost_ops.server.signin import cookies, store
from llm_cost_ops.server.signin.desk import SignInDesk
from llm_cost_ops.server.signin.sessions import Sessions, Visit, session_ended
from llm_cost_ops.server.signin.sign_in import DEVICE_DAYS, SignedIn
from llm_cost_ops.server.signin.visitor import Visitor

PUBLIC: Mapping[str, Any] = {"security": []}
"""What the OpenAPI document says of a route that needs no credential."""
_DAY_S = 24 * 3_600


def visitor_of(request: Request) -> Visitor:
    """Who knocks."""
    return Visitor(
        address=request.client.host if request.client else None,
        agent=request.headers.get("user-agent"),
        device=cookies.cookie(request, cookies.DEVICE),
        request_id=request_id(request.scope),
    )


def sessions(request: Request) -> Sessions:
    """The credential of the app that serves this request."""
    return cast("Sessions", request.app.state.sessions)


async def visit_of(request: Request, desk: SignInDesk, principal: Principal) -> Visit:
    """The session behind a principal that was admitted. Raises Problem 403 for another kind of
    credential, 401 for a session that ended since."""
    secret = cookies.cookie(request, cookies.SESSION)
    if secret is None or principal.account_id is None:
        raise Problem(
            403,
            "INSUFFICIENT_PERMISSIONS",
            "This needs the session of somebody who signed in, not a key or token.",
        )
    visit = await desk.run(lambda: sessions(request).visit(secret))
    if visit is None or visit.session.id != principal.key_id:
        raise session_ended()
    return visit


def keep(request: Request, response: Response, made: SignedIn) -> None:
    """Give the browser the cookies of a new session."""
    cookies.set_cookie(request, response, cookies.SESSION, made.secret)
    if made.device is not None:
        cookies.set_cookie(
            request, response, cookies.DEVICE, made.device, seconds=DEVICE_DAYS * _DAY_S
        )


def signed_in_row(made: SignedIn) -> dict[str, object]:
    """What a sign-in answers."""
    return {
        "session_id": made.session.id,
        "expires_at": format_micros(made.session.expires_at),
        "csrf_token": cookies.csrf_token(made.secret),
        "user_id": made.member.user_id,
        "organization": organization_row(made.member),
        "user": {
            "id": made.member.user_id,
            "email": made.account.email,
            "organization_id": made.member.organization_id,
            "roles": list(made.roles),
        },
        **({} if made.pair is None else made.pair.wire()),
    }


def organization_row(member: Membership) -> dict[str, object]:
    return {
        "id": member.organization_id,
        "name": member.name,
        "slug": member.slug,
    }


def session_row(each: store.Session, current: str) -> dict[str, object]:
    """A session as the API shows it."""
    return {
        "id": each.id,
        "organization_id": each.organization_id,
        "created_at": format_micros(each.created_at),
        "last_seen_at": format_micros(each.last_seen_at),
        "expires_at": format_micros(each.expires_at),
        "address": each.address,
        "agent": each.agent,
        "current": each.id == current,
    }
