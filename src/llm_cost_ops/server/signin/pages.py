"""The pages of those who sign in: login, second step, logout, new password, welcome, invitation."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.signin import account as own
from llm_cost_ops.server.signin import cookies, leaving, second_factor, second_step
from llm_cost_ops.server.signin.ask import ask_for_mail
from llm_cost_ops.server.signin.deps import keep, visitor_of
from llm_cost_ops.server.signin.desk import desk
from llm_cost_ops.server.signin.invited import Invited, accept, invited
from llm_cost_ops.server.signin.page import (
    HOME,
    form_of,
    go,
    local,
    page,
    said_of,
    show,
    visit_here,
)
from llm_cost_ops.server.signin.policy import PasswordRefused
from llm_cost_ops.server.signin.sessions import Visit
from llm_cost_ops.server.signin.sign_in import (
    Code,
    SignedIn,
    clean,
    enter,
    prove_password,
    prove_second_factor,
)
from llm_cost_ops.server.signin.sso.flow import METHOD
from llm_cost_ops.server.signin.sso.pages import MAX_SLUG, buttons, providers_here


@page
async def login(request: Request) -> Response:
    """Ask for e-mail address and password."""
    onward = local(request.query_params.get("next"))
    if request.method == "GET":
        if await visit_here(request) is not None:
            return go(onward)
        note = "Your password is set. Sign in with it." if "set" in request.query_params else None
        return await _login(request, email="", onward=onward, note=note)
    form = await form_of(request)
    onward, email = local(form.text("next", 2_000)), form.text("email", 254)
    password = form.text("password")
    here, visitor = desk(request), visitor_of(request)

    def work() -> SignedIn | str:
        account = prove_password(here, email, password, visitor)
        with read(here.database) as session:
            asked = second_factor.is_on(session, account.id)
        return second_step.remember(here, account) if asked else enter(here, account, visitor)

    try:
        made = await here.run(work)
    except Problem as problem:
        status, text, _, headers = said_of(problem)
        response = await _login(request, status, email=email, onward=onward, error=text)
        response.headers.update(headers)
        return response
    if isinstance(made, str):
        response = go(f"/login/2fa?next={quote(onward)}")
        cookies.set_cookie(
            request, response, cookies.SECOND_STEP, made, seconds=second_step.SECONDS
        )
        return response
    return _entered(request, made, onward)


async def _login(request: Request, status: int = 200, *, onward: str, **values: object) -> Response:
    """The login page, with the ways to sign in without a password: those of the installation, and
    of the organization that is named."""
    slug = request.query_params.get("organization", "").strip().lower()[:MAX_SLUG]
    found = await providers_here(request, slug)
    more: dict[str, object] = {
        **values,
        "onward": onward,
        "buttons": buttons(request, found, onward),
        "organization": slug,
        "unknown": bool(slug) and not found,
    }
    return show(request, "login", status, visit=None, **more)


def _entered(request: Request, made: SignedIn, onward: str) -> Response:
    response = go(onward)
    keep(request, response, made)
    cookies.drop_cookie(request, response, cookies.FORM)
    return response


@page
async def login_code(request: Request) -> Response:
    """Ask for a code of the second factor."""
    secret = cookies.cookie(request, cookies.SECOND_STEP)
    if secret is None:
        return go("/login")
    onward = local(request.query_params.get("next"))
    if request.method == "GET":
        return show(request, "second_step", onward=onward)
    form = await form_of(request)
    onward, given = local(form.text("next", 2_000)), form.text("code", 64).strip()
    here, visitor = desk(request), visitor_of(request)

    def work() -> SignedIn:
        step = second_step.step_of(here, secret)
        prove_second_factor(here, step.account, code_of(given), visitor)
        second_step.end(here, secret)
        by = "password" if step.provider_id is None else METHOD
        return enter(
            here,
            step.account,
            visitor,
            step.organization_id,
            method=f"{by} and code",
            provider_id=step.provider_id,
        )

    try:
        made = await here.run(work)
    except DomainError:
        response = go("/login")
        cookies.drop_cookie(request, response, cookies.SECOND_STEP)
        return response
    except Problem as problem:
        status, text, _, headers = said_of(problem)
        response = show(request, "second_step", status, onward=onward, error=text)
        response.headers.update(headers)
        return response
    response = _entered(request, made, onward)
    cookies.drop_cookie(request, response, cookies.SECOND_STEP)
    return response


def code_of(given: str) -> Code:
    """What was typed, as a code of the app or a recovery code."""
    bare = given.replace(" ", "")
    if not bare:
        return Code()
    digits = bare.isascii() and bare.isdecimal() and len(bare) == second_factor.DIGITS
    return Code(totp=bare) if digits else Code(recovery_code=given)


@page
async def logout(request: Request) -> Response:
    """Ask whether to end the session, and end it."""
    visit = await visit_here(request)
    if visit is None:
        return go("/login")
    if request.method == "GET":
        return show(request, "logout", visit=visit)
    await form_of(request, visit)
    await leaving.end_session(request, visit, visit.session.id)
    response = go("/login")
    cookies.drop_cookie(request, response, cookies.SESSION)
    return response


@page
async def reset(request: Request) -> Response:
    """Ask for an address to send a link to; with a link, for the new password."""
    token = request.query_params.get("token")
    if token is not None:
        return await _by_link(request, token, "/reset")
    if request.method == "GET":
        return show(request, "reset")
    form = await form_of(request)
    if "token" in form.fields:
        return await _set(request, form.text("token", 64), form.text("password"), "/reset")
    here, visitor = desk(request), visitor_of(request)
    email = clean(form.text("email", 254))

    def send(session: WriteSession) -> None:
        ask_for_mail(session, email, now_us=here.clock.micros())

    await here.run(lambda: own.ask_for_reset(here, email, visitor, send))
    return show(
        request,
        "message",
        title="Look into your mail",
        text="If somebody has this address, a link for a new password is on its way. It works for "
        f"{here.settings.sign_in.reset_link_minutes} minutes.",
    )


@page
async def welcome(request: Request) -> Response:
    """Ask somebody new for a password."""
    if request.method == "GET":
        return await _by_link(request, request.query_params.get("token") or "", "/welcome")
    form = await form_of(request)
    return await _set(request, form.text("token", 64), form.text("password"), "/welcome")


async def _by_link(request: Request, token: str, action: str) -> Response:
    here = desk(request)
    account = await here.run(lambda: own.account_of_link(here, token))
    return show(request, "set_password", token=token, action=action, email=account.email)


async def _set(request: Request, token: str, password: str, action: str) -> Response:
    here, visitor = desk(request), visitor_of(request)
    account = await here.run(lambda: own.account_of_link(here, token))
    try:
        await here.run(lambda: own.set_by_link(here, token, password, visitor))
    except PasswordRefused as error:
        status, text, errors, _ = said_of(error)
        return show(
            request,
            "set_password",
            status,
            token=token,
            action=action,
            email=account.email,
            error=text,
            errors=errors,
        )
    return go("/login?set")


@page
async def invite(request: Request) -> Response:
    """Show an invitation, and accept it. Who has an account signs in with it first: a link may have
    been handed over by who invites, and must not decide about the account of another."""
    here, visitor = desk(request), visitor_of(request)
    visit = await visit_here(request)
    if request.method == "GET":
        token = request.query_params.get("token") or ""
        return _invitation(request, token, await here.run(lambda: invited(here, token)), visit)
    form = await form_of(request, visit)
    token, name = form.text("token", 64), form.text("name", 255).strip()
    password = form.text("password")
    found = await here.run(lambda: invited(here, token))
    if found.has_password and not _is(visit, found):
        return _invitation(request, token, found, visit)
    try:
        await here.run(lambda: accept(here, token, name or None, password, visitor))
    except PasswordRefused as error:
        return _invitation(request, token, found, visit, name, error)
    return go(HOME if visit is not None else "/login?set")


def _is(visit: Visit | None, found: Invited) -> bool:
    """Whether who is invited is who signed in."""
    return visit is not None and visit.email == found.email and not visit.session.confined


def _invitation(
    request: Request,
    token: str,
    found: Invited,
    visit: Visit | None,
    name: str | None = None,
    refused: DomainError | None = None,
) -> Response:
    status, text, errors = 200, "", dict[str, str]()
    if refused is not None:
        status, text, errors, _ = said_of(refused)
    return show(
        request,
        "invite",
        status,
        visit=visit,
        token=token,
        found=found,
        signed_in=_is(visit, found),
        sign_in=f"/login?next={quote(f'/invite?token={quote(token)}')}",
        name=found.name or "" if name is None else name,
        error=text,
        errors=errors,
    )


routes: list[Route] = [
    Route("/login", login, methods=["GET", "POST"]),
    Route("/login/2fa", login_code, methods=["GET", "POST"]),
    Route("/logout", logout, methods=["GET", "POST"]),
    Route("/reset", reset, methods=["GET", "POST"]),
    Route("/welcome", welcome, methods=["GET", "POST"]),
    Route("/invite", invite, methods=["GET", "POST"]),
]
