"""Teams as SCIM groups: read, made, replaced, patched, removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scim2_models import Context

from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity import teams as identity
from llm_cost_ops.server.identity.last_admin import hold_organization
from llm_cost_ops.server.scim import store
from llm_cost_ops.server.scim.asked import Answer, Asked, Caller, location
from llm_cost_ops.server.scim.bounds import MAX_MEMBERS
from llm_cost_ops.server.scim.errors import refusal
from llm_cost_ops.server.scim.resources import Group
from llm_cost_ops.server.scim.terms import check_version, patched, resource_of, shown

MODEL = Group


def get(session: ReadSession, asked: Asked, group_id: str) -> Answer:
    """One group. Raises Problem 404."""
    return shown(asked, _resource(session, asked.caller, group_id))


def create(session: WriteSession, asked: Asked) -> Answer:
    """Make a team. Raises Problem 409 when the name is taken."""
    caller = asked.caller
    group = resource_of(Group, asked.body, Context.RESOURCE_CREATION_REQUEST)
    made = identity.create_team(
        session,
        caller.actor,
        identity.NewTeam(
            name=group.display_name or "",
            external_id=group.external_id,
            members=_member_ids(group),
        ),
    )
    return shown(asked, _resource(session, caller, made.id), 201)


def replace(session: WriteSession, asked: Asked, group_id: str) -> Answer:
    """Replace a team's name, external id and members. Raises Problem 404, 409, 412."""
    hold_organization(session, asked.caller.organization_id)
    old = _resource(session, asked.caller, group_id)
    check_version(asked, old)
    new = resource_of(Group, asked.body, Context.RESOURCE_REPLACEMENT_REQUEST)
    new.id, new.meta = old.id, old.meta
    _change(session, asked.caller, group_id, old, new)
    return shown(asked, _resource(session, asked.caller, group_id))


def patch(session: WriteSession, asked: Asked, group_id: str) -> Answer:
    """Change a team's name, external id or members. Raises Problem 404, 409, 412."""
    hold_organization(session, asked.caller.organization_id)
    old = _resource(session, asked.caller, group_id)
    check_version(asked, old)
    new = patched(old, asked.body)
    _change(session, asked.caller, group_id, old, new)
    return shown(asked, _resource(session, asked.caller, group_id))


def delete(session: WriteSession, asked: Asked, group_id: str) -> Answer:
    """Remove a team. Raises Problem 404, 409, 412."""
    hold_organization(session, asked.caller.organization_id)
    check_version(asked, _resource(session, asked.caller, group_id))
    identity.delete_team(session, asked.caller.actor, group_id)
    return Answer(204)


def resources(
    session: ReadSession,
    caller: Caller,
    rows: Sequence[store.TeamRow],
    *,
    with_members: bool = True,
) -> list[Group]:
    """Teams with their members."""
    ids = [row.id for row in rows]
    members: dict[str, list[str]] = {}
    if with_members and ids:
        members = store.members_of(session, caller.organization_id, ids)
    return [_group(row, members.get(row.id, ()), caller.root) for row in rows]


def _group(row: store.TeamRow, members: Sequence[str], root: str) -> Group:
    values: dict[str, Any] = {
        "id": row.id,
        "externalId": row.external_id,
        "displayName": row.name,
        "members": [
            {"value": user_id, "$ref": location(root, "Users", user_id), "type": "User"}
            for user_id in members
        ]
        or None,
        "meta": {
            "resourceType": "Group",
            "created": from_micros(row.created_at),
            "lastModified": from_micros(row.updated_at or row.created_at),
            "location": location(root, "Groups", row.id),
        },
    }
    return Group.model_validate(values)


def _resource(session: ReadSession, caller: Caller, group_id: str) -> Group:
    found = store.team_rows(session, caller.organization_id, store.TEAM.id == group_id, limit=1)
    if not found:
        raise refusal(404, "Group not found")
    return resources(session, caller, found)[0]


def _member_ids(group: Group) -> list[str]:
    """The ids of the members. Raises Problem 400 for a member that is a group, or none."""
    members = group.members or []
    if len(members) > MAX_MEMBERS:
        raise refusal(413, f"A group takes at most {MAX_MEMBERS} members in one request.")
    found: list[str] = []
    for member in members:
        if not member.value:
            raise refusal(400, "A member needs a value: the id of a user.", "invalidValue")
        if (member.type or "User").lower() != "user":
            raise refusal(400, "Members of groups are users.", "invalidValue")
        found.append(member.value)
    return found


def _change(session: WriteSession, caller: Caller, group_id: str, old: Group, new: Group) -> None:
    changes: dict[str, Any] = {}
    if new.display_name != old.display_name:
        changes["name"] = new.display_name
    if new.external_id != old.external_id:
        changes["external_id"] = new.external_id
    if changes:
        identity.update_team(session, caller.actor, group_id, changes)
    wanted, held = set(_member_ids(new)), set(_member_ids(old))
    if held - wanted:
        identity.remove_members(session, caller.actor, group_id, held - wanted)
    if wanted - held:
        identity.add_members(session, caller.actor, group_id, wanted - held)
