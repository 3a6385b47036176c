"""Check 34: a link sets a password once and within the hour, and never passes the second factor;
what one signs in with is changed by who proves the password again."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.identity.links import make_link
from llm_cost_ops.server.identity.tables import accounts, one_time_links
from llm_cost_ops.server.queue.tables import jobs
from llm_cost_ops.server.settings import (
    DatabaseSettings,
    EmailSettings,
    ServerSettings,
    Settings,
)
from llm_cost_ops.server.worker import create_worker
from tests.support.mailsink import mail_sink
from tests.support.people import CHEAP, HOME, Doors, Person, column, doors_of, make_person, totp

pytestmark = pytest.mark.check(34)

NEW = "a new and quiet evening"
HOUR_US = 3_600_000_000


def link(doors: Doors, person: Person, purpose: str = "reset", lives_us: int = HOUR_US) -> str:
    with write(doors.database) as session:
        return make_link(
            session,
            purpose,
            now_us=doors.clock.micros(),
            lives_us=lives_us,
            account_id=person.account_id,
        )


def set_password(doors: Doors, secret: str, password: str = NEW) -> Any:
    body = {"token": secret, "password": password}
    return doors.browser().post("/password/reset/confirm", body)


def work_off(doors: Doors) -> None:
    state = doors.app.state
    create_worker(state.settings, doors.database, doors.clock, state.queue_metrics).run(
        until_idle=True
    )


def test_a_link_is_mailed_and_works_once(sqlite_settings: DatabaseSettings) -> None:
    with mail_sink() as sink:
        email = EmailSettings(
            smtp_host="127.0.0.1",
            smtp_port=sink.port,
            smtp_use_tls=False,
            from_address="Cost Ops <ops@example.com>",
        )
        settings = Settings(
            database=sqlite_settings,
            sign_in=CHEAP,
            email=email,
            server=ServerSettings(public_url=HOME),
        )
        with doors_of(settings) as doors:
            person = make_person(doors, "viewer")
            before = doors.browser()
            before.login(person)
            for asked in (person.email.upper(), "nobody@example.com"):
                assert doors.browser().post("/password/reset", {"email": asked}).status_code == 202
            work_off(doors)
            (taken,) = sink.taken
            assert taken.recipients == (person.email,)
            text = taken.mail.get_content()
            found = re.search(rf"{re.escape(HOME)}/reset\?token=(\S+)", text)
            assert found, text
            secret = found[1]
            with read(doors.database) as session:
                stored = str(session.execute(select(one_time_links)).all())
                stored += str(session.execute(select(jobs)).all())
            assert secret not in stored
            assert set_password(doors, secret).status_code == 204
            again = set_password(doors, secret, "yet another evening")
            assert (again.status_code, again.json()["error"]["code"]) == (400, "LINK_INVALID")
            assert before.me().status_code == 401
            assert doors.browser().login(person).status_code == 401
            fresh = Person(person.account_id, person.user_id, person.email, NEW)
            assert doors.browser().login(fresh).status_code == 200


def test_an_hour_and_no_longer(doors: Doors) -> None:
    person = make_person(doors, "viewer")
    late, early = link(doors, person), link(doors, person)
    doors.time.current += timedelta(hours=1, microseconds=-1)
    assert set_password(doors, early).status_code == 204
    doors.time.current += timedelta(microseconds=1)
    assert set_password(doors, late).status_code == 400


def test_a_password_that_is_set_ends_the_other_links(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    first, second = link(sqlite_doors, person), link(sqlite_doors, person)
    assert set_password(sqlite_doors, first).status_code == 204
    assert set_password(sqlite_doors, second).status_code == 400


def test_a_refused_password_leaves_the_link(sqlite_doors: Doors) -> None:
    secret = link(sqlite_doors, make_person(sqlite_doors, "viewer"))
    assert set_password(sqlite_doors, secret, "short").status_code == 422
    assert set_password(sqlite_doors, secret).status_code == 204


def test_of_several_at_once_one_sets_it(doors: Doors) -> None:
    secret = link(doors, make_person(doors, "viewer"))
    passwords = [f"quiet evening number {number}" for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        said = list(
            threads.map(lambda each: set_password(doors, secret, each).status_code, passwords)
        )
    assert sorted(said) == [204, 400, 400, 400]


def test_the_second_factor_stays_asked_for(doors: Doors) -> None:
    person = make_person(doors, "viewer")
    browser = doors.browser()
    browser.login(person)
    secret = str(browser.post("/2fa/enroll", {"password": person.password}).json()["secret"])
    browser.post("/2fa/confirm", {"totp": totp(secret, doors.clock)})
    answer = set_password(doors, link(doors, person))
    assert answer.status_code == 204
    assert not answer.headers.get_list("set-cookie")
    fresh = Person(person.account_id, person.user_id, person.email, NEW)
    refused = doors.browser().login(fresh)
    assert (refused.status_code, refused.json()["error"]["code"]) == (
        401,
        "SECOND_FACTOR_REQUIRED",
    )
    doors.time.current += timedelta(seconds=30)
    assert doors.browser().login(fresh, totp=totp(secret, doors.clock)).status_code == 200


def test_a_welcome_sets_the_first_password_and_no_other(sqlite_doors: Doors) -> None:
    """An administrator who makes a user of an address must not get at the account behind it."""
    new = make_person(sqlite_doors, "viewer", password=None)
    assert column(sqlite_doors, "email_verified_at", new) is None
    assert set_password(sqlite_doors, link(sqlite_doors, new, "welcome")).status_code == 204
    assert column(sqlite_doors, "email_verified_at", new) is not None
    old = make_person(sqlite_doors, "viewer")
    answer = set_password(sqlite_doors, link(sqlite_doors, old, "welcome"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "LINK_INVALID")
    assert sqlite_doors.browser().login(old).status_code == 200


def test_a_link_that_is_unknown_or_for_something_else(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    others = [link(sqlite_doors, person, purpose) for purpose in ("invite", "verify")]
    for secret in ("x", "é", "0" * 43, "0" * 64, *others):
        answer = set_password(sqlite_doors, secret)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "LINK_INVALID")


@pytest.mark.parametrize("password", [None, "wrong wrong wrong"])
def test_a_session_alone_changes_nothing(sqlite_doors: Doors, password: str | None) -> None:
    person = make_person(sqlite_doors, "viewer")
    browser = sqlite_doors.browser()
    browser.login(person)
    proof = {} if password is None else {"password": password}
    current = {} if password is None else {"current_password": password}
    for path, body in (
        ("/2fa/enroll", proof),
        ("/2fa/disable", proof),
        ("/2fa/recovery-codes", proof),
        ("/password", {**current, "new_password": NEW}),
    ):
        answer = browser.post(path, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            403,
            "REAUTHENTICATION_REQUIRED",
        )
    assert sqlite_doors.browser().login(person).status_code == 200


def test_the_second_factor_is_turned_off_by_password_and_code(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    browser = sqlite_doors.browser()
    browser.login(person)
    secret = str(browser.post("/2fa/enroll", {"password": person.password}).json()["secret"])
    browser.post("/2fa/confirm", {"totp": totp(secret, sqlite_doors.clock)})
    alone = browser.post("/2fa/disable", {"password": person.password})
    assert alone.json()["error"]["code"] == "SECOND_FACTOR_REQUIRED"
    code = totp(secret, sqlite_doors.clock, 1)
    assert browser.post("/2fa/disable", {"totp": code}).status_code == 403
    both = browser.post("/2fa/disable", {"password": person.password, "totp": code})
    assert both.status_code == 204
    assert sqlite_doors.browser().login(person).status_code == 200


def test_without_a_password_a_fresh_session_is_proof(sqlite_doors: Doors) -> None:
    """Somebody who signs in by an identity provider has none to prove."""
    person = make_person(sqlite_doors, "viewer")
    browser = sqlite_doors.browser()
    browser.login(person)
    with write(sqlite_doors.database) as session:
        session.execute(
            update(accounts).where(accounts.c.id == person.account_id).values(password_hash=None)
        )
    assert browser.post("/2fa/enroll").status_code == 200
    sqlite_doors.time.current += timedelta(minutes=10, microseconds=1)
    assert browser.post("/2fa/enroll").status_code == 403
