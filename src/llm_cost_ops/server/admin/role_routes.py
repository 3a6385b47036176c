"""Roles over HTTP: the custom ones of an organization, and who has which."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import Field
from starlette.responses import Response

from llm_cost_ops.core.grants import conditions_wire
from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.server.access.change import KEYED, Raw, change, changed
from llm_cost_ops.server.access.deps import require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers, list_of
from llm_cost_ops.server.http.pagination import (
    PARAMETERS,
    counted_page,
    page_request,
    paging_parameters,
    rows_before,
)
from llm_cost_ops.server.http.routing import Wire, refuse_unknown, room_router
from llm_cost_ops.server.identity import roles
from llm_cost_ops.server.identity.roles import Role

router = room_router("/api/v1", "roles")

# What a role may give is checked against the conditions of who gives it, so they limit these too.
Reader = Depends(require("read:roles", conditions="apart"))
Writer = Depends(require("write:roles", conditions="apart"))

Text = Annotated[str, Field(max_length=1_000)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Permission = Annotated[str, Field(min_length=1, max_length=64)]
Permissions = Annotated[list[Permission], Field(min_length=1, max_length=100)]
Value = Annotated[str, Field(min_length=1, max_length=255)]
Conditions = dict[Name, Value | Annotated[list[Value], Field(min_length=1, max_length=100)]]


class NewRole(Wire):
    """`POST /api/v1/roles`. Conditions limit the permissions to some teams, models, projects or
    environments."""

    name: Name
    description: Text | None = None
    permissions: Permissions
    conditions: Conditions | None = None
    organization_id: str | None = None


class ChangedRole(Wire):
    """`PUT /api/v1/roles/{id}`. What is not named stays; conditions of null are none."""

    name: Name | None = None
    description: Text | None = None
    permissions: Permissions | None = None
    conditions: Conditions | None = None
    organization_id: str | None = None


class GivenRole(Wire):
    """`POST /api/v1/users/{user_id}/roles`: the id of a custom role or the name of a built-in
    one."""

    role_id: Annotated[str, Field(min_length=1, max_length=64)]
    organization_id: str | None = None


ROLE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["id", "name", "description", "permissions", "conditions", "built_in"],
    "properties": {
        "id": {"type": "string"},
        "name": {"type": "string"},
        "description": {"type": ["string", "null"]},
        "permissions": {"type": "array", "items": {"type": "string"}},
        "conditions": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
        "built_in": {"type": "boolean"},
        "created_at": {"type": ["string", "null"], "format": "date-time"},
        "updated_at": {"type": ["string", "null"], "format": "date-time"},
    },
}


def role_row(role: Role) -> dict[str, object]:
    """A role as the API shows it."""
    return {
        "id": role.id,
        "name": role.name,
        "description": role.description,
        "permissions": sorted(role.grant.scopes),
        "conditions": conditions_wire(role.grant.within),
        "built_in": role.built_in,
        "created_at": _instant(role.created_at),
        "updated_at": _instant(role.updated_at),
    }


def _instant(micros: int | None) -> str | None:
    return None if micros is None else format_micros(micros)


@router.post(
    "/roles",
    status_code=201,
    operation_id="createRole",
    openapi_extra=KEYED,
    responses=answers(201, ROLE_SCHEMA, "The role."),
)
def create_role(
    request: Request, body: NewRole, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Make a role that can do no more than who makes it."""

    def work(session: WriteSession, actor: Actor) -> Mapping[str, object]:
        made = roles.create_role(
            session,
            actor,
            name=body.name,
            description=body.description,
            permissions=body.permissions,
            conditions=body.conditions,
            held=principal.held,
        )
        return role_row(made)

    return changed(request, principal, raw, body.organization_id, work, 201)


