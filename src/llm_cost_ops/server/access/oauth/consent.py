"""Consent of a signed-in person: on a page with one button, or by a JSON request of its own.

The page carries a ticket that works once and is bound to the person and to what was asked, so the
form needs no other proof that it is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from llm_cost_ops.core.jsontext import JsonError
from llm_cost_ops.server.access.change import actor_of
from llm_cost_ops.server.access.deps import authenticate
from llm_cost_ops.server.access.oauth import clients
from llm_cost_ops.server.access.oauth.asking import (
    Asked,
    OAuthError,
    Untrusted,
    fields_of,
    form_of,
    read_asked,
    read_consent,
)
from llm_cost_ops.server.access.oauth.grants import new_code
from llm_cost_ops.server.access.oauth.pages import consent_page, error_page
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.db.session import WriteSession, read, write_retrying
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import decode, json_response
from llm_cost_ops.server.http.problems import Problem, invalid
from llm_cost_ops.server.http.routing import media_type
from llm_cost_ops.server.identity.links import LinkRefused, make_link, use_link

TICKET_SECONDS = 600
PURPOSE = "consent"
MAX_ONWARD = 2_000
"""What the page of signing in takes as the place to go on to."""
_MICROS = 1_000_000


def issuer_of(request: Request) -> str:
    """The address of this server, as clients know it."""
    configured = deps.settings(request).server.public_url
    return (configured or f"{request.url.scheme}://{request.url.netloc}").rstrip("/")


async def show(request: Request) -> Response:
    """`GET /oauth/authorize`: ask the signed-in person; who is not signed in does that first."""
    try:
        fields = fields_of(request.scope["query_string"].decode("ascii", "replace"))
        asked = await to_thread.run_sync(_trusted, request, fields)
    except OAuthError as error:
        return error_page(error.description)
    try:
        asked = read_consent(fields, asked)
    except OAuthError as error:
        return _back(asked, request, error)
    try:
        person = _person(await authenticate(request), asked)
    except Problem as problem:
        sign_in = _sign_in(request, problem)
        if sign_in is not None:
            return RedirectResponse(sign_in, 303, _NO_STORE)
        return error_page(problem.message, problem.status)
    ticket = await to_thread.run_sync(_ticket, request, person, fields)
    return consent_page(asked, ticket)


def _sign_in(request: Request, problem: Problem) -> str | None:
    """Where a browser whose user has not signed in goes first, to come back here."""
    if problem.status != 401 or "authorization" in request.headers:
        return None
    onward = f"{request.url.path}?{request.scope['query_string'].decode('ascii', 'replace')}"
    return f"/login?next={quote(onward, safe='')}" if len(onward) < MAX_ONWARD else None


async def answer(request: Request) -> Response:
    """`POST /oauth/authorize`: the button of the page, or the same as JSON."""
    if media_type(request.headers) == "application/json":
        return await _by_json(request)
    try:
        form = await form_of(request)
        # The ticket, which only our page told this person, stands in for a token in a header.
        asks = Request({**request.scope, "method": "GET"})
        person = await authenticate(asks)
        fields = await to_thread.run_sync(_redeemed, request, person, form.get("ticket", ""))
        asked = read_consent(fields, await to_thread.run_sync(_trusted, request, fields))
        _person(person, asked)
    except Problem as problem:
        return error_page(problem.message, problem.status)
    except (OAuthError, LinkRefused) as error:
        return error_page(str(error))
    if form.get("decision") != "approve":
        return _back(asked, request, OAuthError("access_denied", "The person refused."))
    code = await to_thread.run_sync(_code, request, person, asked)
    return RedirectResponse(asked.location(issuer_of(request), code=code), 303, _NO_STORE)


async def _by_json(request: Request) -> Response:
    """Raises Problem 401, 403, 422."""
    person = await authenticate(request)
    try:
        body: Any = decode(await request.body())
    except JsonError as error:
        raise Problem(400, error.code, error.message) from None
    given = cast("dict[str, object]", body) if isinstance(body, dict) else {}
    fields = {name: text for name, text in given.items() if isinstance(text, str)}
    if not fields or len(fields) != len(given):
        raise invalid("body", "must be an object of texts")
    try:
        asked = await to_thread.run_sync(_trusted, request, fields)
    except Untrusted as error:
        raise Problem(400, "INVALID_REQUEST", error.description) from None
    try:
        asked = read_consent(fields, asked)
        _person(person, asked)
        if fields.get("decision", "approve") != "approve":
            raise OAuthError("access_denied", "The person refused.")
    except OAuthError as error:
        return json_response({"redirect_to": _refusal(asked, request, error)})
    code = await to_thread.run_sync(_code, request, person, asked)
    response = json_response({"redirect_to": asked.location(issuer_of(request), code=code)})
    response.headers.update(_NO_STORE)
    return response


_NO_STORE = {"Cache-Control": "no-store"}


def _trusted(request: Request, fields: Mapping[str, str]) -> Asked:
    with read(deps.database(request)) as session:
        client = clients.known(session, fields.get("client_id", ""))
    return read_asked(fields, client)


def _person(person: Principal, asked: Asked) -> Principal:
    """Raises Problem 403 unless it is somebody of the client's organization who signed in: a key
    or another client consents to nothing."""
    if person.user_id is None or person.account_id is None or person.client_id is not None:
        raise Problem(
            403, "INSUFFICIENT_PERMISSIONS", "Only somebody who signed in can give consent."
        )
    own = asked.client.id == clients.OWN.id
    if not own and person.organization_id != asked.client.organization_id:
        raise Problem(403, "ORGANIZATION_MISMATCH", "The client belongs to another organization.")
    return person


def _ticket(request: Request, person: Principal, fields: Mapping[str, str]) -> str:
    now_us = deps.clock(request).micros()
    return write_retrying(
        deps.database(request),
        lambda session: make_link(
            session,
            PURPOSE,
            now_us=now_us,
            lives_us=TICKET_SECONDS * _MICROS,
            account_id=person.account_id,
            organization_id=person.organization_id,
            user_id=person.user_id,
            detail=fields,
        ),
    )


def _redeemed(request: Request, person: Principal, ticket: str) -> dict[str, str]:
    """What the ticket was asked for. Raises LinkRefused, also for a ticket of somebody else."""

    def work(session: WriteSession) -> dict[str, str]:
        link = use_link(session, ticket, PURPOSE, now_us=deps.clock(request).micros())
        if (link.account_id, link.organization_id) != (person.account_id, person.organization_id):
            raise LinkRefused("This page was made for somebody else.")
        return {name: str(text) for name, text in link.detail.items()}

    return write_retrying(deps.database(request), work)


def _code(request: Request, person: Principal, asked: Asked) -> str:
    actor = actor_of(request, person)
    return write_retrying(
        deps.database(request), lambda session: new_code(session, actor, person, asked)
    )


def _refusal(asked: Asked, request: Request, error: OAuthError) -> str:
    return asked.location(
        issuer_of(request), error=error.error, error_description=error.description
    )


def _back(asked: Asked, request: Request, error: OAuthError) -> Response:
    return RedirectResponse(_refusal(asked, request, error), 303, _NO_STORE)
