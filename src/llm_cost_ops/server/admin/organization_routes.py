"""Organizations over HTTP: the caller's own, and new ones for who runs the installation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import Depends, Request
from starlette.responses import Response

from llm_cost_ops.server.access.change import KEYED, Raw, change, changed
from llm_cost_ops.server.access.deps import own_organization, require
from llm_cost_ops.server.access.powers import BeyondOwn, grantable, refuse_stronger
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.admin.bodies import AddedUser, ChangedOrganization, NewOrganization
from llm_cost_ops.server.admin.budget_port import budget_desk, refuse_without_budgets
from llm_cost_ops.server.admin.lists import forgotten, paged
from llm_cost_ops.server.admin.people import make_user
from llm_cost_ops.server.admin.wire import (
    ORGANIZATION_SCHEMA,
    USER_SCHEMA,
    organization_row,
    user_row,
    user_rows,
)
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers, list_of
from llm_cost_ops.server.http.pagination import PARAMETERS, paging_parameters
from llm_cost_ops.server.http.problems import not_found
from llm_cost_ops.server.http.routing import refuse_unknown, room_router
from llm_cost_ops.server.identity import accounts, organizations, users
from llm_cost_ops.server.identity.last_admin import ADMIN
from llm_cost_ops.server.identity.organizations import Changes, Organization
from llm_cost_ops.server.identity.role_grants import grant_role
from llm_cost_ops.server.identity.users import NewUser

router = room_router("/api/v1/organizations", "organizations")

Anyone = Depends(require())
Writer = Depends(require("write:organizations"))
UserReader = Depends(require("read:users"))
UserWriter = Depends(require("write:users"))
_ONE = answers(200, ORGANIZATION_SCHEMA, "The organization.")
_SETTINGS = ("fiscal_year_start_month", "data_retention_days")


@router.post(
    "",
    status_code=201,
    operation_id="createOrganization",
    openapi_extra=KEYED,
    responses=answers(201, ORGANIZATION_SCHEMA, "The organization."),
)
def create_organization(
    request: Request, body: NewOrganization, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Make another organization: for administrators of the oldest one, which is that of whoever
    runs the installation. Who makes it, if a person, and `admin_email` administer it.
    `settings.budget_limit` makes a budget of `settings.budget_period` with an alert at
    `settings.alert_threshold`."""
    own_organization(principal, body.organization_id)
    settings = {**(body.settings or {}), **_given(body)}
    if "budget_limit" in settings:
        refuse_without_budgets(principal)
    desk = budget_desk(request)

    def work(session: WriteSession, actor: Actor) -> Response:
        if organizations.first_organization(session) != principal.organization_id:
            raise BeyondOwn("Only the organization that runs the installation makes others.")
        made = organizations.create_organization(
            session,
            name=body.name,
            slug=body.slug,
            currency=body.currency or organizations.DEFAULT_CURRENCY,
            time_zone=body.time_zone or organizations.DEFAULT_TIME_ZONE,
            settings=settings,
            now_us=actor.now_us,
            actor_id=actor.actor_id,
            request_id=actor.request_id,
        )
        inside = replace(actor, organization_id=made.id)
        for email in _administrators(session, principal, body.admin_email):
            users.create_user(session, inside, NewUser(email=email, role=ADMIN))
        if "budget_limit" in settings:
            desk.create(session, _budget(settings), inside)
        return json_response(organization_row(made), 201)

    return change(request, principal, raw, work)


def _administrators(
    session: ReadSession, principal: Principal, email: str | None
) -> dict[str, None]:
    """Who administers a new organization, by address, nobody twice."""
    found: dict[str, None] = {}
    if principal.account_id is not None:
        account = accounts.get_account(session, principal.account_id)
        if account is not None:
            found[account.email] = None
    if email is not None:
        found[email.strip().lower()] = None
    return found


def _budget(settings: Mapping[str, Any]) -> dict[str, object]:
    """The budget that the settings of a new organization describe."""
    fields: dict[str, object] = {
        "name": "Organization",
        "amount": settings["budget_limit"],
        "period": settings.get("budget_period", "monthly"),
    }
    if "alert_threshold" in settings:
        fields["alert_thresholds"] = [settings["alert_threshold"]]
    return fields


def _given(body: NewOrganization | ChangedOrganization) -> dict[str, Any]:
    """What stands in fields of its own and is kept among the settings."""
    return {name: getattr(body, name) for name in _SETTINGS if getattr(body, name) is not None}


