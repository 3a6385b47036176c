"""Users with roles, and keys that stand for them, put straight into the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, update

from llm_cost_ops.server.access.tables import api_keys
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.identity.roles import assign_role, create_role
from llm_cost_ops.server.identity.tables import team_members, users
from tests.support.application import Application, make_key


def make_user(
    database: Database, clock: Clock, organization_id: str, user_id: str, *roles: str
) -> str:
    """A person of an organization with these roles."""
    with write(database) as session:
        row = {
            "organization_id": organization_id,
            "id": user_id,
            "kind": "person",
            "created_at": clock.micros(),
        }
        session.execute(insert(users), row)
        actor = Actor(organization_id, None, None, clock.micros())
        for role in roles:
            assign_role(session, actor, user_id, role)
    return user_id


def make_role(
    database: Database,
    clock: Clock,
    organization_id: str,
    name: str,
    permissions: list[str],
    conditions: dict[str, Any] | None = None,
) -> str:
    """A custom role; its id."""
    with write(database) as session:
        return create_role(
            session,
            Actor(organization_id, None, None, clock.micros()),
            name=name,
            permissions=permissions,
            conditions=conditions,
        ).id


def join_team(
    database: Database, clock: Clock, organization_id: str, user_id: str, team_id: str
) -> None:
    """Make a user a member of a team."""
    with write(database) as session:
        row = {
            "organization_id": organization_id,
            "team_id": team_id,
            "user_id": user_id,
            "created_at": clock.micros(),
        }
        session.execute(insert(team_members), row)


def set_disabled(database: Database, organization_id: str, user_id: str, at_us: int | None) -> None:
    """Disable a user, or enable one again."""
    with write(database) as session:
        session.execute(
            update(users)
            .where(users.c.organization_id == organization_id, users.c.id == user_id)
            .values(disabled_at=at_us)
        )


def make_user_key(
    database: Database, clock: Clock, organization_id: str, user_id: str, *scopes: str
) -> tuple[str, str]:
    """A key of a user: its id and its secret."""
    key_id, secret = make_key(database, clock, organization_id, scopes or ("*",))
    with write(database) as session:
        session.execute(update(api_keys).where(api_keys.c.id == key_id).values(user_id=user_id))
    return key_id, secret


def key_of(
    application: Application, user_id: str, *roles: str, scopes: tuple[str, ...] = ()
) -> str:
    """The secret of a key of a new user with these roles."""
    at = (application.database, application.clock, application.organization_id)
    make_user(*at, user_id, *roles)
    return make_user_key(*at, user_id, *scopes)[1]
