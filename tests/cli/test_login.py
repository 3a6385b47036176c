"""`auth login`, `logout`, `whoami`, `switch-org`: a person at a server, for all commands."""

from __future__ import annotations

import getpass
import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests

from llm_cost_ops.cli import logins
from llm_cost_ops.client.sync_client import CostOpsClient
from llm_cost_ops.server.clock import SystemClock
from tests.cli.conftest import Run
from tests.support.application import Application
from tests.support.live import LiveServer
from tests.support.people import PASSWORD, Person, add_to, make_person, totp


@dataclass(frozen=True)
class Someone:
    """A person of a new organization of a running server."""

    url: str
    organization_id: str
    person: Person
    application: Application
    key: str

    def login(self, run: Run, *more: object) -> Any:
        given = ("--email", self.person.email, "--password-stdin", *more)
        return run("auth", "login", "--api-url", self.url, *given, stdin=f"{PASSWORD}\n".encode())


@pytest.fixture
def someone(live_server: LiveServer) -> Someone:
    organization_id, key = live_server.new_organization()
    application = cast(
        "Application",
        SimpleNamespace(
            database=live_server.database, clock=SystemClock(), organization_id=organization_id
        ),
    )
    person = make_person(application, "analyst", email=f"{organization_id}@example.com")
    return Someone(live_server.base_url, organization_id, person, application, key)


def kept() -> dict[str, Any]:
    return json.loads(logins.place().read_text(encoding="utf-8"))


