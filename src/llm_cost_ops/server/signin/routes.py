"""Signing in over HTTP: sessions, passwords, and who one is. The second factor is beside this, in
`factor_routes`."""

from __future__ import annotations

from fastapi import Depends, Request
from starlette.responses import Response

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.server.access.deps import require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.access.tokens.routes import NO_STORE
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers, list_of
from llm_cost_ops.server.http.problems import Problem, not_found
from llm_cost_ops.server.http.routing import room_router
from llm_cost_ops.server.identity.accounts import memberships
from llm_cost_ops.server.identity.grants import grants_of
from llm_cost_ops.server.identity.users import get_user
from llm_cost_ops.server.signin import account as own
from llm_cost_ops.server.signin import cookies, leaving, second_factor, session_tokens, store
from llm_cost_ops.server.signin.ask import ask_for_mail
from llm_cost_ops.server.signin.deps import (
    PUBLIC,
    keep,
    organization_row,
    session_row,
    signed_in_row,
    visit_of,
    visitor_of,
)
from llm_cost_ops.server.signin.desk import desk as desk_of
from llm_cost_ops.server.signin.schemas import (
    LOGIN_SCHEMA,
    ME_SCHEMA,
    SESSION_SCHEMA,
    SWITCHED_SCHEMA,
    AskReset,
    ConfirmReset,
    Login,
    NewPassword,
    SwitchOrganization,
)
from llm_cost_ops.server.signin.sign_in import (
    Code,
    SignedIn,
    clean,
    enter,
    prove_password,
    prove_second_factor,
)

router = room_router("/api/v1/auth", "auth")

Anyone = Depends(require())


@router.post(
    "/login",
    operation_id="login",
    responses=answers(200, LOGIN_SCHEMA, "Signed in; the session is in a cookie."),
    openapi_extra=dict(PUBLIC),
)
async def login(request: Request, body: Login) -> Response:
    """Sign in with e-mail address and password, and a code where there is a second factor. A
    program gets tokens, too; a page in a browser has the cookie, which no script can read."""
    cookies.check_origin(request)
    desk, visitor = desk_of(request), visitor_of(request)
    with_tokens = not cookies.from_page(request)

    def work() -> SignedIn:
        account = prove_password(desk, body.email, body.password, visitor)
        prove_second_factor(desk, account, Code(body.totp, body.recovery_code), visitor)
        return enter(desk, account, visitor, body.organization, with_tokens=with_tokens)

    made = await desk.run(work)
    response = json_response(signed_in_row(made), headers=NO_STORE)
    keep(request, response, made)
    return response


@router.post("/logout", status_code=204, operation_id="logout")
async def logout(request: Request, principal: Principal = Anyone) -> Response:
    """End this session and its tokens, by the cookie or by an access token of the sign-in."""
    response = Response(status_code=204)
    if session_tokens.is_of_sign_in(principal):
        await leaving.end_tokens(request, principal)
        return response
    visit = await visit_of(request, desk_of(request), principal)
    await leaving.end_session(request, visit, visit.session.id)
    cookies.drop_cookie(request, response, cookies.SESSION)
    return response


@router.get("/me", operation_id="getMe", responses=answers(200, ME_SCHEMA, "Who signed in."))
async def me(request: Request, principal: Principal = Anyone) -> Response:
    """Who one is, where, and what one may do."""
    desk = desk_of(request)
    return json_response(await desk.run(lambda: _me(request, principal)))


def _me(request: Request, principal: Principal) -> dict[str, object]:
    account_id, organization_id = principal.account_id, principal.organization_id
    stands_for_user = session_tokens.is_of_sign_in(principal)
    if principal.user_id is None or (account_id is None and not stands_for_user):
        raise Problem(
            403, "INSUFFICIENT_PERMISSIONS", "The credential stands for nobody who signs in."
        )
    with read(desk_of(request).database) as session:
        user = get_user(session, organization_id, principal.user_id)
        # A token that an organization's own provider vouched for knows of the user alone.
        known = account_id or (user.account_id if user is not None else None) or ""
        account = store.get_account(session, known)
        members = memberships(session, known)
        on = second_factor.is_on(session, known)
        left = second_factor.recovery_codes_left(session, known)
        roles = grants_of(session, organization_id, principal.user_id).role_names
    here = [each for each in members if each.organization_id == organization_id]
    if account is None or not here:
        raise not_found()
    found: dict[str, object] = {
        "account": {"id": account.id, "email": account.email, "name": account.name},
        "user_id": principal.user_id,
        "organization": organization_row(here[0]),
        "organizations": [
            organization_row(each) for each in (members if principal.is_account else here)
        ],
        "roles": list(roles),
        "scopes": sorted(principal.scopes),
        "expires_at": None if principal.expires_at is None else format_micros(principal.expires_at),
        "team_ids": list(principal.team_ids),
        "second_factor": on,
        "recovery_codes_left": left,
    }
    secret = cookies.cookie(request, cookies.SESSION)
    if secret is not None and principal.key_id.startswith("ses_"):
        found["csrf_token"] = cookies.csrf_token(secret)
    return found


