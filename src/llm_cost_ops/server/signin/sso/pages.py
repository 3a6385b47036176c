"""The pages of signing in by an identity provider: where it begins, and where it comes back to."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from llm_cost_ops.server.access.oauth.consent import issuer_of
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.http.routing import media_type
from llm_cost_ops.server.signin import cookies, second_step
from llm_cost_ops.server.signin.deps import keep, visitor_of
from llm_cost_ops.server.signin.desk import SignInDesk
from llm_cost_ops.server.signin.desk import desk as sign_in_desk
from llm_cost_ops.server.signin.page import go, local, page, said_of, show
from llm_cost_ops.server.signin.sign_in import SignedIn
from llm_cost_ops.server.signin.sso import flow, saml, store
from llm_cost_ops.server.signin.sso.desk import SsoDesk, sso
from llm_cost_ops.server.signin.sso.failures import IdpUnavailable
from llm_cost_ops.server.signin.sso.providers import SAML, Provider

_NO_STORE = {"Cache-Control": "no-store"}
MAX_SLUG = 100
MAX_BODY = 2 * saml.MAX_RESPONSE
MAX_FIELDS = 10


def buttons(request: Request, found: Sequence[Provider], onward: str) -> list[tuple[str, str]]:
    """What the login page offers: where each leads, and what it says."""
    everywhere = list(sso(request).installed.values())
    query = urlencode({"next": onward})
    return [(f"/login/sso/{each.id}?{query}", each.name) for each in (*found, *everywhere)]


async def providers_here(request: Request, slug: str) -> list[Provider]:
    """The enabled providers of the organization that somebody names."""
    here = sign_in_desk(request)
    if not slug or len(slug) > MAX_SLUG:
        return []

    def work() -> list[Provider]:
        with read(here.database) as session:
            return store.providers_of_slug(session, slug)

    return await sso(request).run(work)


@page
async def begin(request: Request) -> Response:
    """Send the browser to the provider."""
    here, desk = sign_in_desk(request), sso(request)
    provider_id = request.path_params["idp_id"]
    kept = flow.new_kept(provider_id, local(request.query_params.get("next")), here.clock.micros())

    def work() -> tuple[Provider, str]:
        provider = _provider(here, desk, provider_id)
        try:
            begun = kept.begun(_redirect_uri(request, provider))
            return provider, flow.address_to_ask(here, desk, provider, begun)
        except IdpUnavailable as failed:
            logger("signin").warning(
                "identity provider unavailable", provider=provider.id, reason=failed.reason
            )
            raise

    provider, address = await desk.run(work)
    response = RedirectResponse(address, 303, _NO_STORE)
    cookies.set_cookie(
        request,
        response,
        cookies.SSO,
        kept.text(),
        seconds=flow.LIVES_S,
        cross_site=provider.kind == SAML,
    )
    return response


def _provider(here: SignInDesk, desk: SsoDesk, provider_id: str) -> Provider:
    """Raises Problem 404."""
    provider = flow.provider_of(here, desk, provider_id)
    if provider is None:
        raise Problem(404, "NOT_FOUND", "There is no such identity provider.")
    return provider


@page
async def callback(request: Request) -> Response:
    """The provider sends the browser back."""
    given = request.query_params
    return await _finished(
        request,
        flow.Answered(
            given.get("state", ""), given.get("code"), given.get("error"), given.get("iss")
        ),
    )


@page
async def acs(request: Request) -> Response:
    """A SAML provider's form comes from its own site: what it proves stands in it, and that this
    browser asked for it in the cookie."""
    if media_type(request.headers) != "application/x-www-form-urlencoded":
        raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", "This page takes a form alone.")
    body = await request.body()
    if len(body) > MAX_BODY:
        raise Problem(413, "PAYLOAD_TOO_LARGE", "The form is too large.")
    try:
        fields = dict(parse_qsl(body.decode("ascii"), max_num_fields=MAX_FIELDS))
    except ValueError:
        raise Problem(422, "VALIDATION_ERROR", "The form cannot be read.") from None
    answered = flow.Answered(fields.get("RelayState", ""), response=fields.get("SAMLResponse", ""))
    return await _finished(request, answered)


@page
async def metadata(request: Request) -> Response:
    """What a SAML provider reads of this server."""
    here, desk = sign_in_desk(request), sso(request)
    provider_id = request.path_params["idp_id"]

    def work() -> str:
        provider = _provider(here, desk, provider_id)
        if provider.kind != SAML:
            raise Problem(404, "NOT_FOUND", "The identity provider does not speak SAML.")
        kept = flow.new_kept(provider_id, "", here.clock.micros())
        return saml.metadata(provider, kept.begun(_redirect_uri(request, provider)))

    return Response(await desk.run(work), media_type="application/samlmetadata+xml")


async def _finished(request: Request, answered: flow.Answered) -> Response:
    here, desk, visitor = sign_in_desk(request), sso(request), visitor_of(request)
    provider_id = request.path_params["idp_id"]
    try:
        kept = flow.read_kept(
            cookies.cookie(request, cookies.SSO, flow.MAX_KEPT), provider_id, here.clock.micros()
        )

        def work() -> SignedIn | str:
            provider = _provider(here, desk, provider_id)
            uri = _redirect_uri(request, provider)
            return flow.finish(here, desk, provider, kept, answered, visitor, uri)

        made = await desk.run(work)
    except Problem as problem:
        response = _refused(request, problem)
    else:
        onward = local(kept.onward)
        if isinstance(made, str):
            response = go(f"/login/2fa?next={quote(onward)}")
            cookies.set_cookie(
                request, response, cookies.SECOND_STEP, made, seconds=second_step.SECONDS
            )
        else:
            response = go(onward)
            keep(request, response, made)
            cookies.drop_cookie(request, response, cookies.FORM)
    cookies.drop_cookie(request, response, cookies.SSO)
    response.headers.update(_NO_STORE)
    return response


def _refused(request: Request, problem: Problem) -> Response:
    status, text, _, headers = said_of(problem)
    response = show(request, "sso_failed", status, text=text)
    response.headers.update(headers)
    return response


def _redirect_uri(request: Request, provider: Provider) -> str:
    end = "acs" if provider.kind == SAML else "callback"
    return f"{issuer_of(request)}/login/sso/{provider.id}/{end}"


routes: list[Route] = [
    Route("/login/sso/{idp_id}", begin, methods=["GET"]),
    Route("/login/sso/{idp_id}/callback", callback, methods=["GET"]),
    Route("/login/sso/{idp_id}/acs", acs, methods=["POST"]),
    Route("/login/sso/{idp_id}/metadata", metadata, methods=["GET"]),
]
