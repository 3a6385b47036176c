"""Queries on people and teams as SCIM shows them, and on what identity providers say of people."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, insert, select, update

from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.tables import roles, team_members, teams, user_roles, users
from llm_cost_ops.server.scim.tables import scim_users

USER = users.c
TEAM = teams.c
SAID = scim_users.c
_USERS = users.outerjoin(
    scim_users,
    and_(SAID.organization_id == USER.organization_id, SAID.user_id == USER.id),
)
_USER_COLUMNS = (*users.c, SAID.user_name, SAID.document)


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person. `user_name` and `document` are what the identity provider said, if one did. Times
    are microseconds since 1970 UTC."""

    id: str
    name: str | None
    email: str | None
    given_name: str | None
    family_name: str | None
    external_id: str | None
    metadata: Mapping[str, Any]
    created_at: int
    updated_at: int | None
    disabled_at: int | None
    user_name: str | None
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TeamRow:
    """A team. Times are microseconds since 1970 UTC."""

    id: str
    name: str
    external_id: str | None
    created_at: int
    updated_at: int | None


def name_key(user_name: str) -> str:
    """A user name as it is compared: composed, in lower case."""
    composed = unicodedata.normalize("NFC", user_name)
    return unicodedata.normalize("NFC", composed.lower())


def people(
    session: ReadSession,
    organization_id: str,
    condition: ColumnElement[bool] | None = None,
    *,
    limit: int,
    offset: int = 0,
) -> list[PersonRow]:
    """People in the order in which they were made."""
    statement = _filtered(
        select(*_USER_COLUMNS).select_from(_USERS), users, organization_id, condition
    )
    statement = statement.order_by(USER.created_at, USER.id).limit(limit).offset(offset)
    return [_person(row) for row in session.execute(statement).mappings()]


def count_people(
    session: ReadSession, organization_id: str, condition: ColumnElement[bool] | None
) -> int:
    """How many people there are."""
    statement = _filtered(
        select(func.count()).select_from(_USERS), users, organization_id, condition
    )
    return int(session.scalar(statement))


def _filtered(
    statement: Any,
    table: Any,
    organization_id: str,
    condition: ColumnElement[bool] | None,
) -> Any:
    statement = statement.where(table.c.organization_id == organization_id)
    if table is users:
        statement = statement.where(USER.kind == "person")
    return statement if condition is None else statement.where(condition)


def roles_of(
    session: ReadSession, organization_id: str, user_ids: Sequence[str]
) -> dict[str, list[tuple[str, str]]]:
    """The roles of users: the stored key of each and its name."""
    held = user_roles.c
    own = and_(roles.c.organization_id == held.organization_id, roles.c.id == held.role)
    statement = (
        select(held.user_id, held.role, func.coalesce(roles.c.name, held.role))
        .select_from(user_roles.outerjoin(roles, own))
        .where(held.organization_id == organization_id, held.user_id.in_(user_ids))
        .order_by(held.user_id, held.role)
    )
    found: dict[str, list[tuple[str, str]]] = {}
    rows: list[Any] = list(session.execute(statement))
    for each, key, name in rows:
        found.setdefault(each, []).append((key, name))
    return found


def teams_of(
    session: ReadSession, organization_id: str, user_ids: Sequence[str]
) -> dict[str, list[tuple[str, str]]]:
    """The teams of users: the id of each and its name."""
    member = team_members.c
    own = and_(TEAM.organization_id == member.organization_id, TEAM.id == member.team_id)
    statement = (
        select(member.user_id, TEAM.id, TEAM.name)
        .select_from(team_members.join(teams, own))
        .where(member.organization_id == organization_id, member.user_id.in_(user_ids))
        .order_by(member.user_id, TEAM.id)
    )
    found: dict[str, list[tuple[str, str]]] = {}
    rows: list[Any] = list(session.execute(statement))
    for each, key, name in rows:
        found.setdefault(each, []).append((key, name))
    return found


def team_rows(
    session: ReadSession,
    organization_id: str,
    condition: ColumnElement[bool] | None = None,
    *,
    limit: int,
    offset: int = 0,
) -> list[TeamRow]:
    """Teams in the order in which they were made."""
    columns = (TEAM.id, TEAM.name, TEAM.external_id, TEAM.created_at, TEAM.updated_at)
    statement = _filtered(select(*columns), teams, organization_id, condition)
    statement = statement.order_by(TEAM.created_at, TEAM.id).limit(limit).offset(offset)
    return [TeamRow(*row) for row in session.execute(statement)]


def count_teams(
    session: ReadSession, organization_id: str, condition: ColumnElement[bool] | None
) -> int:
    """How many teams there are."""
    statement = _filtered(
        select(func.count()).select_from(teams), teams, organization_id, condition
    )
    return int(session.scalar(statement))


def members_of(
    session: ReadSession, organization_id: str, team_ids: Sequence[str]
) -> dict[str, list[str]]:
    """The people of teams, in the order in which they joined."""
    member = team_members.c
    person = and_(
        USER.organization_id == member.organization_id,
        USER.id == member.user_id,
        USER.kind == "person",
    )
    statement = (
        select(member.team_id, member.user_id)
        .select_from(team_members.join(users, person))
        .where(member.organization_id == organization_id, member.team_id.in_(team_ids))
        .order_by(member.team_id, member.created_at, member.user_id)
    )
    found: dict[str, list[str]] = {}
    rows: list[Any] = list(session.execute(statement))
    for team_id, user_id in rows:
        found.setdefault(team_id, []).append(user_id)
    return found


def holder_of_name(session: ReadSession, organization_id: str, user_name: str) -> str | None:
    """The id of the user whom an identity provider calls so."""
    statement = select(SAID.user_id).where(
        SAID.organization_id == organization_id, SAID.user_name_key == name_key(user_name)
    )
    found: str | None = session.scalar(statement)
    return found


def keep_said(
    session: WriteSession,
    organization_id: str,
    user_id: str,
    user_name: str,
    document: Mapping[str, Any],
) -> None:
    """Store what an identity provider says of a user."""
    values = {
        "user_name": user_name,
        "user_name_key": name_key(user_name),
        "document": dumps(document),
    }
    own = (SAID.organization_id == organization_id, SAID.user_id == user_id)
    there = session.execute(select(SAID.user_id).where(*own)).first()
    if there is None:
        key = {"organization_id": organization_id, "user_id": user_id}
        session.execute(insert(scim_users), {**key, **values})
    else:
        session.execute(update(scim_users).where(*own).values(**values))


def note_change(session: WriteSession, organization_id: str, user_id: str, now_us: int) -> None:
    """Count a change of a user that no column of `users` shows."""
    session.execute(
        update(users)
        .where(USER.organization_id == organization_id, USER.id == user_id)
        .values(version=USER.version + 1, updated_at=now_us)
    )


def _person(row: Mapping[Any, Any]) -> PersonRow:
    return PersonRow(
        id=row["id"],
        name=row["name"],
        email=row["email"],
        given_name=row["given_name"],
        family_name=row["family_name"],
        external_id=row["external_id"],
        metadata=loads(row["metadata"]) if row["metadata"] else {},
        created_at=int(row["created_at"]),
        updated_at=row["updated_at"],
        disabled_at=row["disabled_at"],
        user_name=row["user_name"],
        document=loads(row["document"]) if row["document"] else {},
    )
