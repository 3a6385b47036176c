"""The pages, used as people do: without scripts, form by form."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from sqlalchemy import select

from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.identity.invitations import NewInvitation, invitation_link, invite
from llm_cost_ops.server.identity.links import make_link
from llm_cost_ops.server.identity.tables import one_time_links, user_roles
from llm_cost_ops.server.queue.tables import jobs
from llm_cost_ops.server.signin import account
from tests.support.people import Browser, Doors, Page, Person, add_to, column, make_person, totp

NEW = "a new and quiet evening"
HOUR_US = 3_600_000_000


def signed_in(doors: Doors, person: Person) -> Browser:
    browser = doors.browser()
    page = browser.open("/login").send("/login", email=person.email, password=person.password)
    assert "Your account" in page.text, page.answer.text
    return browser


def link(doors: Doors, person: Person, purpose: str) -> str:
    with write(doors.database) as session:
        return make_link(
            session,
            purpose,
            now_us=doors.clock.micros(),
            lives_us=HOUR_US,
            account_id=person.account_id,
        )


def turned_on(doors: Doors, browser: Browser, person: Person) -> tuple[str, list[str]]:
    """The secret of the second factor and the recovery codes."""
    page = browser.open("/account").send("/account/2fa/enroll", password=person.password)
    assert "<svg" in page.answer.text
    found = re.search(r"Secret: <code>([A-Z2-7 ]+)</code>", page.answer.text)
    assert found
    secret = found[1].replace(" ", "")
    wrong = page.send("/account/2fa/confirm", code="000000")
    assert wrong.answer.status_code == 401
    assert "The code is wrong" in wrong.text
    assert secret in wrong.text.replace(" ", "")
    shown = wrong.send("/account/2fa/confirm", code=totp(secret, doors.clock))
    codes = re.findall(r"<code>([a-z2-7-]+)</code>", shown.answer.text)
    assert len(codes) == 10
    return secret, codes


def test_sign_in_and_out(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    browser = sqlite_doors.browser()
    assert browser.get("/account").headers["location"] == "/login?next=/account"
    page = browser.open("/login").send("/login", email=person.email, password="wrong")
    assert page.answer.status_code == 401
    assert "The e-mail address or the password is wrong." in page.text
    assert person.email in page.answer.text
    page = page.send("/login", email=person.email, password=person.password)
    assert page.answer.url.path == "/account"
    assert person.email in page.text
    assert browser.get("/login").headers["location"] == "/account"
    asked = browser.open("/logout")
    assert browser.open("/account").answer.status_code == 200
    asked.send("/logout")
    assert browser.get("/account").is_redirect
    assert browser.get("/logout").headers["location"] == "/login"


@pytest.mark.parametrize(
    ("wanted", "onward"),
    [
        ("/account?x=1", "/account?x=1"),
        ("https://evil.example/", "/account"),
        ("//evil.example", "/account"),
        ("/\\evil.example", "/account"),
        ("/a\r\nSet-Cookie: x=y", "/account"),
        ("javascript:alert(1)", "/account"),
        ("", "/account"),
    ],
)
def test_it_goes_on_to_a_path_of_ours(sqlite_doors: Doors, wanted: str, onward: str) -> None:
    person = make_person(sqlite_doors, "viewer")
    browser = sqlite_doors.browser()
    page = Page(browser, browser.get("/login", params={"next": wanted}))
    fields = {**page.form("/login"), "email": person.email, "password": person.password}
    answer = browser.request("POST", "/login", data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, onward)
    again = sqlite_doors.browser()
    fields = {**Page(again, again.get("/login")).form("/login"), "next": wanted}
    fields |= {"email": person.email, "password": person.password}
    assert again.request("POST", "/login", data=fields).headers["location"] == onward


def test_the_second_step(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    secret, codes = turned_on(sqlite_doors, signed_in(sqlite_doors, person), person)
    sqlite_doors.time.current += timedelta(minutes=2)
    browser = sqlite_doors.browser()
    fields = {"email": person.email, "password": person.password}
    page = browser.open("/login").send("/login", **fields)
    assert page.answer.url.path == "/login/2fa"
    assert browser.get("/account").is_redirect
    page = page.send("/login/2fa", code="123")
    assert (page.answer.status_code, "The code is wrong" in page.text) == (401, True)
    code = totp(secret, sqlite_doors.clock)
    page = page.send("/login/2fa", code=f"{code[:3]} {code[3:]}")
    assert "It is on. 10 recovery codes are left." in page.text
    assert browser.cookie("__Host-cost_ops_second_step") is None
    other = sqlite_doors.browser()
    page = other.open("/login").send("/login", **fields).send("/login/2fa", code=codes[3])
    assert "9 recovery codes are left" in page.text
    late = sqlite_doors.browser()
    page = late.open("/login").send("/login", **fields)
    sqlite_doors.time.current += timedelta(minutes=5)
    page = page.send("/login/2fa", code=totp(secret, sqlite_doors.clock))
    assert page.answer.url.path == "/login"
    assert late.get("/login/2fa").headers["location"] == "/login"


def test_the_second_factor_is_turned_off(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    browser = signed_in(sqlite_doors, person)
    _, codes = turned_on(sqlite_doors, browser, person)
    page = browser.open("/account")
    refused = page.send("/account/2fa/disable", password="wrong", code=codes[0])
    assert (refused.answer.status_code, "password is wrong" in refused.text) == (403, True)
    shown = refused.send("/account/2fa/recovery-codes", password=person.password, code=codes[0])
    new = re.findall(r"<code>([a-z2-7-]+)</code>", shown.answer.text)
    page = browser.open("/account")
    page = page.send("/account/2fa/disable", password=person.password, code=new[0])
    assert "It is off" in page.text


def test_another_password(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    browser, beside = signed_in(sqlite_doors, person), signed_in(sqlite_doors, person)
    page = browser.open("/account")
    fields = {"current_password": person.password, "new_password": "Password1234"}
    page = page.send("/account/password", **fields)
    assert page.answer.status_code == 422
    assert "It is one of those that are guessed first." in page.text
    assert 'aria-invalid="true"' in page.answer.text
    page = page.send("/account/password", **{**fields, "new_password": NEW})
    assert page.answer.status_code == 200
    assert browser.get("/account").status_code == 200
    assert beside.get("/account").is_redirect


def test_sessions_and_organizations(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    other = sqlite_doors.other()
    add_to(other, person, "viewer")
    browser, beside = signed_in(sqlite_doors, person), signed_in(sqlite_doors, person)
    browser.open("/account").send("/account/sessions/end")
    assert beside.get("/account").is_redirect
    before = browser.me().json()["organization"]["id"]
    browser.open("/account").send("/account/organization")
    assert browser.me().json()["organization"]["id"] != before


def test_a_new_password_by_mail(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    for email in (person.email, "nobody@example.com"):
        page = sqlite_doors.browser().open("/reset").send("/reset", email=email)
        assert "Look into your mail" in page.text
    with read(sqlite_doors.database) as session:
        kinds = session.execute(select(jobs.c.kind)).scalars().all()
    assert kinds.count("signin.reset_mail") == 2
    secret = link(sqlite_doors, person, "reset")
    browser = sqlite_doors.browser()
    page = browser.open(f"/reset?token={secret}")
    assert person.email in page.text
    page = page.send("/reset", password="short")
    assert (page.answer.status_code, "at least 12" in page.text) == (422, True)
    page = page.send("/reset", password=NEW)
    assert "Your password is set" in page.text
    page = page.send("/login", email=person.email, password=NEW)
    assert "Your account" in page.text
    for path in (f"/reset?token={secret}", "/reset?token=x", "/welcome?token=x", "/welcome"):
        gone = sqlite_doors.browser().open(path)
        assert gone.answer.status_code == 400
        assert "This link does not work" in gone.text


def test_a_welcome(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer", password=None)
    secret = link(sqlite_doors, person, "welcome")
    page = sqlite_doors.browser().open(f"/welcome?token={secret}").send("/welcome", password=NEW)
    assert "Your account" in page.send("/login", email=person.email, password=NEW).text


def test_of_two_welcomes_at_once_one_sets_the_password(
    sqlite_doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = make_person(sqlite_doors, "viewer", password=None)
    secrets = [link(sqlite_doors, person, "welcome") for _ in range(2)]
    pages = [sqlite_doors.browser().open(f"/welcome?token={each}") for each in secrets]
    checked, raced = account.check_account_password, list[int]()

    def slowly(*given: Any, **named: Any) -> None:
        checked(*given, **named)
        if not raced:
            raced.append(1)
            assert "Your password is set" in pages[1].send("/welcome", password=NEW).text

    monkeypatch.setattr(account, "check_account_password", slowly)
    late = pages[0].send("/welcome", password=f"{NEW} other")
    assert (raced, late.answer.status_code) == ([1], 400)
    page = sqlite_doors.browser().open("/login").send("/login", email=person.email, password=NEW)
    assert "Your account" in page.text


def invitation(doors: Doors, email: str) -> str:
    actor = Actor(doors.organization_id, None, None, doors.clock.micros())
    with write(doors.database) as session:
        made = invite(session, actor, NewInvitation(email=email, role="viewer"))
        return invitation_link(session, made, now_us=actor.now_us)


def test_an_invitation_of_somebody_new(sqlite_doors: Doors) -> None:
    secret = invitation(sqlite_doors, "newcomer@example.com")
    browser = sqlite_doors.browser()
    page = browser.open(f"/invite?token={secret}")
    assert "newcomer@example.com is invited, with the role viewer." in page.text
    page = page.send("/invite", name="New Comer", password="newcomer-2026")
    assert page.answer.status_code == 422
    page = page.send("/invite", name="New Comer", password=NEW)
    page = page.send("/login", email="newcomer@example.com", password=NEW)
    assert "Your account" in page.text
    assert browser.me().json()["scopes"] == ["read:budgets", "read:costs", "read:reports"]
    assert sqlite_doors.browser().open(f"/invite?token={secret}").answer.status_code == 400


def test_an_invitation_of_somebody_who_has_an_account(sqlite_doors: Doors) -> None:
    """Whoever holds the link cannot join in the name of another, nor set their password."""
    other = sqlite_doors.other()
    person, someone = make_person(other, "viewer"), make_person(other, "viewer")
    secret = invitation(sqlite_doors, person.email)
    stranger = sqlite_doors.browser()
    page = stranger.open(f"/invite?token={secret}")
    assert "Sign in with it to accept" in page.text
    assert 'action="/invite"' not in page.answer.text
    thief = signed_in(sqlite_doors, someone)
    fields = {**thief.open("/account").form("/account/password"), "token": secret}
    answer = thief.request("POST", "/invite", data={**fields, "password": NEW})
    assert "Sign in with it to accept" in answer.text
    with read(sqlite_doors.database) as session:
        used = session.execute(select(one_time_links.c.used_at)).scalars().all()
        joined = session.execute(
            select(user_roles.c.user_id).where(
                user_roles.c.organization_id == sqlite_doors.organization_id
            )
        ).all()
    assert (used, joined) == ([None], [])
    assert column(sqlite_doors, "token_version", person) == 0
    onward = re.search(r'href="(/login\?next=[^"]+)"', page.answer.text)
    assert onward
    login = stranger.open(onward[1])
    page = login.send("/login", email=person.email, password=person.password)
    assert page.answer.url.path == "/invite"
    page = page.send("/invite")
    assert {each["id"] for each in stranger.me().json()["organizations"]} == {
        other.organization_id,
        sqlite_doors.organization_id,
    }


def test_forms_come_from_our_pages(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    good = {"email": person.email, "password": person.password}
    browser = sqlite_doors.browser()
    assert browser.request("POST", "/login", data=good).status_code == 403
    form = browser.open("/login").form("/login")
    ways: list[dict[str, Any]] = [
        {"data": {**form, **good}, "headers": {"Origin": "https://evil.example"}},
        {"data": {**form, **good, "csrf": "x"}},
        {"data": good},
    ]
    for way in ways:
        answer = browser.request("POST", "/login", **way)
        assert (answer.status_code, "out of date" in answer.text) == (403, True)
    assert browser.request("POST", "/login", json=good).status_code == 415
    twice = f"csrf={form['csrf']}&email=a&email=b"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert browser.request("POST", "/login", content=twice, headers=kind).status_code == 422
    large = "x=" + "y" * 20_000
    assert browser.request("POST", "/login", content=large, headers=kind).status_code == 413
    mine = signed_in(sqlite_doors, person)
    for path in ("/logout", "/account/password", "/account/2fa/enroll", "/account/sessions/end"):
        answer = mine.request("POST", path, data={"csrf": form["csrf"], "password": "x"})
        assert answer.status_code == 403, path
    assert mine.get("/account").status_code == 200


class Outline(HTMLParser):
    """What accessibility asks of a page, and what a policy forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.labels: set[str] = set()
        self.inputs: list[str] = []
        self.ids: list[str] = []
        self.headings = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if "id" in given:
            self.ids.append(given["id"] or "")
        if tag == "h1":
            self.headings += 1
        if tag == "label":
            self.labels.add(given["for"] or "")
        if tag == "input" and given.get("type") != "hidden":
            self.inputs.append(given.get("id") or "")
        if tag == "html" and given.get("lang") != "en":
            self.faults.append("no language")
        for name, value in attrs:
            if name.startswith("on") or name == "style" or name == "src" or tag == "script":
                self.faults.append(f"{tag} {name}")
            if name == "href" and not (value or "").startswith("/"):
                self.faults.append(f"{tag} {value}")


