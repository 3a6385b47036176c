"""Keys of users: they can do what the user can do at this moment, and end with the user."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, insert, update

from llm_cost_ops.server.access.keys import KeyRing
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.identity.roles import withdraw_role
from llm_cost_ops.server.identity.tables import accounts, users
from tests.support.application import make_organization
from tests.support.roles import join_team, make_role, make_user, make_user_key


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 3, 15, 12, 0, tzinfo=UTC))


@pytest.fixture
def organization_id(database: Database, clock: FixedClock) -> str:
    return make_organization(database, clock)


def holder(ring: KeyRing, secret: str) -> Principal:
    return asyncio.run(ring.principal(secret))


def test_a_key_of_a_user_can_do_what_both_can(
    database: Database, clock: FixedClock, organization_id: str
) -> None:
    at = (database, clock, organization_id)
    custom = make_role(*at, "ML", ["write:budgets"], {"team": ["ml"]})
    make_user(*at, "ann", "viewer", custom)
    join_team(*at, "ann", "ml")
    _, secret = make_user_key(*at, "ann", "read:costs", "write:budgets", "write:costs")
    found = holder(KeyRing(database, clock), secret)
    assert found.scopes == {"read:costs", "write:budgets"}
    assert (found.user_id, found.team_ids) == ("ann", ("ml",))
    assert found.reach_of(("read:costs",)).is_everything
    assert found.reach_of(("write:budgets",)).text() == "team ml"
    assert found.has_permission("costs:read")
    assert not found.has_permission("admin")


def change(session_of: Database, clock: FixedClock, organization_id: str, kind: str) -> None:
    own = (users.c.organization_id == organization_id, users.c.id == "ann")
    with write(session_of) as session:
        if kind == "withdraw":
            actor = Actor(organization_id, None, None, clock.micros())
            withdraw_role(session, actor, "ann", "viewer")
        elif kind == "disable":
            session.execute(update(users).where(*own).values(disabled_at=clock.micros()))
        elif kind == "remove":
            session.execute(delete(users).where(*own))
        else:
            account = {"id": "acc_1", "email": "ann@example.com", "created_at": 0, "disabled_at": 1}
            session.execute(insert(accounts), account)
            session.execute(update(users).where(*own).values(account_id="acc_1"))


@pytest.mark.parametrize("kind", ["withdraw", "disable", "disable account", "remove"])
def test_a_key_of_a_user_ends_with_what_the_user_has(
    database: Database, clock: FixedClock, organization_id: str, kind: str
) -> None:
    make_user(database, clock, organization_id, "ann", "viewer")
    _, secret = make_user_key(database, clock, organization_id, "ann", "*")
    ring = KeyRing(database, clock)
    assert holder(ring, secret).holds("read:costs")
    change(database, clock, organization_id, kind)
    clock.current += timedelta(seconds=1)
    clock.elapsed_s += 1
    if kind == "withdraw":
        assert not holder(ring, secret).holds("read:costs")
    else:
        with pytest.raises(Problem):
            holder(ring, secret)
