"""Teams: a tree of them, and who is a member of each.

The id of a team is what calls name as their `team_id`. Whoever moves one holds the organization's
row: two moves at once could else put each below the other.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.dialects import contains, insert_ignore
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.fields import (
    PersonError,
    clean_id,
    clean_metadata,
    clean_name,
    clean_optional,
    clean_text,
)
from llm_cost_ops.server.identity.last_admin import hold_organization
from llm_cost_ops.server.identity.tables import team_members, teams, users
from llm_cost_ops.server.identity.users import MADE

MAX_TEAMS = 10_000
MAX_DEPTH = 16
_ROW = teams.c
_MEMBER = team_members.c
_CHANGED = ("name", "description", "parent_id", "external_id", "metadata")


class TeamUnknown(DomainError):
    """No such team in this organization."""

    code = "NOT_FOUND"


class TeamConflict(DomainError):
    """The id or the name is taken, teams are below this one, or somebody else changed it."""

    code = "CONFLICT"


@dataclass(frozen=True, slots=True)
class Team:
    """A team. Times in microseconds since 1970 UTC; `version` counts its changes and those of its
    members."""

    id: str
    organization_id: str
    name: str
    description: str | None
    parent_id: str | None
    external_id: str | None
    metadata: Mapping[str, Any]
    created_at: int
    updated_at: int | None
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTeam:
    """A team to be. `team_id` is the id that calls name, if they do; `members` are ids of users."""

    name: str
    description: str | None = None
    parent_id: str | None = None
    external_id: str | None = None
    metadata: Mapping[str, object] | None = None
    members: Sequence[str] = ()
    team_id: str | None = None


def get_team(session: ReadSession, organization_id: str, team_id: str) -> Team | None:
    """The team with this id."""
    statement = select(teams).where(*_own(organization_id, team_id))
    row = session.execute(statement).mappings().first()
    return None if row is None else _team(row)


def known_team(session: ReadSession, organization_id: str, team_id: str) -> Team:
    """Like `get_team`. Raises TeamUnknown."""
    found = get_team(session, organization_id, team_id)
    if found is None:
        raise TeamUnknown("Team not found")
    return found


def find_team(session: ReadSession, organization_id: str, text: str) -> Team | None:
    """The team with this id, or of this name."""
    found = get_team(session, organization_id, text)
    if found is not None:
        return found
    statement = select(teams).where(_ROW.organization_id == organization_id, _ROW.name == text)
    row = session.execute(statement).mappings().first()
    return None if row is None else _team(row)


def list_teams(
    session: ReadSession,
    organization_id: str,
    *,
    limit: int,
    offset: int = 0,
    after: str | None = None,
    parent_id: str | None = None,
    search: str | None = None,
) -> list[Team]:
    """Teams by id; those below a parent, those of whose name `search` is part, in any case."""
    statement = select(teams).where(_ROW.organization_id == organization_id)
    if parent_id is not None:
        statement = statement.where(_ROW.parent_id == parent_id)
    if search:
        statement = statement.where(contains(session.kind, func.lower(_ROW.name), search.lower()))
    if after is not None:
        statement = statement.where(_ROW.id > after)
    rows = session.execute(statement.order_by(_ROW.id).limit(limit).offset(offset)).mappings()
    return [_team(row) for row in rows]


def all_teams(session: ReadSession, organization_id: str) -> list[Team]:
    """Every team of the organization by name, for the tree."""
    statement = select(teams).where(_ROW.organization_id == organization_id)
    rows = session.execute(statement.order_by(_ROW.name, _ROW.id)).mappings()
    return [_team(row) for row in rows]


def parents_of(session: ReadSession, organization_id: str) -> dict[str, str | None]:
    """The tree: each team's id with that of the one above it."""
    statement = select(_ROW.id, _ROW.parent_id).where(_ROW.organization_id == organization_id)
    rows: Sequence[Any] = session.execute(statement).all()
    return {row[0]: row[1] for row in rows}


def below(parents: Mapping[str, str | None], team_id: str) -> frozenset[str]:
    """The team and all that are below it."""
    children: dict[str, list[str]] = {}
    for child, parent in parents.items():
        if parent is not None:
            children.setdefault(parent, []).append(child)
    found: dict[str, None] = {team_id: None}
    waiting = [team_id]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found[child] = None
                waiting.append(child)
    return frozenset(found)


