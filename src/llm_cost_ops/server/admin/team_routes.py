"""Teams over HTTP: a tree, members, and a budget for each that wants one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Depends, Query, Request
from starlette.responses import Response

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.access.change import KEYED, Raw, change
from llm_cost_ops.server.access.deps import own_organization, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.admin.bodies import ChangedTeam, Members, NewTeamBody
from llm_cost_ops.server.admin.budget_port import BudgetDesk, budget_desk, refuse_without_budgets
from llm_cost_ops.server.admin.lists import paged
from llm_cost_ops.server.admin.people import user_ids
from llm_cost_ops.server.admin.wire import BUDGET, TEAM_SCHEMA, USER_SCHEMA, team_row, user_rows
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.edge import untimed
from llm_cost_ops.server.http.openapi import answers, list_of
from llm_cost_ops.server.http.pagination import PARAMETERS, paging_parameters
from llm_cost_ops.server.http.problems import not_found
from llm_cost_ops.server.http.routing import refuse_unknown, room_router
from llm_cost_ops.server.identity import teams, users
from llm_cost_ops.server.identity.teams import NewTeam, Team

router = room_router("/api/v1/teams", "teams")

Reader = Depends(require("read:teams"))
Writer = Depends(require("write:teams"))
_ONE = answers(200, TEAM_SCHEMA, "The team.")
_TREE: dict[str, Any] = {
    "type": "object",
    "properties": {"data": {"type": "array", "items": {"type": "object"}}},
}


class BudgetRefused(DomainError):
    """A budget that a team cannot have."""


@router.post(
    "", status_code=201, operation_id="createTeam", openapi_extra=KEYED,
    responses=answers(201, TEAM_SCHEMA, "The team."),
)  # fmt: skip
def create_team(
    request: Request, body: NewTeamBody, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Make a team with its members, and with a `budget` a monthly budget of what it spends, below
    that of the team above."""
    own_organization(principal, body.organization_id)
    if body.budget is not None:
        refuse_without_budgets(principal)
        untimed(request)
    desk = budget_desk(request)

    def work(session: WriteSession, actor: Actor) -> Response:
        _refuse_reserved(body.metadata)
        members = user_ids(session, actor.organization_id, body.members)
        new = NewTeam(
            name=body.name,
            description=body.description,
            parent_id=body.parent_id,
            external_id=body.external_id,
            metadata=body.metadata,
            members=members,
            team_id=body.team_id,
        )
        made = teams.create_team(session, actor, new)
        if body.budget is not None:
            made = _with_budget(session, actor, desk, made, body.budget)
        return json_response(team_row(made), 201)

    return change(request, principal, raw, work)


def _refuse_reserved(metadata: Mapping[str, Any] | None) -> None:
    if metadata and BUDGET in metadata:
        raise BudgetRefused(f"must not hold {BUDGET}", field="metadata")


def _with_budget(
    session: WriteSession, actor: Actor, desk: BudgetDesk, team: Team, amount: object
) -> Team:
    """The team with a budget of this amount, new or changed."""
    budget_id = team.metadata.get(BUDGET)
    if budget_id is not None:
        desk.update(session, str(budget_id), {"amount": amount}, actor)
        return team
    fields: dict[str, object] = {
        "name": team.name,
        "amount": amount,
        "period": "monthly",
        "scope": {"team_id": team.id},
    }
    if team.parent_id is not None:
        above = teams.known_team(session, actor.organization_id, team.parent_id)
        if above.metadata.get(BUDGET) is not None:
            fields["parent_id"] = above.metadata[BUDGET]
    metadata = {**team.metadata, BUDGET: desk.create(session, fields, actor)}
    return teams.update_team(session, actor, team.id, {"metadata": metadata})


@router.get(
    "",
    operation_id="listTeams",
    dependencies=[Depends(paging_parameters)],
    responses=answers(200, list_of(TEAM_SCHEMA), "By id."),
)
def list_teams(
    request: Request,
    principal: Principal = Reader,
    parent_id: str | None = None,
    search: str | None = Query(default=None, max_length=255),
) -> Response:
    """The teams of the organization."""
    refuse_unknown(request, PARAMETERS | {"parent_id", "search", "organization_id"})
    organization_id = principal.organization_id

    def find(session: ReadSession, **page: Any) -> Sequence[Team]:
        return teams.list_teams(
            session, organization_id, parent_id=parent_id, search=search, **page
        )

    return paged(
        request,
        f"{organization_id} teams {parent_id} {search}",
        find,
        lambda _session, found: [team_row(team) for team in found],
    )