def test_sign_in_work_and_sign_out(run: Run, someone: Someone) -> None:
    ran = someone.login(run)
    assert (ran.code, ran.out) == (0, ""), ran.err
    assert someone.person.email in ran.err
    place = logins.place()
    assert (place.stat().st_mode & 0o777, place.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert PASSWORD not in place.read_text(encoding="utf-8")
    who = run("auth", "whoami", "-o", "json").json()
    assert who["email"] == someone.person.email
    assert (who["organization_id"], who["roles"]) == (someone.organization_id, ["analyst"])
    assert who["server"] == someone.url
    assert who["expires_at"] is not None
    assert run("summary").code == 0
    refused = run("webhooks", "list")
    assert (refused.code, "INSUFFICIENT_PERMISSIONS" in refused.err) == (3, True)
    token = kept()["servers"][someone.url]["access_token"]
    assert run("auth", "logout").code == 0
    assert kept() == {"servers": {}, "current": None}
    again = run("auth", "logout", "--api-url", someone.url)
    assert (again.code, "auth login" in again.err) == (3, True)
    spent = run("auth", "whoami", "--api-url", someone.url, "--api-key", token)
    assert spent.code == 3


def test_a_wrong_password_and_none(run: Run, someone: Someone) -> None:
    wrong = run(
        *("auth", "login", "--api-url", someone.url, "--email", someone.person.email),
        "--password-stdin",
        stdin=b"wrong wrong wrong\n",
    )
    assert (wrong.code, "SIGN_IN_FAILED" in wrong.err) == (3, True)
    assert not logins.place().exists()
    for arguments in (("--email", "a@example.com"), ("--password-stdin",)):
        ran = run("auth", "login", "--api-url", someone.url, *arguments, stdin=b"")
        assert (ran.code, ran.out) == (2, "")
    assert run("auth", "login", "--email", "a@example.com", "--password-stdin").code == 2


def test_it_is_asked_for_at_a_terminal(
    run: Run, someone: Someone, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def hidden(prompt: str) -> str:
        asked.append(prompt)
        return PASSWORD

    monkeypatch.setattr(getpass, "getpass", hidden)
    monkeypatch.setattr("llm_cost_ops.cli.login.at_terminal", lambda: True)
    address = someone.person.email.encode() + b"\n"
    ran = run("auth", "login", "--api-url", someone.url, stdin=address)
    assert (ran.code, asked) == (0, ["Password: "]), ran.err


def test_the_second_factor(run: Run, someone: Someone) -> None:
    root = f"{someone.url}/api/v1/auth"
    with requests.Session() as session:
        body = {"email": someone.person.email, "password": PASSWORD}
        csrf = {"X-CSRF-Token": session.post(f"{root}/login", json=body).json()["csrf_token"]}
        started = session.post(f"{root}/2fa/enroll", json={"password": PASSWORD}, headers=csrf)
        code = totp(started.json()["secret"], SystemClock())
        codes = session.post(f"{root}/2fa/confirm", json={"totp": code}, headers=csrf).json()
    refused = someone.login(run)
    assert (refused.code, "--code" in refused.err) == (3, True)
    wrong = someone.login(run, "--code", "000000")
    assert (wrong.code, "SECOND_FACTOR_FAILED" in wrong.err) == (3, True)
    assert someone.login(run, "--code", codes["recovery_codes"][0]).code == 0


def test_flag_and_environment_go_before_the_login(
    run: Run, someone: Someone, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    assert someone.login(run).code == 0
    by_flag = run("auth", "whoami", "--api-key", someone.key, "-o", "json").json()
    assert by_flag["scopes"] == ["*"]
    monkeypatch.setenv("COST_OPS_API_KEY", someone.key)
    assert run("auth", "whoami", "-o", "json").json()["key_id"] == by_flag["key_id"]
    monkeypatch.delenv("COST_OPS_API_KEY")
    assert run("init", "--database-url", "sqlite:own.db").code == 0
    local = run("auth", "whoami", "--database-url", "sqlite:own.db", "-o", "json").json()
    assert local["server"] == "local database"
    monkeypatch.setenv("DATABASE_URL", "sqlite:own.db")
    assert run("auth", "whoami", "-o", "json").json()["server"] == "local database"
    monkeypatch.setenv("COST_OPS_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("COST_OPS_MAX_RETRIES", "0")
    lost = run("auth", "whoami")
    assert (lost.code, "access" in lost.err) == (4, False)


def test_a_token_goes_to_no_other_server(run: Run, someone: Someone) -> None:
    assert someone.login(run).code == 0
    other = someone.url.replace("127.0.0.1", "localhost")
    refused = run("auth", "whoami", "--api-url", other)
    assert (refused.code, "AUTH_001" in refused.err) == (3, True)


def test_an_old_token_is_renewed_by_one_of_several_commands(run: Run, someone: Someone) -> None:
    assert someone.login(run).code == 0
    before = logins.login_at(someone.url)
    assert before is not None
    logins.keep(replace(before, expires_at=0.0))
    held = [logins.StoredToken(replace(before, expires_at=0.0), now=logins.now_s) for _ in range(4)]

    def call(auth: logins.StoredToken) -> None:
        with CostOpsClient(None, someone.url, auth=auth) as client:
            client.costs.list()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(call, held))
    after = logins.login_at(someone.url)
    assert after is not None
    assert after.refresh_token != before.refresh_token
    assert after.expires_at > logins.now_s()
    assert {each._login.refresh_token for each in held} == {after.refresh_token}
    assert run("summary").code == 0


def test_another_login_ends_the_one_before(run: Run, someone: Someone) -> None:
    assert someone.login(run).code == 0
    token = kept()["servers"][someone.url]["access_token"]
    assert someone.login(run).code == 0
    assert run("auth", "whoami", "--api-key", token).code == 3
    assert run("auth", "whoami").code == 0


def test_the_one_before_ends_when_its_access_token_has_expired(run: Run, someone: Someone) -> None:
    assert someone.login(run).code == 0
    before = logins.login_at(someone.url)
    assert before is not None
    logins.keep(replace(before, access_token="expired"))
    assert someone.login(run).code == 0
    spent = requests.post(
        f"{someone.url}/api/v1/auth/refresh",
        json={"refresh_token": before.refresh_token},
        timeout=10,
    )
    assert spent.status_code == 401


def test_a_switch_keeps_what_another_command_renewed(
    run: Run, someone: Someone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes between reading the login and storing it: the token that it replaced is spent."""
    assert someone.login(run).code == 0
    login, change = logins.login_at(someone.url), logins._change
    assert login is not None

    def renewed(document: dict[str, Any]) -> None:
        document["servers"][someone.url]["refresh_token"] = "renewed"

    def raced(work: Callable[[dict[str, Any]], None]) -> None:
        change(renewed)
        change(work)

    monkeypatch.setattr(logins, "_change", raced)
    assert run("auth", "switch-org", someone.organization_id).code == 0
    after = logins.login_at(someone.url)
    assert after is not None
    assert (after.refresh_token, after.access_token == login.access_token) == ("renewed", False)


def test_go_on_in_another_organization(run: Run, someone: Someone, live_server: LiveServer) -> None:
    other_id, _ = live_server.new_organization()
    other = SimpleNamespace(**{**vars(someone.application), "organization_id": other_id})
    add_to(cast("Application", other), someone.person, "admin")
    assert someone.login(run, "--organization", someone.organization_id).code == 0
    assert run("auth", "switch-org", "org-nowhere").code == 4
    assert run("auth", "switch-org", other_id).code == 0
    who = run("auth", "whoami", "-o", "json").json()
    assert (who["organization_id"], who["roles"]) == (other_id, ["admin"])
    stale = logins.login_at(someone.url)
    assert stale is not None
    logins.keep(replace(stale, expires_at=0.0))
    assert run("auth", "whoami", "-o", "json").json()["organization_id"] == other_id


def test_a_file_that_others_may_read_is_refused(run: Run, someone: Someone) -> None:
    assert someone.login(run).code == 0
    logins.place().chmod(0o644)
    ran = run("auth", "whoami")
    assert (ran.code, "chmod 600" in ran.err) == (3, True)


@pytest.mark.usefixtures("ledger")
def test_who_works_on_the_local_database(run: Run) -> None:
    who = run("auth", "whoami", "-o", "json").json()
    assert who["scopes"] == ["*"]
    assert "operator" in who["key_id"]


class Visitor:
    """A browser whose user signs in and decides; it is opened by the command."""

    def __init__(self, someone: Someone, decision: str) -> None:
        self.someone, self.decision = someone, decision
        self.pages: list[str] = []
        self.thread: threading.Thread | None = None

    def open(self, url: str) -> bool:
        self.thread = threading.Thread(target=self.visit, args=(url,))
        self.thread.start()
        return True

    def visit(self, url: str) -> None:
        with requests.Session() as session:
            page = session.get(url, timeout=10)
            self.pages.append(page.url)
            fields = {"email": self.someone.person.email, "password": PASSWORD}
            page = session.post(
                f"{self.someone.url}/login",
                {**hidden(page.text), **fields},
                headers={"Origin": self.someone.url},
                timeout=10,
            )
            self.pages.append(page.text)
            back = session.post(
                f"{self.someone.url}/oauth/authorize",
                {**hidden(page.text), "decision": self.decision},
                headers={"Origin": self.someone.url},
                allow_redirects=False,
                timeout=10,
            )
            answer = back.headers["location"]
            forged = session.get(answer.replace("state=", "state=x"), timeout=10)
            self.pages.append(str(forged.status_code))
            self.pages.append(session.get(answer, timeout=10).text)


def hidden(text: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', text)
    return {name: unescape(value) for name, value in found}


def test_by_the_browser(run: Run, someone: Someone, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = Visitor(someone, "approve")
    monkeypatch.setattr("webbrowser.open", visitor.open)
    ran = run("auth", "login", "--api-url", someone.url, "--browser")
    assert visitor.thread is not None
    visitor.thread.join()
    assert (ran.code, ran.out) == (0, ""), ran.err
    first, consent, forged, last = visitor.pages
    assert first.startswith(f"{someone.url}/login?next=")
    assert "The command line cost-ops asks for access" in consent
    assert (forged, "Signed in" in last) == ("400", True)
    who = run("auth", "whoami", "-o", "json").json()
    assert (who["email"], who["roles"]) == (someone.person.email, ["analyst"])
    before = logins.login_at(someone.url)
    assert before is not None
    logins.keep(replace(before, expires_at=0.0))
    assert run("summary").code == 0
    after = logins.login_at(someone.url)
    assert after is not None
    assert after.refresh_token != before.refresh_token
    assert run("auth", "logout").code == 0
    assert (
        run("auth", "whoami", "--api-url", someone.url, "--api-key", after.access_token).code == 3
    )


def test_by_the_browser_in_another_organization(
    run: Run, someone: Someone, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_id, _ = live_server.new_organization()
    other = SimpleNamespace(**{**vars(someone.application), "organization_id": other_id})
    add_to(cast("Application", other), someone.person, "admin")
    into = ("auth", "login", "--api-url", someone.url, "--browser", "--organization")
    for organization in (other_id, someone.organization_id):
        monkeypatch.setattr("webbrowser.open", Visitor(someone, "approve").open)
        ran = run(*into, organization)
        assert ran.code == 0, ran.err
        who = run("auth", "whoami", "-o", "json").json()
        assert who["organization_id"] == organization
    monkeypatch.setattr("webbrowser.open", Visitor(someone, "approve").open)
    before = kept()
    assert run(*into, "org-nowhere").code == 4
    assert kept() == before


def test_who_refuses_in_the_browser_is_not_signed_in(
    run: Run, someone: Someone, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = Visitor(someone, "deny")
    monkeypatch.setattr("webbrowser.open", visitor.open)
    ran = run("auth", "login", "--api-url", someone.url, "--browser")
    assert visitor.thread is not None
    visitor.thread.join()
    assert (ran.code, "The person refused" in ran.err) == (3, True)
    assert not logins.place().exists()
