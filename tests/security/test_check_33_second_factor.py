"""Check 33: a code works once and within one step; recovery codes are hashed and work once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.settings import SecuritySettings, Settings
from llm_cost_ops.server.signin.tables import recovery_codes, second_factors
from tests.support.people import CHEAP, Doors, Person, doors_of, make_person, totp

pytestmark = pytest.mark.check(33)


def turned_on(doors: Doors, person: Person) -> tuple[str, list[str]]:
    """The secret and the recovery codes; then time goes on by five minutes."""
    browser = doors.browser()
    browser.login(person)
    secret = str(browser.post("/2fa/enroll", {"password": person.password}).json()["secret"])
    answer = browser.post("/2fa/confirm", {"totp": totp(secret, doors.clock)})
    assert answer.status_code == 200, answer.text
    doors.time.current += timedelta(minutes=5)
    return secret, answer.json()["recovery_codes"]


def test_the_password_alone_is_not_enough(doors: Doors) -> None:
    person = make_person(doors, "viewer")
    secret, _ = turned_on(doors, person)
    browser = doors.browser()
    answer = browser.login(person)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "SECOND_FACTOR_REQUIRED")
    assert browser.cookie() is None
    assert browser.login(person, totp=totp(secret, doors.clock)).status_code == 200
    assert browser.me().json()["second_factor"] is True


def test_a_code_works_once(doors: Doors) -> None:
    person = make_person(doors, "viewer")
    secret, _ = turned_on(doors, person)
    code = totp(secret, doors.clock)
    assert doors.browser().login(person, totp=code).status_code == 200
    again = doors.browser().login(person, totp=code)
    assert (again.status_code, again.json()["error"]["code"]) == (401, "SECOND_FACTOR_FAILED")
    doors.time.current += timedelta(seconds=30)
    assert doors.browser().login(person, totp=totp(secret, doors.clock)).status_code == 200


def test_the_code_that_confirmed_does_not_sign_in(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    browser = sqlite_doors.browser()
    browser.login(person)
    secret = str(browser.post("/2fa/enroll", {"password": person.password}).json()["secret"])
    code = totp(secret, sqlite_doors.clock)
    assert browser.post("/2fa/confirm", {"totp": code}).status_code == 200
    assert sqlite_doors.browser().login(person, totp=code).status_code == 401


def test_of_several_at_once_one_gets_in(doors: Doors) -> None:
    person = make_person(doors, "viewer")
    secret, _ = turned_on(doors, person)
    code = totp(secret, doors.clock)
    browsers = [doors.browser(address=f"198.51.100.{number}") for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        said = list(threads.map(lambda each: each.login(person, totp=code).status_code, browsers))
    assert sorted(said) == [200, 401, 401, 401]


def test_one_step_before_and_after(sqlite_doors: Doors) -> None:
    for steps, status in ((-3, 401), (-2, 401), (-1, 200), (0, 200), (1, 200), (2, 401), (3, 401)):
        person = make_person(sqlite_doors, "viewer")
        secret, _ = turned_on(sqlite_doors, person)
        code = totp(secret, sqlite_doors.clock, steps)
        browser = sqlite_doors.browser(address=f"198.51.100.{steps + 10}")
        assert browser.login(person, totp=code).status_code == status, steps


def test_an_earlier_code_is_not_taken_after_a_later_one(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    secret, _ = turned_on(sqlite_doors, person)
    later, now = totp(secret, sqlite_doors.clock, 1), totp(secret, sqlite_doors.clock)
    assert sqlite_doors.browser().login(person, totp=later).status_code == 200
    assert sqlite_doors.browser().login(person, totp=now).status_code == 401


def test_what_is_no_code(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    turned_on(sqlite_doors, person)
    for code in ("1234567", "12345a", "１２３４５６", "+12345", "-00001", "      "):
        sqlite_doors.time.current += timedelta(hours=2)
        assert sqlite_doors.browser().login(person, totp=code).status_code == 401, code


def test_a_recovery_code_works_once(doors: Doors) -> None:
    person, other = make_person(doors, "viewer"), make_person(doors, "viewer")
    _, codes = turned_on(doors, person)
    _, others = turned_on(doors, other)
    assert len(set(codes)) == 10
    browser = doors.browser()
    assert browser.login(person, recovery_code=others[0]).status_code == 401
    assert browser.login(person, recovery_code=codes[0].upper()).status_code == 200
    assert browser.me().json()["recovery_codes_left"] == 9
    assert doors.browser().login(person, recovery_code=codes[0]).status_code == 401
    assert doors.browser().login(person, recovery_code=codes[1].replace("-", "")).status_code == 200


def test_new_recovery_codes_end_the_old(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    secret, codes = turned_on(sqlite_doors, person)
    browser = sqlite_doors.browser()
    assert browser.login(person, totp=totp(secret, sqlite_doors.clock)).status_code == 200
    body = {"password": person.password, "totp": totp(secret, sqlite_doors.clock, 1)}
    new = browser.post("/2fa/recovery-codes", body).json()["recovery_codes"]
    assert not set(new) & set(codes)
    assert sqlite_doors.browser().login(person, recovery_code=codes[0]).status_code == 401
    assert sqlite_doors.browser().login(person, recovery_code=new[0]).status_code == 200


def test_what_is_stored_is_sealed_and_hashed(sqlite_doors: Doors) -> None:
    database = sqlite_doors.app.state.settings.database
    key = SecuritySettings(secret_key="0123456789abcdef0123456789abcdef")
    with doors_of(Settings(database=database, sign_in=CHEAP, security=key)) as doors:
        person = make_person(doors, "viewer")
        secret, codes = turned_on(doors, person)
        with read(doors.database) as session:
            stored = "".join(
                str(session.execute(select(table)).all())
                for table in (second_factors, recovery_codes, audit_log)
            )
        assert "v1:" in stored
        assert secret not in stored
        assert not any(code in stored or code.replace("-", "") in stored for code in codes)
        assert doors.browser().login(person, totp=totp(secret, doors.clock)).status_code == 200


def test_one_that_is_not_confirmed_is_not_asked_for(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    browser = sqlite_doors.browser()
    browser.login(person)
    first = str(browser.post("/2fa/enroll", {"password": person.password}).json()["secret"])
    assert sqlite_doors.browser().login(person).status_code == 200
    second = str(browser.post("/2fa/enroll", {"password": person.password}).json()["secret"])
    old = browser.post("/2fa/confirm", {"totp": totp(first, sqlite_doors.clock)})
    assert old.status_code == 401
    new = browser.post("/2fa/confirm", {"totp": totp(second, sqlite_doors.clock)})
    assert new.status_code == 200
    again = browser.post("/2fa/enroll", {"password": person.password})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "CONFLICT")
    twice = browser.post("/2fa/confirm", {"totp": totp(second, sqlite_doors.clock, 1)})
    assert twice.status_code == 409
