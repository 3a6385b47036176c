"""The way in: a request's key becomes a principal that holds what the route requires."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import parse_qsl

from fastapi import Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.datastructures import Headers
from starlette.requests import Request

from llm_cost_ops.core.permissions import normalise
from llm_cost_ops.server.access.credentials import Credentials
from llm_cost_ops.server.access.keys import KeyRing, invalid_key, missing_key
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.access.secret import well_formed
from llm_cost_ops.server.audit.who import API_KEY, CALLER, OPERATOR, SCIM, USER, Who
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.http.ratelimit.gate import RateLimits

MAX_SECRET = 4_096
"""Characters. An API key has under a hundred, an access token some hundreds."""
MAX_PARAMETERS = 1_000
_IN_URL = frozenset({"access_token", "api-key", "api_key", "apikey", "authorization", "token"})
_BEARER = HTTPBearer(
    auto_error=False, scheme_name="Bearer", description="An API key or an access token."
)
_HEADER = APIKeyHeader(
    name="X-API-Key", auto_error=False, scheme_name="ApiKey", description="An API key."
)


def keys(request: Request) -> KeyRing:
    """The key ring of the app that serves this request."""
    return cast("KeyRing", request.app.state.keys)


def secret_of(request: Request) -> str | None:
    """The key or token that a request carries, None without one. Raises Problem 401 for what cannot
    be one, 400 for one in the URL: addresses end up in logs and histories."""
    headers = request.headers
    if request.scope["query_string"]:
        _refuse_in_url(request.scope["query_string"])
    authorization = _only(headers, "authorization")
    own = _only(headers, "x-api-key")
    if authorization is None:
        if not own:
            return None
        own = own.strip()
        if len(own) > MAX_SECRET:
            raise invalid_key()
        return own
    scheme, _, secret = authorization.strip().partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret or len(secret) > MAX_SECRET:
        raise invalid_key()
    if own and own.strip() != secret:
        raise invalid_key()
    return secret


def _only(headers: Headers, name: str) -> str | None:
    """The value of a header. Raises Problem 401 for several that differ: a proxy in front may have
    read another of them."""
    values = headers.getlist(name)
    if len(values) > 1 and any(value != values[0] for value in values):
        raise invalid_key()
    return values[0] if values else None


def _refuse_in_url(query: bytes) -> None:
    try:
        pairs = parse_qsl(query.decode("latin-1"), max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise Problem(
            400, "INVALID_REQUEST", f"The address has more than {MAX_PARAMETERS} parameters."
        ) from None
    for name, value in pairs:
        if name.lower() in _IN_URL or well_formed(value):
            raise Problem(
                400, "INVALID_REQUEST", "API keys are not accepted in the URL; send a header."
            )


async def authenticate(request: Request, *scopes: str) -> Principal:
    """The principal of a request, which holds all of the canonical `scopes`.

    Raises Problem 401 (AUTH_001), 403 (INSUFFICIENT_PERMISSIONS) and 429 (RATE_LIMIT_EXCEEDED).
    """
    limits = rate_limits(request)
    try:
        principal = await credential(request)
    except Problem as refused:
        wrong = refused.status == 401 and _attempted(request)
        raise limits.failed(request.scope, refused) if wrong else refused from None
    request.scope["state"]["key_id"] = principal.key_id
    await limits.check(request.scope, principal)
    return admit(request, principal, scopes)


def _attempted(request: Request) -> bool:
    """Whether a credential was sent at all: without one nothing was guessed."""
    return "authorization" in request.headers or "x-api-key" in request.headers


def rate_limits(request: Request) -> RateLimits:
    """The rate limits of the app that serves this request."""
    return cast("RateLimits", request.app.state.limits)


async def credential(request: Request) -> Principal:
    """Who the credential of a request stands for. Raises Problem 401 (AUTH_001)."""
    secret = secret_of(request)
    if secret is not None:
        found = keys(request).remembered(secret)
        if found is not None:
            return found
    kinds = cast("Sequence[Credentials]", request.app.state.credentials)
    for kind in kinds:
        found = await kind.principal(request, secret)
        if found is not None:
            return found
    raise missing_key() if secret is None else invalid_key()


def admit(request: Request, principal: Principal, scopes: Sequence[str]) -> Principal:
    """The one gate that every credential passes. Raises Problem 403."""
    request.scope["state"]["key_id"] = principal.key_id
    own_organization(principal, request.headers.get("x-organization-id"), "X-Organization-ID")
    if request.scope["query_string"]:
        for named in request.query_params.getlist("organization_id"):
            own_organization(principal, named)
    if not principal.holds(*scopes):
        missing = ", ".join(principal.missing(scopes))
        raise Problem(403, "INSUFFICIENT_PERMISSIONS", f"Insufficient permissions: {missing}")
    CALLER.set(who_is(request, principal))
    return principal


def who_is(request: Request, principal: Principal) -> Who:
    """What the audit log says of a caller."""
    client = request.client
    return Who(
        _kind_of(principal), principal.key_id, principal.user_id, None, client and client.host
    )


def _kind_of(principal: Principal) -> str:
    if principal.key_id == OPERATOR:
        return OPERATOR
    if principal.key_id.startswith("sct_"):
        return SCIM
    return USER if principal.account_id else API_KEY


def require(*scopes: str) -> Callable[..., Awaitable[Principal]]:
    """A FastAPI dependency that gives the Principal: `Depends(require("read:costs"))`."""
    required = tuple(normalise(scope) for scope in scopes)

    async def principal_of(
        request: Request,
        _bearer: Any = Security(_BEARER),  # for the OpenAPI document; `authenticate` reads both
        _header: Any = Security(_HEADER),
    ) -> Principal:
        return await authenticate(request, *required)

    return principal_of


def own_fields(principal: Principal, body: Mapping[str, object]) -> dict[str, object]:
    """The fields of a body without the organization, which it may name if it is the key's.
    Raises Problem 403."""
    fields = dict(body)
    named = fields.pop("organization_id", None)
    if named is not None:
        own_organization(principal, str(named))
    return fields


def own_organization(
    principal: Principal, named: str | None, field: str = "organization_id"
) -> None:
    """Check an organization that a request names. Raises Problem 403 when it is another one."""
    own = (principal.organization_id, principal.organization_slug)
    if named is not None and named not in own:
        raise Problem(
            403,
            "ORGANIZATION_MISMATCH",
            "The key belongs to another organization.",
            {field: "is not the organization of the key"},
        )
