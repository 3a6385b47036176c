"""Identity providers over HTTP: make, list, change, remove; and whether they are demanded."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, Request
from starlette.responses import Response

from llm_cost_ops.server.access.change import KEYED, Raw, change, changed
from llm_cost_ops.server.access.deps import own_organization, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.delivery.target import TargetRefused
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers, list_of
from llm_cost_ops.server.http.problems import invalid
from llm_cost_ops.server.http.routing import refuse_unknown, room_router
from llm_cost_ops.server.signin.sso import define, saml, store
from llm_cost_ops.server.signin.sso.desk import sso
from llm_cost_ops.server.signin.sso.providers import (
    FIXED_ISSUERS,
    GITHUB_ISSUER,
    SAML,
    Provider,
    default_scopes,
)
from llm_cost_ops.server.signin.sso.schemas import (
    POLICY_SCHEMA,
    PROVIDER_SCHEMA,
    ChangedProvider,
    NewProvider,
    SignInPolicy,
    provider_row,
)
from llm_cost_ops.server.signin.store import sso_required

router = room_router("/api/v1/sso", "auth")

Reader = Depends(require("read:organizations"))
Writer = Depends(require("write:organizations", "write:roles", "write:users"))
_NAMES = {"client_secret": "secret"}


@router.post(
    "/providers",
    status_code=201,
    operation_id="createIdentityProvider",
    openapi_extra=KEYED,
    responses=answers(201, PROVIDER_SCHEMA, "The provider, without its secret."),
)
def create_provider(
    request: Request, body: NewProvider, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Let people sign in by an identity provider of the organization. Who may do everything there
    defines one: it vouches for anybody."""
    own_organization(principal, body.organization_id)
    wanted = Provider(
        id="",
        organization_id=principal.organization_id,
        kind=body.kind,
        name=body.name,
        issuer=body.issuer or FIXED_ISSUERS.get(body.kind, ""),
        client_id=body.client_id,
        secret=body.client_secret,
        scopes=default_scopes(body.kind) if body.scopes is None else tuple(body.scopes),
        domains=tuple(body.domains),
        creates_users=body.creates_users,
        role=body.role,
        role_claim=body.role_claim,
        role_mapping=body.role_mapping,
        sso_url=body.sso_url,
        certificates=tuple(body.certificates),
        enabled=body.enabled,
    )
    if wanted.kind == SAML:
        saml.library()
    else:
        _examine(request, wanted.issuer)

    def work(session: WriteSession, actor: Actor) -> Response:
        vault = sso(request).vault
        made = define.create_provider(session, actor, principal, vault, wanted)
        return json_response(provider_row(made), 201)

    return change(request, principal, raw, work)


@router.get(
    "/providers",
    operation_id="listIdentityProviders",
    responses=answers(200, list_of(PROVIDER_SCHEMA), "By name, without their secrets."),
)
def list_providers(request: Request, principal: Principal = Reader) -> Response:
    """The identity providers of the organization."""
    refuse_unknown(request, {"organization_id"})
    with read(deps.database(request)) as session:
        found = store.list_providers(session, principal.organization_id)
    rows = [provider_row(each) for each in found]
    ends = {"has_more": False, "next_cursor": None, "pagination": {"count": len(rows)}}
    return json_response({"data": rows, **ends})


@router.get(
    "/providers/{idp_id}",
    operation_id="getIdentityProvider",
    responses=answers(200, PROVIDER_SCHEMA, "The provider, without its secret."),
)
def get_provider(idp_id: str, request: Request, principal: Principal = Reader) -> Response:
    """One identity provider of the organization."""
    with read(deps.database(request)) as session:
        found = define.known_provider(session, principal.organization_id, idp_id)
    return json_response(provider_row(found))


@router.patch(
    "/providers/{idp_id}",
    operation_id="changeIdentityProvider",
    openapi_extra=KEYED,
    responses=answers(200, PROVIDER_SCHEMA, "The provider, without its secret."),
)
def change_provider(
    idp_id: str,
    request: Request,
    body: ChangedProvider,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Change an identity provider; what is not named stays."""
    own_organization(principal, body.organization_id)
    given: dict[str, Any] = body.model_dump(exclude_unset=True, exclude={"organization_id"})
    changes: dict[str, Any] = {_NAMES.get(name, name): value for name, value in given.items()}
    for name in {"scopes", "domains", "certificates"} & changes.keys():
        changes[name] = tuple(changes[name])
    if body.issuer.lower().startswith(("http:", "https:")):
        _examine(request, body.issuer)

    def work(session: WriteSession, actor: Actor) -> Response:
        vault = sso(request).vault
        made = define.change_provider(session, actor, principal, vault, idp_id, changes)
        return json_response(provider_row(made))

    return change(request, principal, raw, work)


@router.delete(
    "/providers/{idp_id}",
    status_code=204,
    operation_id="deleteIdentityProvider",
    openapi_extra=KEYED,
)
def delete_provider(
    idp_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Remove an identity provider: the sessions that it vouched for end."""

    def work(session: WriteSession, actor: Actor) -> Response:
        define.remove_provider(session, actor, principal, idp_id)
        return Response(status_code=204)

    return change(request, principal, raw, work)


@router.get(
    "/policy",
    operation_id="getSignInPolicy",
    responses=answers(200, POLICY_SCHEMA, "Whether identity providers are demanded."),
)
def get_policy(request: Request, principal: Principal = Reader) -> Response:
    """How people sign in to the organization."""
    with read(deps.database(request)) as session:
        required = sso_required(session, principal.organization_id)
    return json_response({"required": required})


@router.put(
    "/policy",
    operation_id="setSignInPolicy",
    openapi_extra=KEYED,
    responses=answers(200, POLICY_SCHEMA, "Whether identity providers are demanded."),
)
def set_policy(
    request: Request, body: SignInPolicy, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Turn passwords off: administrators alone may use theirs. Sessions that began with one end."""

    def work(session: WriteSession, actor: Actor) -> dict[str, object]:
        others = bool(sso(request).installed)
        required = define.set_policy(
            session, actor, principal, required=body.required, others=others
        )
        return {"required": required}

    return changed(request, principal, raw, body.organization_id, work)


def _examine(request: Request, issuer: str) -> None:
    """Raises Problem 422 for an issuer that would not be called: before anything is stored."""
    if not issuer or issuer == GITHUB_ISSUER:
        return
    try:
        sso(request).outbound.guard.examine(issuer)
    except TargetRefused as refused:
        raise invalid("issuer", str(refused)) from None
