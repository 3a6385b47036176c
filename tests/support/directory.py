"""People, teams and actors of an organization, for tests of the rooms that know them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, read, write, write_retrying
from llm_cost_ops.server.identity import teams, users
from llm_cost_ops.server.identity.organizations import create_organization

T = TypeVar("T")
NOW_US = 1_790_000_000_000_000
ORGANIZATION = "org-people"


def actor(organization_id: str = ORGANIZATION, now_us: int = NOW_US) -> Actor:
    """Somebody with a key."""
    return Actor(organization_id, "key_1", "req_1", now_us)


def organization(database: Database, organization_id: str = ORGANIZATION) -> str:
    """A new organization; its id."""
    with write(database) as session:
        create_organization(
            session, name=organization_id, organization_id=organization_id, now_us=NOW_US
        )
    return organization_id


def did(database: Database, verb: Callable[..., T], *arguments: Any, **more: Any) -> T:
    """What a verb of the test's organization gives, in a transaction of its own."""
    who = more.pop("who", actor())

    def work(session: WriteSession) -> T:
        return verb(session, who, *arguments, **more)

    return write_retrying(database, work)


def person(
    database: Database, name: str = "ann", role: str | None = None, **more: Any
) -> users.User:
    """A person called `name` with an address at example.com."""
    who = more.pop("who", actor())
    new = users.NewUser(**{"email": f"{name}@example.com", "name": name, "role": role, **more})
    return did(database, users.create_user, new, who=who)


def team(database: Database, name: str = "ml", **more: Any) -> teams.Team:
    """A team."""
    return did(database, teams.create_team, teams.NewTeam(name=name, **more))


def user(database: Database, user_id: str, organization_id: str = ORGANIZATION) -> users.User:
    """The user as it is now."""
    with read(database) as session:
        return users.known_user(session, organization_id, user_id)
