"""Check 7: who is disabled or loses a role is refused at the next request."""

from __future__ import annotations

import pytest
from sqlalchemy import Update, delete, update

from llm_cost_ops.server.access.tokens.pairs import TokenPair
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.identity.tables import accounts, user_roles, users
from llm_cost_ops.server.identity.users import (
    disable_user,
    enable_user,
    remove_user,
    update_user,
)
from tests.support.people import Browser, Doors, Person, add_to, make_person

pytestmark = pytest.mark.check(7)


def ways(person: Person) -> dict[str, Update]:
    own = users.c.account_id == person.account_id
    account = accounts.c.id == person.account_id
    return {
        "user": update(users).where(own).values(disabled_at=1),
        "account": update(accounts).where(account).values(disabled_at=1),
        "version": update(accounts).where(account).values(token_version=7),
        "leaves": update(users).where(own).values(account_id=None),
    }


@pytest.mark.parametrize("way", ["user", "account", "version", "leaves"])
def test_the_session_ends_at_once(doors: Doors, way: str) -> None:
    person, other = make_person(doors, "admin"), make_person(doors, "admin")
    browser, beside = doors.browser(), doors.browser()
    assert browser.login(person).status_code == 200
    assert beside.login(other).status_code == 200
    assert browser.me().status_code == 200
    with write(doors.database) as session:
        session.execute(ways(person)[way])
    assert browser.me().status_code == 401
    assert browser.get("/api/v1/costs").status_code == 401
    assert beside.me().status_code == 200


def test_a_role_that_was_taken_gives_nothing(doors: Doors) -> None:
    person = make_person(doors, "viewer", "auditor")
    browser = doors.browser()
    browser.login(person)
    assert browser.get("/api/v1/auth/api-keys").status_code == 200
    with write(doors.database) as session:
        session.execute(delete(user_roles).where(user_roles.c.role == "auditor"))
    assert browser.get("/api/v1/auth/api-keys").status_code == 403
    assert browser.get("/api/v1/costs").status_code == 200


def both(doors: Doors, person: Person) -> dict[str, Browser]:
    """The person in a browser in each of two organizations; the second one is the other's."""
    other = doors.other()
    add_to(other, person, "viewer")
    browsers = {"own": doors.browser(), "other": doors.browser()}
    browsers["own"].login(person, organization=doors.organization_id)
    browsers["other"].login(person, organization=other.organization_id)
    return browsers


@pytest.mark.parametrize("way", ["disable", "remove", "move"])
def test_another_organization_signs_nobody_out_of_this_one(doors: Doors, way: str) -> None:
    """Who administers an organization may make anybody a user of it, by the address alone."""
    person = make_person(doors, "viewer")
    browsers = both(doors, person)
    other = browsers["other"].me().json()["organization"]["id"]
    pairs = {
        name: pair_of(doors, person, organization_id)
        for name, organization_id in (("own", doors.organization_id), ("other", other))
    }
    actor = Actor(other, None, None, doors.clock.micros())
    with write(doors.database) as session:
        match way:
            case "disable":
                disable_user(session, actor, person.user_id)
            case "remove":
                remove_user(session, actor, person.user_id)
            case _:
                update_user(session, actor, person.user_id, {"email": "another@example.com"})
    assert browsers["own"].me().status_code == 200
    assert browsers["other"].me().status_code == 401
    assert renewed(doors, pairs["own"]) == 200
    assert renewed(doors, pairs["other"]) == 401
    if way == "disable":  # what was ended does not come back
        with write(doors.database) as session:
            enable_user(session, actor, person.user_id)
        assert browsers["other"].me().status_code == 401
        assert renewed(doors, pairs["other"]) == 401


def pair_of(doors: Doors, person: Person, organization_id: str) -> TokenPair:
    with write(doors.database) as session:
        return doors.app.state.tokens.issue_pair(
            session,
            organization_id=organization_id,
            user_id=person.user_id,
            account_id=person.account_id,
        )


def renewed(doors: Doors, pair: TokenPair) -> int:
    answer = doors.browser().post("/refresh", {"refresh_token": pair.refresh_token})
    return answer.status_code