@router.get(
    "/roles",
    operation_id="listRoles",
    dependencies=[Depends(paging_parameters)],
    responses=answers(200, list_of(ROLE_SCHEMA), "The built-in ones first."),
)
def list_roles(request: Request, principal: Principal = Reader) -> Response:
    """The built-in roles, then those of the organization by name."""
    refuse_unknown(request, PARAMETERS | {"organization_id"})
    subject = f"{principal.organization_id} roles"
    page = page_request(request.query_params, subject, (int,))
    start = rows_before(page)
    with read(deps.database(request)) as session:
        found = roles.list_roles(session, principal.organization_id)
    shown = [role_row(role) for role in islice(found, start, start + page.limit + 1)]
    return json_response(counted_page(shown, page, subject))


@router.get(
    "/roles/{role_id}",
    operation_id="getRole",
    responses=answers(200, ROLE_SCHEMA, "The role."),
)
def get_role(role_id: str, request: Request, principal: Principal = Reader) -> Response:
    """A role by its id or name."""
    with read(deps.database(request)) as session:
        return json_response(role_row(roles.get_role(session, principal.organization_id, role_id)))


@router.put(
    "/roles/{role_id}",
    operation_id="updateRole",
    openapi_extra=KEYED,
    responses=answers(200, ROLE_SCHEMA, "The role."),
)
def update_role(
    role_id: str,
    request: Request,
    body: ChangedRole,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Change a custom role. Who has it can do what it says within a second."""
    changes = body.model_dump(exclude_unset=True, exclude={"organization_id"})
    for name in ("name", "permissions"):
        if changes.get(name, "") is None:
            del changes[name]

    def work(session: WriteSession, actor: Actor) -> Mapping[str, object]:
        held = principal.held
        return role_row(roles.update_role(session, actor, role_id, changes=changes, held=held))

    return changed(request, principal, raw, body.organization_id, work)


@router.delete("/roles/{role_id}", status_code=204, operation_id="deleteRole", openapi_extra=KEYED)
def delete_role(
    role_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Remove a custom role, also from those who have it."""

    def work(session: WriteSession, actor: Actor) -> Response:
        roles.delete_role(session, actor, role_id, held=principal.held)
        return Response(status_code=204)

    return change(request, principal, raw, work)


@router.get(
    "/users/{user_id}/roles",
    operation_id="listUserRoles",
    dependencies=[Depends(paging_parameters)],
    responses=answers(200, list_of(ROLE_SCHEMA), "The built-in ones first."),
)
def list_user_roles(user_id: str, request: Request, principal: Principal = Reader) -> Response:
    """The roles that a user has."""
    refuse_unknown(request, PARAMETERS | {"organization_id"})
    subject = f"{principal.organization_id} roles of {user_id}"
    page = page_request(request.query_params, subject, (int,))
    start = rows_before(page)
    with read(deps.database(request)) as session:
        found = roles.roles_of_user(session, principal.organization_id, user_id)
    shown = [role_row(role) for role in islice(found, start, start + page.limit + 1)]
    return json_response(counted_page(shown, page, subject))


@router.post(
    "/users/{user_id}/roles",
    status_code=201,
    operation_id="assignRole",
    openapi_extra=KEYED,
    responses=answers(201, ROLE_SCHEMA, "The role that the user has now."),
)
def assign_role(
    user_id: str,
    request: Request,
    body: GivenRole,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Give a user a role that can do no more than who gives it. A second time changes nothing."""

    def work(session: WriteSession, actor: Actor) -> Mapping[str, object]:
        held = principal.held
        return role_row(roles.assign_role(session, actor, user_id, body.role_id, held=held))

    return changed(request, principal, raw, body.organization_id, work, 201)


@router.delete(
    "/users/{user_id}/roles/{role_id}",
    status_code=204,
    operation_id="withdrawRole",
    openapi_extra=KEYED,
)
def withdraw_role(
    user_id: str,
    role_id: str,
    request: Request,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Take a role from a user; it is of no use within a second. The last administrator keeps its
    role."""

    def work(session: WriteSession, actor: Actor) -> Response:
        roles.withdraw_role(session, actor, user_id, role_id, held=principal.held)
        return Response(status_code=204)

    return change(request, principal, raw, work)