@router.post(
    "/password",
    operation_id="changePassword",
    responses=answers(200, LOGIN_SCHEMA, "Changed; a new session instead of all others."),
)
async def change_password(
    request: Request, body: NewPassword, principal: Principal = Anyone
) -> Response:
    """Change the own password. All sessions and tokens end; the answer has a new session."""
    desk, visitor = desk_of(request), visitor_of(request)
    visit = await visit_of(request, desk, principal)
    with_tokens = not cookies.from_page(request)

    def work() -> SignedIn:
        account = own.change_password(
            desk, visit, body.current_password, body.new_password, visitor
        )
        return enter(
            desk,
            account,
            visitor,
            visit.session.organization_id,
            with_tokens=with_tokens,
            provider_id=visit.session.provider_id,
        )

    made = await desk.run(work)
    response = json_response(signed_in_row(made), headers=NO_STORE)
    keep(request, response, made)
    return response


@router.post(
    "/password/reset",
    status_code=202,
    operation_id="requestPasswordReset",
    responses=answers(202, {"type": "object"}, "A link is sent if somebody has this address."),
    openapi_extra=dict(PUBLIC),
)
async def request_reset(request: Request, body: AskReset) -> Response:
    """Have a link for a new password sent. The answer is the same for every address."""
    cookies.check_origin(request)
    desk, visitor = desk_of(request), visitor_of(request)
    email = clean(body.email)
    await desk.run(
        lambda: own.ask_for_reset(
            desk,
            email,
            visitor,
            lambda session: ask_for_mail(session, email, now_us=desk.clock.micros()),
        )
    )
    return json_response(
        {"message": "If somebody has this address, a link for a new password is on its way."}, 202
    )


@router.post(
    "/password/reset/confirm",
    status_code=204,
    operation_id="confirmPasswordReset",
    openapi_extra=dict(PUBLIC),
)
async def confirm_reset(request: Request, body: ConfirmReset) -> Response:
    """Set a password by the link of a mail. Nobody is signed in by it."""
    cookies.check_origin(request)
    desk, visitor = desk_of(request), visitor_of(request)
    await desk.run(lambda: own.set_by_link(desk, body.token, body.password, visitor))
    return Response(status_code=204)


@router.get(
    "/sessions",
    operation_id="listSessions",
    responses=answers(200, list_of(SESSION_SCHEMA), "The sessions of the account."),
)
async def list_sessions(request: Request, principal: Principal = Anyone) -> Response:
    """Where one is signed in."""
    desk = desk_of(request)
    visit = await visit_of(request, desk, principal)

    def work() -> list[store.Session]:
        with read(desk.database) as session:
            return own.sessions_seen(desk, session, visit)

    rows = [session_row(each, visit.session.id) for each in await desk.run(work)]
    return json_response(_whole(rows))


def _whole(rows: list[dict[str, object]]) -> dict[str, object]:
    """A list that is one page."""
    return {
        "data": rows,
        "has_more": False,
        "next_cursor": None,
        "pagination": {"limit": len(rows), "has_more": False, "next_cursor": None},
    }


@router.delete("/sessions/{session_id}", status_code=204, operation_id="revokeSession")
async def revoke_session(
    request: Request, session_id: str, principal: Principal = Anyone
) -> Response:
    """End one of the own sessions."""
    if principal.account_id is None:
        raise not_found("Session not found")
    visit = await visit_of(request, desk_of(request), principal)
    if not await leaving.end_session(request, visit, session_id):
        raise not_found("Session not found")
    return Response(status_code=204)


@router.post(
    "/switch-org",
    operation_id="switchOrganization",
    responses=answers(200, SWITCHED_SCHEMA, "Where it goes on."),
)
async def switch_org(
    request: Request, body: SwitchOrganization, principal: Principal = Anyone
) -> Response:
    """Go on in another organization that one belongs to. By an access token, the answer has the one
    that goes on there; the refresh token stays."""
    if session_tokens.is_own(principal):
        moved = await leaving.switch_tokens(request, principal, body.organization)
        if moved is None:
            raise not_found("Organization not found")
        row = {**organization_row(moved[0]), **moved[1].wire()}
        return json_response(row, headers=NO_STORE)
    visit = await visit_of(request, desk_of(request), principal)
    member = await leaving.switch_session(request, visit, body.organization)
    if member is None:
        raise not_found("Organization not found")
    return json_response(organization_row(member))