@router.get("/tree", operation_id="getTeamTree", responses=answers(200, _TREE, "The top teams."))
def team_tree(request: Request, principal: Principal = Reader) -> Response:
    """All teams, each with its `children`, by name."""
    refuse_unknown(request, {"organization_id"})
    with read(deps.database(request)) as session:
        found = teams.all_teams(session, principal.organization_id)
    rows: dict[str, dict[str, Any]] = {t.id: {**team_row(t), "children": []} for t in found}
    top: list[dict[str, Any]] = []
    for team in found:
        above = rows.get(team.parent_id or "")
        (top if above is None else above["children"]).append(rows[team.id])
    return json_response({"data": top})


@router.get("/{team_id}", operation_id="getTeam", responses=_ONE)
def get_team(team_id: str, request: Request, principal: Principal = Reader) -> Response:
    """One team."""
    with read(deps.database(request)) as session:
        return json_response(
            team_row(teams.known_team(session, principal.organization_id, team_id))
        )


@router.put("/{team_id}", operation_id="updateTeam", openapi_extra=KEYED, responses=_ONE)
@router.patch("/{team_id}", operation_id="changeTeam", openapi_extra=KEYED, responses=_ONE)
def update_team(
    team_id: str,
    request: Request,
    body: ChangedTeam,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Change or move a team; what is not named stays."""
    own_organization(principal, body.organization_id)
    changes = body.model_dump(exclude_unset=True, exclude={"organization_id", "budget"})
    if body.budget is not None:
        refuse_without_budgets(principal)
        untimed(request)
    desk = budget_desk(request)

    def work(session: WriteSession, actor: Actor) -> Response:
        _refuse_reserved(body.metadata)
        before = teams.known_team(session, actor.organization_id, team_id)
        if "metadata" in changes and BUDGET in before.metadata:
            kept = {BUDGET: before.metadata[BUDGET]}
            changes["metadata"] = {**(body.metadata or {}), **kept}
        made = teams.update_team(session, actor, team_id, changes)
        if body.budget is not None:
            made = _with_budget(session, actor, desk, made, body.budget)
        return json_response(team_row(made))

    return change(request, principal, raw, work)


@router.delete("/{team_id}", status_code=204, operation_id="deleteTeam", openapi_extra=KEYED)
def delete_team(
    team_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Remove a team that has none below it, and the budget that was made with it."""
    desk = budget_desk(request)

    def work(session: WriteSession, actor: Actor) -> Response:
        found = teams.known_team(session, actor.organization_id, team_id)
        budget_id = found.metadata.get(BUDGET)
        if budget_id is not None:
            refuse_without_budgets(principal)
        teams.delete_team(session, actor, team_id)
        if budget_id is not None:
            desk.remove(session, str(budget_id), actor)
        return Response(status_code=204)

    return change(request, principal, raw, work)


@router.get(
    "/{team_id}/members",
    operation_id="listTeamMembers",
    responses=answers(200, list_of(USER_SCHEMA), "All of them, by id."),
)
def list_members(team_id: str, request: Request, principal: Principal = Reader) -> Response:
    """The members of the team itself."""
    with read(deps.database(request)) as session:
        return _members(session, principal.organization_id, team_id)


def _members(session: ReadSession, organization_id: str, team_id: str) -> Response:
    teams.known_team(session, organization_id, team_id)
    ids = teams.members_of(session, organization_id, team_id)
    found = [user for each in ids if (user := users.get_user(session, organization_id, each))]
    rows = user_rows(session, organization_id, found)
    paging = {"has_more": False, "next_cursor": None, "pagination": {"count": len(rows)}}
    return json_response({"data": rows, **paging})


@router.post(
    "/{team_id}/members",
    operation_id="addTeamMembers",
    openapi_extra=KEYED,
    responses=answers(200, list_of(USER_SCHEMA), "All members."),
)
def add_members(
    team_id: str,
    request: Request,
    body: Members,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Make users members, by id or address; those who are already stay."""
    own_organization(principal, body.organization_id)

    def work(session: WriteSession, actor: Actor) -> Response:
        teams.known_team(session, actor.organization_id, team_id)
        ids = user_ids(session, actor.organization_id, body.members)
        teams.add_members(session, actor, team_id, ids)
        return _members(session, actor.organization_id, team_id)

    return change(request, principal, raw, work)


@router.delete(
    "/{team_id}/members/{user_id}",
    status_code=204,
    operation_id="removeTeamMember",
    openapi_extra=KEYED,
)
def remove_member(
    team_id: str,
    user_id: str,
    request: Request,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Take a user out of the team."""

    def work(session: WriteSession, actor: Actor) -> Response:
        if not teams.remove_members(session, actor, team_id, [user_id]):
            raise not_found("Member not found")
        return Response(status_code=204)

    return change(request, principal, raw, work)