def create_team(session: WriteSession, actor: Actor, new: NewTeam) -> Team:
    """Make a team with its members. Raises PersonError, TeamConflict."""
    hold_organization(session, actor.organization_id)
    parents = parents_of(session, actor.organization_id)
    if len(parents) >= MAX_TEAMS:
        raise TeamConflict(f"at most {MAX_TEAMS} teams are possible")
    fresh = single_id("team", actor.now_us // 1_000, secrets.randbits(80))
    made = Team(
        id=fresh if new.team_id is None else clean_id(new.team_id, "team_id"),
        organization_id=actor.organization_id,
        name=clean_name(new.name),
        description=clean_text(new.description),
        parent_id=new.parent_id,
        external_id=clean_optional(new.external_id, "external_id"),
        metadata=clean_metadata(new.metadata),
        created_at=actor.now_us,
        updated_at=None,
        version=1,
    )
    if made.id in parents:
        raise TeamConflict("A team with this id exists already.", field="team_id")
    _refuse_taken(session, made)
    _check_tree(parents, made.id, made.parent_id)
    session.execute(insert(teams), _columns(made))
    actor.record(session, "team.created", "team", made.id, None, _told(made))
    add_members(session, actor, made.id, new.members)
    return made


def update_team(
    session: WriteSession,
    actor: Actor,
    team_id: str,
    changes: Mapping[str, Any],
    *,
    version: int | None = None,
) -> Team:
    """Change name, description, parent_id, external_id or metadata; what is not named stays. With
    a `version` only the team of that version is changed. Raises TeamUnknown, PersonError,
    TeamConflict."""
    hold_organization(session, actor.organization_id)
    before = known_team(session, actor.organization_id, team_id)
    if version is not None and before.version != version:
        raise TeamConflict("Somebody else changed this team meanwhile: read it again.")
    unknown = sorted(changes.keys() - set(_CHANGED))
    if unknown:
        raise PersonError("is not a known field", field=unknown[0])
    made = _with(before, **{name: _cleaned(name, changes[name]) for name in changes})
    if made == before:
        return before
    if made.name != before.name:
        _refuse_taken(session, made)
    if made.parent_id != before.parent_id:
        _check_tree(parents_of(session, actor.organization_id), team_id, made.parent_id)
    made = _with(made, version=before.version + 1, updated_at=actor.now_us)
    session.execute(
        update(teams).where(*_own(made.organization_id, made.id)).values(**_columns(made))
    )
    actor.record(session, "team.updated", "team", team_id, _told(before), _told(made))
    return made


def delete_team(session: WriteSession, actor: Actor, team_id: str) -> None:
    """Remove a team that has none below it; what was recorded under its id stays. Raises
    TeamUnknown, TeamConflict."""
    hold_organization(session, actor.organization_id)
    before = known_team(session, actor.organization_id, team_id)
    if team_id in parents_of(session, actor.organization_id).values():
        raise TeamConflict("Other teams are below this one: move or remove them first.")
    session.execute(
        delete(team_members).where(
            _MEMBER.organization_id == actor.organization_id, _MEMBER.team_id == team_id
        )
    )
    session.execute(delete(teams).where(*_own(actor.organization_id, team_id)))
    actor.record(session, "team.deleted", "team", team_id, _told(before), None)


def members_of(session: ReadSession, organization_id: str, team_id: str) -> list[str]:
    """The ids of the users who are members of the team itself."""
    statement = (
        select(_MEMBER.user_id)
        .where(_MEMBER.organization_id == organization_id, _MEMBER.team_id == team_id)
        .order_by(_MEMBER.user_id)
    )
    return list(session.execute(statement).scalars())


def teams_of(
    session: ReadSession, organization_id: str, user_ids: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """The teams of each of these users who is in any."""
    found: dict[str, tuple[str, ...]] = {}
    if not user_ids:
        return found
    statement = (
        select(_MEMBER.user_id, _MEMBER.team_id)
        .where(_MEMBER.organization_id == organization_id, _MEMBER.user_id.in_(user_ids))
        .order_by(_MEMBER.user_id, _MEMBER.team_id)
    )
    rows: Sequence[Any] = session.execute(statement).all()
    for user_id, team_id in rows:
        found[user_id] = (*found.get(user_id, ()), team_id)
    return found


def add_members(
    session: WriteSession, actor: Actor, team_id: str, user_ids: Iterable[str]
) -> list[str]:
    """Make users members; those who are already stay. Returns who was added. Raises TeamUnknown,
    PersonError for somebody who is no user."""
    before = known_team(session, actor.organization_id, team_id)
    wanted = sorted(set(user_ids) - set(members_of(session, actor.organization_id, team_id)))
    if not wanted:
        return []
    statement = select(users.c.id).where(
        users.c.organization_id == actor.organization_id,
        users.c.id.in_(wanted),
        users.c.kind.in_(MADE),
    )
    missing = sorted(set(wanted) - set(session.execute(statement).scalars()))
    if missing:
        raise PersonError(f"{missing[0]} is no user of the organization", field="members")
    rows = [
        {
            "organization_id": actor.organization_id,
            "team_id": team_id,
            "user_id": user_id,
            "created_at": actor.now_us,
        }
        for user_id in wanted
    ]
    keys = ["organization_id", "team_id", "user_id"]
    session.execute(insert_ignore(session.kind, team_members, keys), rows)
    _members_changed(session, actor, before)
    actor.record(session, "team.members_added", "team", team_id, None, {"members": wanted})
    return wanted


def remove_members(
    session: WriteSession, actor: Actor, team_id: str, user_ids: Iterable[str]
) -> list[str]:
    """Take users out of a team; those who are none of its members are passed over. Returns who
    was taken out. Raises TeamUnknown."""
    before = known_team(session, actor.organization_id, team_id)
    gone = sorted(set(user_ids) & set(members_of(session, actor.organization_id, team_id)))
    if not gone:
        return []
    session.execute(
        delete(team_members).where(
            _MEMBER.organization_id == actor.organization_id,
            _MEMBER.team_id == team_id,
            _MEMBER.user_id.in_(gone),
        )
    )
    _members_changed(session, actor, before)
    actor.record(session, "team.members_removed", "team", team_id, {"members": gone}, None)
    return gone


def set_members(session: WriteSession, actor: Actor, team_id: str, user_ids: Iterable[str]) -> None:
    """Make exactly these users the members. Raises TeamUnknown, PersonError."""
    wanted = set(user_ids)
    held = set(members_of(session, actor.organization_id, team_id))
    remove_members(session, actor, team_id, held - wanted)
    add_members(session, actor, team_id, wanted)


def _members_changed(session: WriteSession, actor: Actor, before: Team) -> None:
    session.execute(
        update(teams)
        .where(*_own(actor.organization_id, before.id))
        .values(version=_ROW.version + 1, updated_at=actor.now_us)
    )


def _cleaned(name: str, value: Any) -> Any:
    match name:
        case "name":
            return clean_name(value or "")
        case "description":
            return clean_text(value)
        case "metadata":
            return clean_metadata(value)
        case "parent_id":
            return value
        case _:
            return clean_optional(value, name)


def _refuse_taken(session: ReadSession, made: Team) -> None:
    statement = select(_ROW.id).where(
        _ROW.organization_id == made.organization_id, _ROW.name == made.name
    )
    if session.execute(statement).first() is not None:
        raise TeamConflict("A team of this name exists already.", field="name")


def _check_tree(parents: Mapping[str, str | None], team_id: str, parent_id: str | None) -> None:
    """Refuse a parent that is none, is the team itself or below it, or makes the tree too deep."""
    if parent_id is None:
        return
    if parent_id not in parents:
        raise PersonError("is no team of the organization", field="parent_id")
    branch = below(parents, team_id)
    if parent_id in branch:
        raise PersonError("must not be the team itself or below it", field="parent_id")
    height = max(_depth(parents, each) for each in branch) - _depth(parents, team_id)
    if _depth(parents, parent_id) + 1 + height >= MAX_DEPTH:
        raise PersonError(f"teams stand in at most {MAX_DEPTH} levels", field="parent_id")


def _depth(parents: Mapping[str, str | None], team_id: str) -> int:
    """How many teams are above a team."""
    depth, above = 0, parents.get(team_id)
    while above is not None and depth <= len(parents):
        depth, above = depth + 1, parents.get(above)
    return depth


def _own(organization_id: str, team_id: str) -> tuple[Any, Any]:
    return (_ROW.organization_id == organization_id, _ROW.id == team_id)


def _team(row: Mapping[Any, Any]) -> Team:
    values = {name: row[name] for name in Team.__slots__}
    values["metadata"] = loads(row["metadata"]) if row["metadata"] else {}
    return Team(**values)


def _with(team: Team, **changes: Any) -> Team:
    return Team(**{**{name: getattr(team, name) for name in Team.__slots__}, **changes})


def _columns(team: Team) -> dict[str, Any]:
    values = {name: getattr(team, name) for name in Team.__slots__}
    values["metadata"] = dumps(team.metadata) if team.metadata else None
    return values


def _told(team: Team) -> dict[str, object]:
    """What the audit log says of a team."""
    return {name: getattr(team, name) for name in _CHANGED}
