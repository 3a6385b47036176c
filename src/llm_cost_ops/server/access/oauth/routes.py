"""OAuth 2.1 over HTTP: `/oauth/*`, its metadata, and the clients that administrators register."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import from_thread, to_thread
from fastapi import APIRouter, Depends, Request
from pydantic import Field
from starlette.responses import Response

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.core.permissions import RESOURCES
from llm_cost_ops.server.access.change import KEYED, Raw, change
from llm_cost_ops.server.access.deps import own_organization, require
from llm_cost_ops.server.access.oauth import clients, consent, store
from llm_cost_ops.server.access.oauth.asking import OAuthError, client_of, form_of
from llm_cost_ops.server.access.oauth.consent import issuer_of
from llm_cost_ops.server.access.oauth.grants import grant
from llm_cost_ops.server.access.oauth.throttle import Throttle
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.access.tokens.desk import sender_of
from llm_cost_ops.server.access.tokens.routes import NO_STORE, PAIR_SCHEMA, tokens
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read, write_retrying
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers, list_of
from llm_cost_ops.server.http.problems import not_found
from llm_cost_ops.server.http.request_id import request_id
from llm_cost_ops.server.http.routing import Wire, refuse_unknown, room_router

router = room_router("/api/v1/oauth/clients", "auth")
server = APIRouter(tags=["oauth"])

Reader = Depends(require("read:api_keys"))
Writer = Depends(require("write:api_keys"))
Text = Annotated[str, Field(min_length=1, max_length=2_000)]
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}},
    }
}
_ANY: dict[str, Any] = {"type": "object"}
_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}
_ERRORS = {
    **answers(400, _ERROR, "RFC 6749, 5.2."),
    **answers(401, _ERROR, "The client is not known, or did not prove to be it."),
    **answers(429, _ERROR, "Too many failures; `Retry-After` says how long to wait."),
}


class NewClient(Wire):
    """`POST /api/v1/oauth/clients`"""

    name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*\S[^\x00]*$")]
    redirect_uris: Annotated[list[Text], Field(max_length=clients.MAX_URIS)] = Field(
        default_factory=list[str]
    )
    grant_types: Annotated[list[Text], Field(min_length=1, max_length=3)] = Field(
        default_factory=lambda: [clients.CODE, clients.REFRESH]
    )
    scopes: Annotated[list[Text], Field(min_length=1, max_length=64)]
    public: bool = False
    organization_id: Annotated[str, Field(max_length=50)] | None = None


CLIENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["client_id", "name", "redirect_uris", "grant_types", "scopes", "public"],
    "properties": {
        "client_id": {"type": "string"},
        "client_secret": {"type": "string", "description": "Shown once, when it is made."},
        "organization_id": {"type": "string"},
        "name": {"type": "string"},
        "redirect_uris": {"type": "array", "items": {"type": "string"}},
        "grant_types": {"type": "array", "items": {"type": "string"}},
        "scopes": {"type": "array", "items": {"type": "string"}},
        "public": {"type": "boolean"},
        "created_by": {"type": ["string", "null"]},
        "created_at": {"type": "string", "format": "date-time"},
    },
}


@router.post(
    "",
    status_code=201,
    operation_id="createOAuthClient",
    openapi_extra=KEYED,
    responses=answers(201, CLIENT_SCHEMA, "The client; `client_secret` is shown only now."),
)
def create_client(
    request: Request, body: NewClient, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Register a client that can do no more than who registers it. A public one, such as a page or
    an app, has no secret."""
    own_organization(principal, body.organization_id)

    def work(session: WriteSession, actor: Actor) -> Response:
        made = clients.register(
            session,
            actor,
            principal,
            name=body.name,
            redirect_uris=body.redirect_uris,
            grant_types=body.grant_types,
            scopes=body.scopes,
            public=body.public,
        )
        secret = {} if made.secret is None else {"client_secret": made.secret}
        return json_response({**client_row(made.client), **secret}, 201)

    return change(request, principal, raw, work, kept=_without_secret)


