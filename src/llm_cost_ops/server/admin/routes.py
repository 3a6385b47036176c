"""The HTTP face of rooms below access: the organization of a key, and its custom providers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import Field
from starlette.responses import Response

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.server.access.deps import own_organization, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.admin.wire import ORGANIZATION_SCHEMA, organization_row
from llm_cost_ops.server.db.session import read, write_retrying
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers, list_of
from llm_cost_ops.server.http.problems import not_found
from llm_cost_ops.server.http.request_id import request_id
from llm_cost_ops.server.http.routing import Wire, room_router
from llm_cost_ops.server.identity import organizations, providers
from llm_cost_ops.server.pricing.deps import prices as prices_of

router = room_router("/api/v1", "organizations")

Reader = Depends(require("read:costs", conditions="apart"))
Writer = Depends(require("write:pricing"))
Anyone = Depends(require())

PROVIDER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["id", "name", "created_at"],
    "properties": {
        "id": {"type": "string"},
        "name": {"type": ["string", "null"]},
        "created_at": {"type": "string", "format": "date-time"},
    },
}


class NewProvider(Wire):
    """`POST /api/v1/providers`."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]+$")] | None = None
    organization_id: str | None = None


@router.get(
    "/organizations/current",
    operation_id="getCurrentOrganization",
    responses=answers(200, ORGANIZATION_SCHEMA, "The organization of the key."),
)
def current_organization(request: Request, principal: Principal = Anyone) -> Response:
    """The organization of the key."""
    with read(deps.database(request)) as session:
        found = organizations.get_organization(session, principal.organization_id)
    if found is None:
        raise not_found("Organization not found")
    return json_response(organization_row(found))


@router.get(
    "/providers",
    operation_id="listProviders",
    tags=["providers"],
    responses=answers(200, list_of(PROVIDER_SCHEMA), "All of them, by id."),
)
def list_providers(request: Request, principal: Principal = Reader) -> Response:
    """The providers that the organization registered beside the built-in ones."""
    with read(deps.database(request)) as session:
        found = providers.list_providers(session, principal.organization_id)
    rows = [_row(provider) for provider in found]
    return json_response(
        {"data": rows, "has_more": False, "next_cursor": None, "pagination": {"count": len(rows)}}
    )


@router.post(
    "/providers",
    status_code=201,
    operation_id="registerProvider",
    tags=["providers"],
    responses=answers(201, PROVIDER_SCHEMA, "The provider."),
)
def register_provider(
    request: Request, body: NewProvider, principal: Principal = Writer
) -> Response:
    """Register a provider, so that calls may name it."""
    own_organization(principal, body.organization_id)
    now_us = deps.clock(request).micros()
    made = write_retrying(
        deps.database(request),
        lambda session: providers.register_provider(
            session,
            principal.organization_id,
            body.id,
            name=body.name,
            now_us=now_us,
            actor_id=principal.key_id,
            request_id=request_id(request.scope),
        ),
    )
    prices_of(request).forget(principal.organization_id)
    return json_response(_row(made), 201)


@router.delete(
    "/providers/{provider_id}",
    status_code=204,
    operation_id="removeProvider",
    tags=["providers"],
)
def remove_provider(provider_id: str, request: Request, principal: Principal = Writer) -> Response:
    """Unregister a provider; what was recorded under its name stays."""
    now_us = deps.clock(request).micros()
    write_retrying(
        deps.database(request),
        lambda session: providers.remove_provider(
            session,
            principal.organization_id,
            provider_id,
            now_us=now_us,
            actor_id=principal.key_id,
            request_id=request_id(request.scope),
        ),
    )
    prices_of(request).forget(principal.organization_id)
    return Response(status_code=204)


def _row(provider: providers.Provider) -> dict[str, object]:
    return {
        "id": provider.id,
        "name": provider.name,
        "created_at": format_micros(provider.created_at),
    }