@router.get(
    "",
    operation_id="listOrganizations",
    responses=answers(200, list_of(ORGANIZATION_SCHEMA), "By name."),
)
def list_organizations(request: Request, principal: Principal = Anyone) -> Response:
    """The organizations that the caller belongs to: a key to one, a person to any number."""
    refuse_unknown(request, {"organization_id"})
    with read(deps.database(request)) as session:
        ids = [principal.organization_id]
        if principal.is_account:
            members = accounts.memberships(session, principal.account_id or "")
            ids = [member.organization_id for member in members]
        found = [organizations.get_organization(session, each) for each in ids]
    rows = [organization_row(each) for each in found if each is not None]
    paging = {"has_more": False, "next_cursor": None, "pagination": {"count": len(rows)}}
    return json_response({"data": rows, **paging})


@router.get("/{organization_id}", operation_id="getOrganization", responses=_ONE)
def get_organization(
    organization_id: str, request: Request, principal: Principal = Anyone
) -> Response:
    """The caller's organization, by id or slug."""
    with read(deps.database(request)) as session:
        return json_response(organization_row(_own(session, principal, organization_id)))


@router.put(
    "/{organization_id}", operation_id="updateOrganization", openapi_extra=KEYED, responses=_ONE
)
@router.patch(
    "/{organization_id}", operation_id="changeOrganization", openapi_extra=KEYED, responses=_ONE
)
def update_organization(
    organization_id: str,
    request: Request,
    body: ChangedOrganization,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Change the caller's organization; what is not named stays. `settings` are replaced whole."""
    own_organization(principal, body.organization_id)

    def work(session: WriteSession, actor: Actor) -> Response:
        before = _own(session, principal, organization_id)
        changes = Changes(
            name=body.name,
            slug=body.slug,
            currency=body.currency,
            time_zone=body.time_zone,
            settings=_settings(before, body),
        )
        return json_response(
            organization_row(organizations.update_organization(session, actor, changes))
        )

    return change(request, principal, raw, work)


def _settings(before: Organization, body: ChangedOrganization) -> Mapping[str, object]:
    named = body.model_fields_set
    base = before.settings if body.settings is None else body.settings
    kept = {name: before.settings[name] for name in _SETTINGS if name in before.settings}
    settings: dict[str, object] = {**kept, **base, **_given(body)}
    for name in _SETTINGS:
        if name in named and getattr(body, name) is None:
            settings.pop(name, None)
    return settings


@router.get(
    "/{organization_id}/users",
    operation_id="listOrganizationUsers",
    dependencies=[Depends(paging_parameters)],
    responses=answers(200, list_of(USER_SCHEMA), "By id."),
)
def list_organization_users(
    organization_id: str, request: Request, principal: Principal = UserReader
) -> Response:
    """The people of the organization."""
    refuse_unknown(request, PARAMETERS | {"organization_id"})
    with read(deps.database(request)) as session:
        own = _own(session, principal, organization_id).id
    return paged(
        request,
        f"{own} members",
        partial(users.list_users, organization_id=own),
        lambda session, found: user_rows(session, own, found),
    )


@router.post(
    "/{organization_id}/users",
    status_code=201,
    operation_id="addOrganizationUser",
    openapi_extra=KEYED,
    responses=answers(201, USER_SCHEMA, "The user."),
)
def add_user(
    organization_id: str,
    request: Request,
    body: AddedUser,
    raw: bytes = Raw,
    principal: Principal = UserWriter,
) -> Response:
    """Make the person with this address a user with this role; one who is a user already gets the
    role besides."""

    def work(session: WriteSession, actor: Actor) -> Mapping[str, object]:
        _own(session, principal, organization_id)
        found = users.find_by_email(session, actor.organization_id, body.user_email)
        if found is None:
            new = NewUser(email=body.user_email, name=body.name, role=body.role)
            found = make_user(session, actor, principal, new)
        else:
            grant_role(session, actor, found.id, grantable(session, principal, body.role))
        return user_row(session, found)

    return changed(request, principal, raw, body.organization_id, work, 201)


@router.delete(
    "/{organization_id}/users/{user_id}",
    status_code=204,
    operation_id="removeOrganizationUser",
    openapi_extra=KEYED,
)
def remove_user(
    organization_id: str,
    user_id: str,
    request: Request,
    raw: bytes = Raw,
    principal: Principal = UserWriter,
) -> Response:
    """Take a user out of the organization; recorded calls keep the id."""

    def work(session: WriteSession, actor: Actor) -> Response:
        _own(session, principal, organization_id)
        refuse_stronger(session, principal, user_id)
        users.remove_user(session, actor, user_id)
        return Response(status_code=204)

    return forgotten(request, principal, user_id, change(request, principal, raw, work))


def _own(session: ReadSession, principal: Principal, named: str) -> Organization:
    """The caller's organization when it is the one that is named. Raises Problem 404."""
    found = organizations.get_organization(session, principal.organization_id)
    if found is None or named not in (found.id, found.slug):
        raise not_found("Organization not found")
    return found