def test_pages_are_accessible_and_load_nothing(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    mine = signed_in(sqlite_doors, person)
    pages = [sqlite_doors.browser().open(path) for path in ("/login", "/reset", "/welcome?token=")]
    pages += [mine.open(path) for path in ("/account", "/logout")]
    pages.append(mine.open("/account").send("/account/2fa/enroll", password=person.password))
    for page in pages:
        outline = Outline()
        outline.feed(page.answer.text)
        path = page.answer.url.path
        assert outline.faults == [], path
        assert outline.headings == 1, path
        assert set(outline.inputs) <= outline.labels, path
        assert len(set(outline.ids)) == len(outline.ids), path
        policy = page.answer.headers.get_list("content-security-policy")
        assert len(policy) == 1
        assert "script" not in policy[0]
        assert "unsafe" not in policy[0]
        assert "frame-ancestors 'none'" in policy[0]
        assert page.answer.headers["cache-control"] == "no-store"
        assert page.answer.headers["referrer-policy"] == "same-origin"


def test_what_people_typed_is_text(sqlite_doors: Doors) -> None:
    canary = '"><img src=x onerror=alert(1)>{{7*7}}'
    page = sqlite_doors.browser().open("/login").send("/login", email=canary, password="x")
    assert "<img" not in page.answer.text
    assert "{{7*7}}" in page.answer.text
    for path in (f"/reset?token={canary}", f"/login?next=/{canary}", f"/invite?token={canary}"):
        assert "<img" not in sqlite_doors.browser().get(path).text
