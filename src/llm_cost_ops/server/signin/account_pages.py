"""The page of one's own account: password, address, second factor, sessions, organizations."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import segno
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import format_minute
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.identity.accounts import memberships
from llm_cost_ops.server.signin import account as own
from llm_cost_ops.server.signin import address, leaving, second_factor, store
from llm_cost_ops.server.signin.address_routes import ASKED
from llm_cost_ops.server.signin.deps import keep, visitor_of
from llm_cost_ops.server.signin.desk import desk
from llm_cost_ops.server.signin.page import Form, form_of, go, page, said_of, show, visit_here
from llm_cost_ops.server.signin.pages import code_of
from llm_cost_ops.server.signin.second_factor import Enrolment
from llm_cost_ops.server.signin.sessions import Visit
from llm_cost_ops.server.signin.sign_in import SecondFactorFailed, SignedIn, enter

HOME = "/account"
Work = Callable[[Request, Visit, Form], Awaitable[Response]]


@page
async def account(request: Request) -> Response:
    """Show how one signs in, and where."""
    visit = await visit_here(request)
    if visit is None:
        return go(f"/login?next={quote(HOME)}")
    return await _shown(request, visit)


async def _shown(request: Request, visit: Visit, status: int = 200, **said: object) -> Response:
    here = desk(request)
    account_id = visit.session.account_id

    def work() -> dict[str, object]:
        with read(here.database) as session:
            found = store.get_account(session, account_id)
            rows = own.sessions_seen(here, session, visit)
            return {
                "has_password": found is not None and found.password_hash is not None,
                "second_factor": second_factor.is_on(session, account_id),
                "codes_left": second_factor.recovery_codes_left(session, account_id),
                "confined": visit.session.confined,
                "organizations": [] if visit.session.confined else memberships(session, account_id),
                "sessions": [
                    (each, format_minute(each.created_at), format_minute(each.last_seen_at))
                    for each in rows
                ],
            }

    return show(
        request, "account", status, visit=visit, **{"part": None, **await here.run(work), **said}
    )


def _part(name: str, work: Work) -> Callable[[Request], Awaitable[Response]]:
    """A form of the account page: what is wrong with it is shown beside it."""

    async def endpoint(request: Request) -> Response:
        visit = await visit_here(request)
        if visit is None:
            return go(f"/login?next={quote(HOME)}")
        form = await form_of(request, visit)
        try:
            return await work(request, visit, form)
        except (Problem, DomainError) as error:
            status, text, errors, headers = said_of(error)
            response = await _shown(request, visit, status, part=name, error=text, errors=errors)
            response.headers.update(headers)
            return response

    return page(endpoint)


async def _password(request: Request, visit: Visit, form: Form) -> Response:
    here, visitor = desk(request), visitor_of(request)
    current, new = form.text("current_password"), form.text("new_password")

    def work() -> SignedIn:
        changed = own.change_password(here, visit, current or None, new, visitor)
        return enter(
            here,
            changed,
            visitor,
            visit.session.organization_id,
            provider_id=visit.session.provider_id,
        )

    made = await here.run(work)
    response = go(HOME)
    keep(request, response, made)
    return response


async def _email(request: Request, visit: Visit, form: Form) -> Response:
    here, visitor = desk(request), visitor_of(request)
    email, password = form.text("email", 254), form.text("password") or None
    code = code_of(form.text("code", 64).strip())
    await here.run(lambda: address.ask(here, visit, email, password, code, visitor))
    return show(request, "message", visit=visit, title="Look into your mail", text=ASKED)


@page
async def confirm_email(request: Request) -> Response:
    """Show what the link of a mail would change, and change it. A look changes nothing: programs
    that check mail open its links."""
    visit = await visit_here(request)
    if request.method == "GET":
        token = request.query_params.get("token") or ""
        if visit is None:
            return go(f"/login?next={quote(f'/email?token={quote(token)}')}")
        here, who = desk(request), visit
        change = await here.run(lambda: address.look_at(here, who, token))
        return show(request, "confirm_email", visit=visit, token=token, change=change)
    if visit is None:
        return go("/login")
    form = await form_of(request, visit)
    here, visitor, who = desk(request), visitor_of(request), visit
    token = form.text("token", 64)

    def work() -> SignedIn:
        account = address.confirm(here, who, token, visitor)
        return enter(
            here,
            account,
            visitor,
            who.session.organization_id,
            provider_id=who.session.provider_id,
        )

    made = await here.run(work)
    response = go(HOME)
    keep(request, response, made)
    return response


async def _enroll(request: Request, visit: Visit, form: Form) -> Response:
    here, visitor = desk(request), visitor_of(request)
    password = form.text("password") or None
    made = await here.run(lambda: own.begin_second_factor(here, visit, password, visitor))
    return _enrolment(request, visit, made)


def _enrolment(
    request: Request, visit: Visit, made: Enrolment, status: int = 200, error: str | None = None
) -> Response:
    return show(
        request,
        "enrol",
        status,
        visit=visit,
        secret=" ".join(made.secret[at : at + 4] for at in range(0, len(made.secret), 4)),
        picture=_picture(made.uri),
        error=error,
    )


def _picture(text: str) -> Markup:
    """A QR code as inline SVG: paths alone, nothing of it is text."""
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        out, kind="svg", scale=5, border=4, xmldecl=False, svgns=True, dark="#000", light="#fff"
    )
    return Markup(out.getvalue().decode("utf-8"))  # noqa: S704 - made by us, from squares  # nosec B704


async def _confirm(request: Request, visit: Visit, form: Form) -> Response:
    here, visitor = desk(request), visitor_of(request)
    code = form.text("code", 16)
    codes = await here.run(lambda: own.confirm_second_factor(here, visit, code, visitor))
    if codes is not None:
        return show(request, "codes", visit=visit, codes=codes)
    made = await here.run(lambda: own.enrolment_of(here, visit))
    wrong = SecondFactorFailed()
    return _enrolment(request, visit, made, wrong.status, wrong.message)


async def _disable(request: Request, visit: Visit, form: Form) -> Response:
    here, visitor = desk(request), visitor_of(request)
    password, code = form.text("password") or None, code_of(form.text("code", 64).strip())
    await here.run(lambda: own.end_second_factor(here, visit, password, code, visitor))
    return go(HOME)


async def _recovery(request: Request, visit: Visit, form: Form) -> Response:
    here, visitor = desk(request), visitor_of(request)
    password, code = form.text("password") or None, code_of(form.text("code", 64).strip())
    codes = await here.run(lambda: own.renew_recovery_codes(here, visit, password, code, visitor))
    return show(request, "codes", visit=visit, codes=codes)


async def _end(request: Request, visit: Visit, form: Form) -> Response:
    await leaving.end_session(request, visit, form.text("session", 64))
    return go(HOME)


async def _switch(request: Request, visit: Visit, form: Form) -> Response:
    await leaving.switch_session(request, visit, form.text("organization", 100))
    return go(HOME)


routes: list[Route] = [
    Route(HOME, account, methods=["GET"]),
    Route("/email", confirm_email, methods=["GET", "POST"]),
    *(
        Route(f"{HOME}/{path}", _part(part, work), methods=["POST"])
        for path, part, work in (
            ("password", "password", _password),
            ("email", "email", _email),
            ("2fa/enroll", "enroll", _enroll),
            ("2fa/confirm", "enroll", _confirm),
            ("2fa/disable", "disable", _disable),
            ("2fa/recovery-codes", "recovery", _recovery),
            ("sessions/end", "sessions", _end),
            ("organization", "organization", _switch),
        )
    ),
]
