"""Signing in with a password, sessions, and what ends them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.identity.tables import accounts
from llm_cost_ops.server.settings import DatabaseSettings, Settings, SignInSettings
from llm_cost_ops.server.signin import throttle
from llm_cost_ops.server.signin.passwords import Passwords
from tests.support.people import (
    CHEAP,
    PASSWORD,
    Doors,
    add_to,
    column,
    doors_of,
    make_person,
)


def test_a_person_signs_in_and_is_who_the_roles_say(doors: Doors) -> None:
    person = make_person(doors, "viewer")
    browser = doors.browser()
    answer = browser.login(person)
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert made["user_id"] == person.user_id
    assert made["organization"]["id"] == doors.organization_id
    assert made["expires_at"] == "2026-03-03T12:00:00Z"
    me = browser.me().json()
    assert me["account"]["email"] == person.email
    assert me["scopes"] == ["read:budgets", "read:costs", "read:reports"]
    assert me["csrf_token"] == made["csrf_token"]
    assert (me["second_factor"], me["recovery_codes_left"]) == (False, 0)
    assert browser.get("/api/v1/costs").status_code == 200
    refused = browser.get("/api/v1/webhooks")
    assert (refused.status_code, refused.json()["error"]["code"]) == (
        403,
        "INSUFFICIENT_PERMISSIONS",
    )


def test_the_sign_in_is_in_the_audit_log(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    browser = sqlite_doors.browser()
    browser.post("/login", {"email": person.email, "password": "wrong wrong wrong"})
    browser.login(person)
    with read(sqlite_doors.database) as session:
        rows = session.execute(
            select(audit_log.c.action, audit_log.c.resource_id).where(
                audit_log.c.organization_id == sqlite_doors.organization_id,
                audit_log.c.resource_type == "user",
            )
        ).all()
        everything = str(session.execute(select(audit_log)).all())
    assert [tuple(row) for row in rows] == [
        ("auth.login_failed", person.user_id),
        ("auth.login", person.user_id),
    ]
    assert PASSWORD not in everything
    assert str(browser.cookie()) not in everything


def test_an_address_is_taken_in_any_case(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    body = {"email": f" {person.email.upper()}".strip(), "password": PASSWORD}
    assert sqlite_doors.browser().post("/login", body).status_code == 200


def test_a_password_is_hashed_again_when_the_parameters_change(sqlite_doors: Doors) -> None:
    old = SignInSettings(argon2_time_cost=2, argon2_memory_kib=16, argon2_parallelism=1)
    person = make_person(sqlite_doors, "viewer", settings=old)
    before = column(sqlite_doors, "password_hash", person)
    assert sqlite_doors.browser().login(person).status_code == 200
    after = column(sqlite_doors, "password_hash", person)
    assert after != before
    assert not Passwords(CHEAP).outdated(after)
    assert sqlite_doors.browser().login(person).status_code == 200
    assert column(sqlite_doors, "password_hash", person) == after


@pytest.mark.parametrize(
    "body",
    [
        {"email": "a@example.com"},
        {"email": "nobody", "password": "x"},
        {"email": "a@example.com", "password": "x" * 1025},
        {"email": "a@example.com", "password": "ä" * 513},
        {"email": "a@example.com", "password": "x", "remember": True},
    ],
)
def test_what_is_no_login(sqlite_doors: Doors, body: dict[str, object]) -> None:
    answer = sqlite_doors.browser().post("/login", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_ERROR")


def test_somebody_in_two_organizations(doors: Doors) -> None:
    other, person = doors.other(), make_person(doors, "viewer")
    add_to(other, person, "admin")
    browser = doors.browser()
    assert browser.login(person, organization=other.organization_id).status_code == 200
    assert browser.me().json()["scopes"] == ["*"]
    switched = browser.post("/switch-org", {"organization": doors.organization_id})
    assert switched.status_code == 200, switched.text
    me = browser.me().json()
    assert me["organization"]["id"] == doors.organization_id
    assert "*" not in me["scopes"]
    assert {each["id"] for each in me["organizations"]} == {
        doors.organization_id,
        other.organization_id,
    }
    third = doors.other()
    for name in (third.organization_id, "org-nowhere"):
        answer = browser.post("/switch-org", {"organization": name})
        assert answer.status_code == 404
    stranger = doors.browser()
    assert stranger.login(person, organization=third.organization_id).status_code == 401


def test_own_sessions_are_listed_and_ended(doors: Doors) -> None:
    person, someone = make_person(doors, "viewer"), make_person(doors, "viewer")
    desk, phone, foreign = doors.browser(), doors.browser(), doors.browser()
    for browser, who in ((desk, person), (phone, person), (foreign, someone)):
        assert browser.login(who).status_code == 200
    rows = desk.get("/api/v1/auth/sessions").json()["data"]
    assert [row["current"] for row in rows].count(True) == 1
    assert len(rows) == 2
    other = next(row["id"] for row in rows if not row["current"])
    assert foreign.request("DELETE", f"/api/v1/auth/sessions/{other}").status_code == 404
    assert phone.me().status_code == 200
    assert desk.request("DELETE", f"/api/v1/auth/sessions/{other}").status_code == 204
    assert phone.me().status_code == 401
    assert desk.me().status_code == 200
    assert desk.request("DELETE", f"/api/v1/auth/sessions/{other}").status_code == 404


def test_a_key_has_no_sessions(sqlite_doors: Doors) -> None:
    for path in ("/sessions", "/me"):
        answer = sqlite_doors.get(f"/api/v1/auth{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            403,
            "INSUFFICIENT_PERMISSIONS",
        )


def test_a_header_goes_before_the_cookie(sqlite_doors: Doors) -> None:
    browser = sqlite_doors.browser()
    browser.login(make_person(sqlite_doors, "viewer"))
    headers = {"Authorization": f"Bearer {sqlite_doors.key}"}
    answer = browser.get("/api/v1/auth/validate", headers=headers)
    assert answer.json()["scopes"] == ["*"]


def test_a_session_is_seen_at_most_once_a_minute(sqlite_doors: Doors) -> None:
    browser = sqlite_doors.browser()
    browser.login(make_person(sqlite_doors, "viewer"))

    def seen() -> str:
        return str(browser.get("/api/v1/auth/sessions").json()["data"][0]["last_seen_at"])

    first = seen()
    sqlite_doors.time.current += timedelta(seconds=59)
    assert seen() == first
    sqlite_doors.time.current += timedelta(seconds=1)
    browser.me()
    assert seen() == "2026-03-02T12:01:00Z"


def test_an_account_that_never_set_a_password(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer", password=None)
    for password in ("x", "None", PASSWORD):
        answer = sqlite_doors.browser().post(
            "/login", {"email": person.email, "password": password}
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "SIGN_IN_FAILED")


def test_a_disabled_account_does_not_sign_in(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    with write(sqlite_doors.database) as session:
        session.execute(
            update(accounts).where(accounts.c.id == person.account_id).values(disabled_at=1)
        )
    assert sqlite_doors.browser().login(person).json()["error"]["code"] == "SIGN_IN_FAILED"


def test_an_attempt_that_is_forgiven_in_the_middle_of_another(
    postgres_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two sign-ins at once: one succeeds between the other's insert and its look at the row."""
    with doors_of(Settings(database=postgres_settings, sign_in=CHEAP)) as doors:
        person = make_person(doors, "viewer")
        assert doors.browser().login(person, password="x").status_code == 401
        lock_rows, raced = throttle.lock_rows, list[int]()

        def forgiven(statement: Any) -> Any:
            if not raced:
                raced.append(1)
                with write(doors.database) as session:
                    named = throttle.subject("email", person.email, 5)
                    throttle.forgive(session, [named])
            return lock_rows(statement)

        monkeypatch.setattr(throttle, "lock_rows", forgiven)
        assert doors.browser().login(person).status_code == 200
        assert raced
