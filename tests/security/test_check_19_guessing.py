"""Check 19: guesses are slowed by account and by address; nobody is locked out for good."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.signin.tables import sign_in_attempts
from tests.support.people import Browser, Doors, Person, make_person, totp

pytestmark = pytest.mark.check(19)


def guess(browser: Browser, email: str, number: int = 0) -> tuple[int, int]:
    """The status, and how long to wait in seconds."""
    answer = browser.post("/login", {"email": email, "password": f"a guess that is wrong {number}"})
    assert "correct" not in answer.text
    return answer.status_code, int(answer.headers.get("retry-after", 0))


def test_guesses_are_slowed_per_account_whatever_their_address(doors: Doors) -> None:
    person = make_person(doors, "viewer")
    said = [
        guess(doors.browser(address=f"198.51.100.{number}"), person.email) for number in range(20)
    ]
    assert [status for status, _ in said] == [401] * 5 + [429] * 15
    assert all(wait == 1 for _, wait in said[5:])


def test_the_wait_doubles_up_to_its_limit(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    waits: list[int] = []
    for number in range(18):
        browser = sqlite_doors.browser(address=f"198.51.100.{number}")
        assert guess(browser, person.email)[0] == 401
        if number >= 4:
            status, wait = guess(browser, person.email)
            assert status == 429
            waits.append(wait)
            sqlite_doors.time.current += timedelta(seconds=wait - 0.001)
            assert guess(browser, person.email) == (429, 1)
            sqlite_doors.time.current += timedelta(seconds=0.001)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900]


def test_the_owner_gets_in_when_the_wait_is_over(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    for number in range(5):
        guess(sqlite_doors.browser(address=f"198.51.100.{number}"), person.email)
    owner = sqlite_doors.browser()
    assert owner.login(person).status_code == 429
    sqlite_doors.time.current += timedelta(seconds=1)
    assert owner.login(person).status_code == 200
    assert guess(sqlite_doors.browser(), person.email) == (401, 0)


def test_the_owner_s_known_browser_does_not_wait_for_others(doors: Doors) -> None:
    person = make_person(doors, "viewer")
    owner = doors.browser()
    assert owner.login(person).status_code == 200
    owner.client.cookies.delete("__Host-cost_ops_session")
    owner.csrf = None
    stranger = doors.browser(address="198.51.100.1")
    statuses = [guess(stranger, person.email)[0] for _ in range(8)]
    assert statuses == [401] * 5 + [429] * 3
    assert owner.login(person).status_code == 200
    # The cookie of one's own browser is no way round the wait for another's account.
    victim = make_person(doors, "viewer")
    statuses = [guess(owner, victim.email)[0] for _ in range(8)]
    assert statuses == [401] * 5 + [429] * 3


def test_a_known_browser_is_slowed_itself(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    owner = sqlite_doors.browser()
    owner.login(person)
    statuses = [guess(owner, person.email)[0] for _ in range(8)]
    assert statuses == [401] * 5 + [429] * 3


def test_guesses_are_slowed_per_address_whomever_they_are_about(sqlite_doors: Doors) -> None:
    browser = sqlite_doors.browser(address="198.51.100.1")
    said = [guess(browser, f"nobody{number}@example.com") for number in range(25)]
    assert [status for status, _ in said] == [401] * 20 + [429] * 5
    # Signing in to an account of one's own between two guesses does not help.
    sqlite_doors.time.current += timedelta(seconds=1)
    own = make_person(sqlite_doors, "viewer")
    assert sqlite_doors.browser(address="198.51.100.1").login(own).status_code == 200
    assert guess(browser, "nobody@example.com")[0] == 401
    assert guess(browser, "nobody@example.com") == (429, 2)


def test_of_many_guesses_at_once_no_more_are_heard(doors: Doors) -> None:
    person = make_person(doors, "viewer")
    browsers = [doors.browser(address=f"198.51.100.{number}") for number in range(20)]
    with ThreadPoolExecutor(20) as threads:
        said = list(threads.map(lambda browser: guess(browser, person.email)[0], browsers))
    assert sorted(said) == [401] * 5 + [429] * 15


def test_an_hour_without_failures_is_a_new_beginning(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    for _ in range(5):
        guess(sqlite_doors.browser(), person.email)
    sqlite_doors.time.current += timedelta(seconds=1 + 3600 - 0.001)
    assert guess(sqlite_doors.browser(), person.email) == (401, 0)
    assert guess(sqlite_doors.browser(), person.email) == (429, 2)
    sqlite_doors.time.current += timedelta(seconds=2 + 3600)
    said = [guess(sqlite_doors.browser(), person.email)[0] for _ in range(6)]
    assert said == [401] * 5 + [429]


def test_resets_are_slowed_alike_for_anybody(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    for email in (person.email, "nobody@example.com"):
        browser = sqlite_doors.browser(address="198.51.100.7")
        said = [browser.post("/password/reset", {"email": email}) for _ in range(20)]
        assert [answer.status_code for answer in said] == [202] * 3 + [429] * 17
        assert said[-1].headers["retry-after"] == "1"


def second_factor_of(doors: Doors, person: Person) -> str:
    browser = doors.browser()
    browser.login(person)
    secret = str(browser.post("/2fa/enroll", {"password": person.password}).json()["secret"])
    confirmed = browser.post("/2fa/confirm", {"totp": totp(secret, doors.clock)})
    assert confirmed.status_code == 200, confirmed.text
    return secret


def test_codes_of_the_second_factor(doors: Doors) -> None:
    person = make_person(doors, "viewer")
    secret = second_factor_of(doors, person)
    doors.time.current += timedelta(minutes=5)
    wrong = f"{(int(totp(secret, doors.clock)) + 500_000) % 1_000_000:06}"
    said = [doors.browser().login(person, totp=wrong).status_code for _ in range(20)]
    assert said == [401] * 5 + [429] * 15
    assert doors.browser().login(person, totp=totp(secret, doors.clock)).status_code == 429
    doors.time.current += timedelta(seconds=1)
    assert doors.browser().login(person, totp=totp(secret, doors.clock)).status_code == 200


def test_the_current_password_cannot_be_guessed_by_a_session(sqlite_doors: Doors) -> None:
    browser = sqlite_doors.browser()
    browser.login(make_person(sqlite_doors, "viewer"))
    body = {"current_password": "wrong", "new_password": "a new and quiet evening"}
    said = [browser.post("/password", body).status_code for _ in range(20)]
    assert said == [403] * 5 + [429] * 15


def test_what_is_counted_does_not_tell_of_whom(sqlite_doors: Doors) -> None:
    guess(sqlite_doors.browser(), "nobody@example.com")
    with read(sqlite_doors.database) as session:
        rows = str(session.execute(select(sign_in_attempts)).all())
        assert session.scalar(select(func.count()).select_from(sign_in_attempts)) == 2
    assert "nobody" not in rows
    assert "203.0.113" not in rows
