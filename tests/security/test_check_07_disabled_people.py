"""Check 7: who is disabled or loses a role is refused at the next request."""

from __future__ import annotations

import pytest
from sqlalchemy import Update, delete, update

from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.identity.tables import accounts, user_roles, users
from tests.support.people import Doors, Person, make_person

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
