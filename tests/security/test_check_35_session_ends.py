"""Check 35: sessions end when idle, after a day, and with logout, disabling and a new password."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.people import Doors, Person, column, make_person

pytestmark = pytest.mark.check(35)


def test_an_idle_session_ends(doors: Doors) -> None:
    browser = doors.browser()
    browser.login(make_person(doors, "viewer"))
    doors.time.current += timedelta(hours=1, microseconds=-1)
    assert browser.me().status_code == 200
    doors.time.current += timedelta(hours=1)
    refused = browser.me()
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "AUTH_001")


def test_a_day_is_the_longest(sqlite_doors: Doors) -> None:
    browser = sqlite_doors.browser()
    browser.login(make_person(sqlite_doors, "viewer"))
    for _ in range(47):
        sqlite_doors.time.current += timedelta(minutes=30)
        assert browser.me().status_code == 200
    sqlite_doors.time.current += timedelta(minutes=30, microseconds=-1)
    assert browser.me().status_code == 200
    sqlite_doors.time.current += timedelta(microseconds=1)
    assert browser.me().status_code == 401


def test_logout_ends_this_session_alone(doors: Doors) -> None:
    person = make_person(doors, "viewer")
    browser, beside = doors.browser(), doors.browser()
    browser.login(person)
    beside.login(person)
    secret = browser.cookie()
    assert secret is not None
    assert browser.post("/logout").status_code == 204
    browser.keep({"__Host-cost_ops_session": secret})
    assert browser.me().status_code == 401
    assert browser.post("/logout").status_code == 401
    assert beside.me().status_code == 200


def test_a_new_password_ends_all_others(doors: Doors) -> None:
    person = make_person(doors, "viewer")
    browser, beside = doors.browser(), doors.browser()
    browser.login(person)
    beside.login(person)
    old = browser.cookie()
    assert old is not None
    version = column(doors, "token_version", person)
    new = "a new and quiet evening"
    body = {"current_password": person.password, "new_password": new}
    answer = browser.post("/password", body)
    assert answer.status_code == 200, answer.text
    assert browser.cookie() != old
    assert browser.me().status_code == 200  # the one that changed it goes on, in a new session
    assert column(doors, "token_version", person) == version + 1  # ends tokens, too
    assert beside.me().status_code == 401
    beside.keep({"__Host-cost_ops_session": old})
    assert beside.me().status_code == 401
    assert doors.browser().login(person).status_code == 401
    changed = Person(person.account_id, person.user_id, person.email, new)
    assert doors.browser().login(changed).status_code == 200


def test_a_session_does_not_survive_a_new_sign_in_under_the_same_secret(
    sqlite_doors: Doors,
) -> None:
    """A secret that was put into the browser before is not the one after (fixation)."""
    person = make_person(sqlite_doors, "viewer")
    browser = sqlite_doors.browser()
    browser.keep({"__Host-cost_ops_session": "chosen-by-somebody-else"})
    browser.login(person)
    assert browser.cookie() != "chosen-by-somebody-else"
    assert browser.me().status_code == 200
