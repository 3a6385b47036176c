"""Another e-mail address: proven by a link to it, confirmed by who signed in, told to the old."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.identity.accounts import end_sessions
from llm_cost_ops.server.identity.tables import one_time_links, users
from llm_cost_ops.server.queue.tables import jobs
from llm_cost_ops.server.settings import DatabaseSettings, EmailSettings, ServerSettings, Settings
from llm_cost_ops.server.worker import create_worker
from tests.support.mailsink import MailSink, mail_sink
from tests.support.people import (
    CHEAP,
    HOME,
    PASSWORD,
    Browser,
    Doors,
    Person,
    add_to,
    column,
    doors_of,
    make_person,
    totp,
)

NEW = "ann.new@example.com"


@dataclass
class Post:
    """An app and the mail that it sends."""

    doors: Doors
    sink: MailSink

    def mails(self) -> dict[str, str]:
        """What was sent since the last look: text by recipient."""
        state = self.doors.app.state
        create_worker(
            state.settings, self.doors.database, self.doors.clock, state.queue_metrics
        ).run(until_idle=True)
        found = {each.recipients[0]: each.mail.get_content() for each in self.sink.taken}
        self.sink.taken.clear()
        return found

    def secret(self, email: str = NEW) -> str:
        found = re.search(rf"{re.escape(HOME)}/email\?token=(\S+)", self.mails()[email])
        assert found
        return found[1]


@pytest.fixture
def post(sqlite_settings: DatabaseSettings) -> Iterator[Post]:
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
            yield Post(doors, sink)


def signed_in(doors: Doors, person: Person) -> Browser:
    browser = doors.browser()
    assert browser.login(person).status_code == 200
    return browser


def ask(browser: Browser, email: str = NEW, **more: Any) -> tuple[int, str | None]:
    answer = browser.post("/email", {"email": email, "password": PASSWORD, **more})
    return answer.status_code, answer.json().get("error", {}).get("code")


def confirm(browser: Browser, secret: str) -> tuple[int, str | None]:
    answer = browser.post("/email/confirm", {"token": secret})
    if answer.status_code == 200:
        browser.csrf = answer.json()["csrf_token"]
    return answer.status_code, answer.json().get("error", {}).get("code")


def test_from_asking_to_the_new_address(post: Post) -> None:
    doors, other = post.doors, post.doors.other()
    person = make_person(doors, "viewer")
    add_to(other, person, "viewer")
    browser, beside = signed_in(doors, person), signed_in(doors, person)
    assert ask(browser, f" {NEW.upper()}".strip()) == (202, None)
    sent = post.mails()
    assert sent.keys() == {NEW, person.email}
    assert "Nothing is changed" in sent[person.email]
    assert "token=" not in sent[person.email]
    secret = re.findall(r"token=(\S+)", sent[NEW])[0]
    assert column(doors, "email", person) == person.email
    with read(doors.database) as session:
        kept = str(session.execute(select(one_time_links)).all())
        kept += str(session.execute(select(jobs)).all())
        kept += str(session.execute(select(audit_log)).all())
    assert secret not in kept
    assert confirm(browser, secret) == (200, None)
    assert (browser.me().status_code, beside.me().status_code) == (200, 401)
    assert browser.me().json()["account"]["email"] == NEW
    assert "no longer" in post.mails()[person.email]
    assert doors.browser().login(person).status_code == 401
    assert doors.browser().login(replace(person, email=NEW)).status_code == 200
    assert confirm(browser, secret) == (400, "LINK_INVALID")
    assert column(doors, "email_verified_at", person) == doors.clock.micros()
    with read(doors.database) as session:
        told = session.execute(
            select(users.c.email).where(users.c.account_id == person.account_id)
        ).scalars()
        assert list(told) == [NEW, NEW]
        rows = session.execute(
            select(audit_log.c.organization_id, audit_log.c.after).where(
                audit_log.c.action == "auth.email_changed"
            )
        ).all()
    assert {row[0] for row in rows} == {doors.organization_id, other.organization_id}
    assert NEW in str(rows)


def test_it_needs_the_password_and_the_code(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    browser = signed_in(sqlite_doors, person)
    for password in (None, "wrong wrong wrong"):
        assert ask(browser, password=password) == (403, "REAUTHENTICATION_REQUIRED")
    secret = browser.post("/2fa/enroll", {"password": PASSWORD}).json()["secret"]
    code = totp(secret, sqlite_doors.clock)
    browser.post("/2fa/confirm", {"totp": code})
    assert ask(browser) == (401, "SECOND_FACTOR_REQUIRED")
    assert ask(browser, totp=code) == (401, "SECOND_FACTOR_FAILED")
    sqlite_doors.time.current += timedelta(seconds=30)
    assert ask(browser, totp=totp(secret, sqlite_doors.clock)) == (202, None)
    assert ask(browser, "no address", totp="1" * 6)[0] == 422
    with read(sqlite_doors.database) as session:
        kinds = list(session.execute(select(jobs.c.kind)).scalars())
    assert kinds.count("signin.address_mail") == 1


def test_who_else_has_the_address_is_not_told(post: Post) -> None:
    person, taken = make_person(post.doors, "viewer"), make_person(post.doors, "viewer")
    browser = signed_in(post.doors, person)
    assert ask(browser, taken.email) == (202, None)
    assert post.mails().keys() == {person.email}
    assert ask(browser, person.email) == (422, "VALIDATION_ERROR")


def test_one_that_was_taken_meanwhile(post: Post) -> None:
    person = make_person(post.doors, "viewer")
    browser = signed_in(post.doors, person)
    ask(browser)
    secret = post.secret()
    make_person(post.doors, "viewer", email=NEW)
    assert confirm(browser, secret) == (409, "CONFLICT")
    assert column(post.doors, "email", person) == person.email
    assert browser.me().status_code == 200


def test_the_link_of_somebody_else_changes_nothing(post: Post) -> None:
    person, someone = make_person(post.doors, "viewer"), make_person(post.doors, "admin")
    ask(signed_in(post.doors, person))
    secret, thief = post.secret(), signed_in(post.doors, someone)
    assert confirm(thief, secret) == (400, "LINK_INVALID")
    page = post.doors.browser().open(f"/email?token={secret}")
    assert page.answer.headers["location"].startswith("/login?next=")
    assert post.doors.browser().post("/email/confirm", {"token": secret}).status_code == 401
    assert column(post.doors, "email", someone) == someone.email
    assert confirm(signed_in(post.doors, person), secret) == (200, None)


def test_what_ends_a_link(post: Post) -> None:
    doors, person = post.doors, make_person(post.doors, "viewer")
    browser = signed_in(doors, person)
    ask(browser)
    first = post.secret()
    ask(browser, "second@example.com")
    second = post.secret("second@example.com")
    assert confirm(browser, first) == (400, "LINK_INVALID")
    with write(doors.database) as session:
        end_sessions(session, person.account_id, now_us=doors.clock.micros())
    browser = signed_in(doors, person)
    assert confirm(browser, second) == (400, "LINK_INVALID")
    ask(browser, "third@example.com")
    third = post.secret("third@example.com")
    doors.time.current += timedelta(minutes=59)
    assert browser.me().status_code == 200
    doors.time.current += timedelta(minutes=1)
    assert confirm(signed_in(doors, person), third) == (400, "LINK_INVALID")


def test_asking_is_slowed(sqlite_doors: Doors) -> None:
    browser = signed_in(sqlite_doors, make_person(sqlite_doors, "viewer"))
    asked = [ask(browser, f"a{number}@example.com")[0] for number in range(4)]
    assert asked == [202, 202, 202, 429]
    other = signed_in(sqlite_doors, make_person(sqlite_doors, "viewer"))
    assert ask(other)[0] == 202


def test_an_identity_provider_says_what_the_address_is(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    with write(sqlite_doors.database) as session:
        session.execute(
            update(users).where(users.c.id == person.user_id).values(external_id="okta-1")
        )
    assert ask(signed_in(sqlite_doors, person)) == (409, "CONFLICT")


def test_in_the_browser(post: Post) -> None:
    person = make_person(post.doors, "viewer")
    browser = post.doors.browser()
    browser.open("/login").send("/login", email=person.email, password=PASSWORD)
    account = browser.open("/account")
    wrong = account.send("/account/email", email="none", password=PASSWORD)
    assert (wrong.answer.status_code, "must be an e-mail address" in wrong.text) == (422, True)
    sent = account.send("/account/email", email=NEW, password=PASSWORD)
    assert "Look into your mail" in sent.text
    page = browser.open(f"/email?token={post.secret()}")
    assert f"You will sign in as {NEW}, no longer as {person.email}" in page.text
    assert column(post.doors, "email", person) == person.email
    done = page.send("/email")
    assert NEW in done.text
    assert column(post.doors, "email", person) == NEW