@router.get(
    "",
    operation_id="listOAuthClients",
    responses=answers(200, list_of(CLIENT_SCHEMA), "Newest first, without their secrets."),
)
def list_clients(request: Request, principal: Principal = Reader) -> Response:
    """The clients of the organization."""
    refuse_unknown(request, {"organization_id"})
    with read(deps.database(request)) as session:
        rows = store.list_clients(session, principal.organization_id)
    shown = [client_row(row) for row in rows]
    ends = {"has_more": False, "next_cursor": None, "pagination": {"count": len(shown)}}
    return json_response({"data": shown, **ends})


@router.get(
    "/{client_id}",
    operation_id="getOAuthClient",
    responses=answers(200, CLIENT_SCHEMA, "The client, without its secret."),
)
def get_client(client_id: str, request: Request, principal: Principal = Reader) -> Response:
    """One client of the organization."""
    with read(deps.database(request)) as session:
        found = store.get_client(session, principal.organization_id, client_id)
    if found is None:
        raise not_found("OAuth client not found")
    return json_response(client_row(found))


@router.post(
    "/{client_id}/rotate",
    operation_id="rotateOAuthClientSecret",
    openapi_extra=KEYED,
    responses=answers(200, CLIENT_SCHEMA, "The client; `client_secret` is shown only now."),
)
def rotate_client_secret(
    client_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Give a client another secret; the one before is refused at once. Its tokens go on."""

    def work(session: WriteSession, actor: Actor) -> Response:
        made = clients.rotate_secret(session, actor, principal, client_id)
        return json_response({**client_row(made.client), "client_secret": made.secret})

    return change(request, principal, raw, work, kept=_without_secret)


@router.delete(
    "/{client_id}", status_code=204, operation_id="deleteOAuthClient", openapi_extra=KEYED
)
def delete_client(
    client_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Remove a client: its tokens end within a second."""

    def work(session: WriteSession, actor: Actor) -> Response:
        clients.remove(session, actor, client_id)
        return Response(status_code=204)

    response = change(request, principal, raw, work)
    from_thread.run_sync(tokens(request).forget_client, client_id)
    return response


def client_row(client: store.Client) -> dict[str, object]:
    """The wire form of a client."""
    return {
        "client_id": client.id,
        "organization_id": client.organization_id,
        **clients.told(client),
        "created_by": client.created_by,
        "created_at": format_micros(client.created_at),
    }


def _without_secret(answer: Response) -> Response:
    body = loads(bytes(answer.body).decode())
    body.pop("client_secret", None)
    return json_response(body, answer.status_code)


@server.get("/oauth/authorize", operation_id="authorize", responses={200: {"description": "Page."}})
async def authorize(request: Request) -> Response:
    """Ask the signed-in person for consent (response_type=code with PKCE S256)."""
    return await consent.show(request)


@server.post(
    "/oauth/authorize",
    operation_id="consent",
    responses={200: {"description": "Where to go, for JSON."}, 303: {"description": "Go there."}},
)
async def decide(request: Request) -> Response:
    """The person's answer: the form of the page, or the parameters as JSON with an access token."""
    return await consent.answer(request)


@server.post(
    "/oauth/token",
    operation_id="token",
    openapi_extra=_FORM,
    responses={**answers(200, PAIR_SCHEMA, "The tokens."), **_ERRORS},
)
async def token(request: Request) -> Response:
    """Tokens for a code with its PKCE verifier, a refresh token, or the client's credentials."""
    throttle: Throttle = request.app.state.oauth_throttle
    address = request.client.host if request.client else ""
    client_id = ""
    try:
        form = await form_of(request)
        client_id, secret = client_of(request, form)
        wait = throttle.wait_seconds(client_id, address)
        if wait:
            return _refused(OAuthError("slow_down", "Too many failures.", 429), wait)
        given = await to_thread.run_sync(_granted, request, client_id, secret, form)
    except OAuthError as error:
        given = error
    if isinstance(given, OAuthError):
        throttle.failed(client_id[:64], address)
        return _refused(given)
    return json_response(given, headers=NO_STORE)


def _granted(
    request: Request, client_id: str, secret: str | None, form: dict[str, str]
) -> dict[str, object] | OAuthError:
    desk = tokens(request)

    def work(session: WriteSession) -> dict[str, object] | OAuthError:
        client = _known(session, client_id, secret)
        made = grant(
            session,
            desk,
            client,
            form,
            now_us=deps.clock(request).micros(),
            used_from=sender_of(request),
            request_id=request_id(request.scope),
        )
        return made if isinstance(made, OAuthError) else made.wire()

    return write_retrying(deps.database(request), work)


def _known(session: ReadSession, client_id: str, secret: str | None) -> store.Client:
    """The client, if it proves to be it. Raises OAuthError."""
    client = clients.known(session, client_id)
    if client is None or not clients.secret_fits(client, secret):
        raise OAuthError("invalid_client", "The client is not known, or its secret is wrong.", 401)
    return client


def _refused(error: OAuthError, wait: int = 0) -> Response:
    body = {"error": error.error, "error_description": error.description}
    headers = dict(NO_STORE)
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="oauth"'
    if wait:
        headers["Retry-After"] = str(wait)
    return json_response(body, error.status, headers=headers)


@server.post(
    "/oauth/revoke",
    operation_id="revoke",
    openapi_extra=_FORM,
    responses={200: {"description": "Revoked, or never known."}, **_ERRORS},
)
async def revoke(request: Request) -> Response:
    """Give a token back (RFC 7009): all tokens of that consent end."""
    try:
        form = await form_of(request)
        client_id, secret = client_of(request, form)
        family_id = await to_thread.run_sync(_revoked, request, client_id, secret, form)
    except OAuthError as error:
        return _refused(error)
    if family_id is not None:
        tokens(request).forget_family(family_id)
    return json_response({}, headers=NO_STORE)


def _revoked(
    request: Request, client_id: str, secret: str | None, form: dict[str, str]
) -> str | None:
    desk = tokens(request)

    def work(session: WriteSession) -> str | None:
        client = _known(session, client_id, secret)
        family = desk.family_of(session, form.get("token", ""))
        if family is None or family.client_id != client.id:
            return None
        desk.mint.end(session, family, "given back", request_id(request.scope))
        return family.id

    return write_retrying(deps.database(request), work)


@server.post(
    "/oauth/introspect",
    operation_id="introspect",
    openapi_extra=_FORM,
    responses={
        **answers(200, _ANY, "Whether the token is active, and what it says."),
        **_ERRORS,
    },
)
async def introspect(request: Request) -> Response:
    """What a token of the client's organization stands for now (RFC 7662)."""
    try:
        form = await form_of(request)
        client_id, secret = client_of(request, form)
        said = await to_thread.run_sync(_said, request, client_id, secret, form)
    except OAuthError as error:
        return _refused(error)
    return json_response(said, headers=NO_STORE)


def _said(
    request: Request, client_id: str, secret: str | None, form: dict[str, str]
) -> dict[str, object]:
    desk = tokens(request)

    with read(deps.database(request)) as session:
        client = _known(session, client_id, secret)
        if client.secret_digest is None:
            raise OAuthError("invalid_client", "Public clients may not introspect.", 401)
        return desk.introspected(session, form.get("token", ""), client.organization_id)


@server.get("/oauth/jwks", operation_id="jwks", responses=answers(200, _ANY, "The public keys."))
def jwks(request: Request) -> Response:
    """The keys that access tokens can be checked with: none for HS256."""
    return json_response({"keys": tokens(request).keys.public()})


@server.get(
    "/.well-known/oauth-authorization-server",
    operation_id="oauthMetadata",
    responses=answers(200, _ANY, "RFC 8414."),
)
async def metadata(request: Request) -> Response:
    """What this authorization server can do."""
    issuer = issuer_of(request)
    ways = ["client_secret_basic", "client_secret_post"]
    scopes = [f"{action}:{name}" for name in sorted(RESOURCES) for action in ("read", "write")]
    return json_response(
        {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/oauth/authorize",
            "token_endpoint": f"{issuer}/oauth/token",
            "revocation_endpoint": f"{issuer}/oauth/revoke",
            "introspection_endpoint": f"{issuer}/oauth/introspect",
            "jwks_uri": f"{issuer}/oauth/jwks",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": list(clients.GRANT_TYPES),
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": [*ways, "none"],
            "revocation_endpoint_auth_methods_supported": [*ways, "none"],
            "introspection_endpoint_auth_methods_supported": ways,
            "authorization_response_iss_parameter_supported": True,
            "scopes_supported": [*scopes, "export:data"],
        }
    )
