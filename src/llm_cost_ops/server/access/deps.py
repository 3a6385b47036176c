"""The way in: a request's key becomes a principal that holds what the route requires."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, Literal, cast
from urllib.parse import parse_qsl

from fastapi import Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from llm_cost_ops.core.permissions import normalise
from llm_cost_ops.server.access.credentials import Credentials
from llm_cost_ops.server.access.keys import KeyRing, invalid_key, missing_key
from llm_cost_ops.server.access.networks import accepts
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.access.secret import well_formed
from llm_cost_ops.server.audit.refused import ANONYMOUS, Attempts
from llm_cost_ops.server.audit.who import API_KEY, CALLER, OPERATOR, SCIM, USER, Who
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.http.ratelimit.gate import RateLimits
from llm_cost_ops.server.http.request_id import request_id

MAX_SECRET = 4_096
"""Characters. An API key has under a hundred, an access token some hundreds."""
Endpoint = Callable[[Request], Awaitable[Response]]
Conditions = Literal["applied", "apart", "refused"]
"""What a route does with the conditions of a role. `applied`: it shows and changes only calls of
the principal's `reach`. `apart`: it is about nothing that conditions are about. `refused`: it is
about the whole organization, so who is limited by conditions does not get in."""
MAX_PARAMETERS = 1_000
MAX_PATH = 200
SCIM_IDS = "sct_"
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


async def authenticate(
    request: Request, *scopes: str, conditions: Conditions = "refused"
) -> Principal:
    """The principal of a request, which holds all of the canonical `scopes`.

    Raises Problem 401 (AUTH_001), 403 (INSUFFICIENT_PERMISSIONS) and 429 (RATE_LIMIT_EXCEEDED).
    """
    seen: list[Principal] = []
    try:
        admitted = await _let_in(request, scopes, conditions, seen)
    except Problem as problem:
        _note_refused(request, seen[0] if seen else None, problem)
        raise
    attempts(request).let_in(
        admitted.organization_id,
        who_is(request, admitted),
        request_id(request.scope),
        _about(request),
    )
    return admitted


async def _let_in(
    request: Request, scopes: Sequence[str], conditions: Conditions, seen: list[Principal]
) -> Principal:
    """`authenticate`, which learns from `seen` who it was that is refused."""
    limits = rate_limits(request)
    try:
        principal = await credential(request)
    except Problem as refused:
        wrong = refused.status == 401 and _attempted(request)
        raise limits.failed(request.scope, refused) if wrong else refused from None
    seen.append(principal)
    request.scope["state"]["key_id"] = principal.key_id
    await limits.check(request.scope, principal)
    return admit(request, principal, scopes, conditions)


def _attempted(request: Request) -> bool:
    """Whether a credential was sent at all: without one nothing was guessed."""
    return "authorization" in request.headers or "x-api-key" in request.headers


def rate_limits(request: Request) -> RateLimits:
    """The rate limits of the app that serves this request."""
    return cast("RateLimits", request.app.state.limits)


def attempts(request: Request) -> Attempts:
    """Where it is noted who was let in and who was not."""
    return cast("Attempts", request.app.state.attempts)


def _note_refused(request: Request, principal: Principal | None, problem: Problem) -> None:
    """Whatever goes wrong in here, nobody is let in."""
    if principal is None:
        client = request.client
        organization_id, who = None, ANONYMOUS._replace(ip=client and client.host)
    else:
        organization_id, who = principal.organization_id, who_is(request, principal)
    attempts(request).refused(
        problem.status,
        problem.code,
        organization_id,
        who,
        request_id(request.scope),
        _about(request),
    )


def _about(request: Request) -> str:
    return f"{request.method} {request.scope['path'][:MAX_PATH]}"


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


def admit(
    request: Request,
    principal: Principal,
    scopes: Sequence[str],
    conditions: Conditions = "refused",
) -> Principal:
    """The one gate that every credential passes. Raises Problem 403."""
    request.scope["state"]["key_id"] = principal.key_id
    networks = principal.allowed_networks
    if networks and not accepts(networks, request.client.host if request.client else ""):
        raise Problem(403, "INSUFFICIENT_PERMISSIONS", "The key is not accepted from this address.")
    own_organization(principal, request.headers.get("x-organization-id"), "X-Organization-ID")
    if request.scope["query_string"]:
        for named in request.query_params.getlist("organization_id"):
            own_organization(principal, named)
    if not principal.holds(*scopes):
        missing = ", ".join(principal.missing(scopes))
        raise Problem(403, "INSUFFICIENT_PERMISSIONS", f"Insufficient permissions: {missing}")
    CALLER.set(who_is(request, principal))
    if any(part.within.dimensions for part in principal.grants):
        return _within(principal, scopes, conditions)
    return principal


def _within(principal: Principal, scopes: Sequence[str], conditions: Conditions) -> Principal:
    """The principal with what it reaches by these permissions. Raises Problem 403."""
    reach = principal.reach_of(scopes)
    if reach.is_everything or conditions == "apart":
        return principal
    if conditions == "refused":
        raise Problem(
            403,
            "INSUFFICIENT_PERMISSIONS",
            f"This is about the whole organization; your roles are limited to {reach.text()}.",
        )
    return replace(principal, reach=reach)


def who_is(request: Request, principal: Principal) -> Who:
    """What the audit log says of a caller."""
    client = request.client
    return Who(
        _kind_of(principal), principal.key_id, principal.user_id, None, client and client.host
    )


def _kind_of(principal: Principal) -> str:
    if principal.key_id == OPERATOR:
        return OPERATOR
    if principal.key_id.startswith(SCIM_IDS):
        return SCIM
    return USER if principal.account_id else API_KEY


def require(
    *scopes: str, conditions: Conditions = "refused"
) -> Callable[..., Awaitable[Principal]]:
    """A FastAPI dependency that gives the Principal: `Depends(require("read:costs"))`. The
    OpenAPI document says what it demands (`x-required-permissions`, `x-conditions`)."""
    required = tuple(normalise(scope) for scope in scopes)

    async def principal_of(
        request: Request,
        _bearer: Any = Security(_BEARER),  # for the OpenAPI document; `authenticate` reads both
        _header: Any = Security(_HEADER),
    ) -> Principal:
        return await authenticate(request, *required, conditions=conditions)

    _declare(principal_of, required, conditions)
    return principal_of


def admitted(
    *scopes: str, conditions: Conditions = "refused"
) -> Callable[[Callable[[Request, Principal], Awaitable[Response]]], Endpoint]:
    """The same for a plain route: its endpoint is called with the request and the principal."""
    required = tuple(normalise(scope) for scope in scopes)

    def guard(endpoint: Callable[[Request, Principal], Awaitable[Response]]) -> Endpoint:
        @wraps(endpoint)
        async def guarded(request: Request) -> Response:
            principal = await authenticate(request, *required, conditions=conditions)
            return await endpoint(request, principal)

        _declare(guarded, required, conditions)
        return guarded

    return guard


def _declare(function: Any, required: Sequence[str], conditions: Conditions) -> None:
    function.demands = demands(*required, conditions=conditions)


def demands(*scopes: str, conditions: Conditions = "refused") -> dict[str, Any]:
    """What the OpenAPI document says of an operation that demands these permissions."""
    return {"x-required-permissions": list(scopes), "x-conditions": conditions}


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
