"""From a mail to an account with a second factor, and consent to a client, in a real browser."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Page, Route
from pyotp.totp import TOTP

from llm_cost_ops.server.settings import EmailSettings, SecuritySettings
from tests.support.live import LiveServer, local, serving, sqlite_at
from tests.support.mailsink import MailSink, mail_sink
from tests.support.oauth import challenge_of
from tests.support.people import CHEAP

PASSWORD = "plenty of green umbrellas"
PATIENCE_S = 60.0
BACK = "http://127.0.0.1:9/callback"


@pytest.fixture(scope="module")
def mail() -> Iterator[MailSink]:
    with mail_sink() as made:
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, mail: MailSink) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("browser")
    settings = replace(
        local(sqlite_at(folder), public_url="https://costs.example.com"),
        email=EmailSettings(
            smtp_host="127.0.0.1",
            smtp_port=mail.port,
            smtp_use_tls=False,
            from_address="cost-ops@example.com",
        ),
        security=SecuritySettings(secret_key="k" * 32),
        sign_in=CHEAP,
    )
    with serving(settings, folder) as made:
        yield made


def link(mail: MailSink, email: str, page: str) -> str:
    """The path of the newest link to this page that was mailed to somebody."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        for taken in reversed(mail.taken):
            body = taken.mail.get_body(("plain",))
            assert body is not None
            found = re.search(rf"https://costs\.example\.com(/{page}\?\S+)", body.get_content())
            if email in taken.recipients and found:
                return found[1]
        time.sleep(0.05)
    raise AssertionError(f"no link to {page} for {email}")


def send(page: Page, **fields: str) -> None:
    """Fill the form of the page and send it."""
    for name, text in fields.items():
        page.fill(f"input[name={name}]", text)
    page.locator("button[type=submit]").first.click()
    page.wait_for_load_state()


def invited(server: LiveServer, mail: MailSink, page: Page, email: str) -> None:
    """Somebody who was invited, and has accepted."""
    answer = server.post("/api/v1/invitations", json={"email": email, "role": "analyst"})
    assert answer.status_code == 201, answer.text
    page.goto(server.base_url + link(mail, email, "invite"))
    send(page, name="Bob Kim", password=PASSWORD)
    assert "Your password is set" in page.inner_text("main")


def signed_in(server: LiveServer, page: Page, email: str, password: str = PASSWORD) -> None:
    page.goto(f"{server.base_url}/login")
    send(page, email=email, password=password)


def test_from_the_welcome_mail_to_a_second_factor(
    server: LiveServer, mail: MailSink, page: Page
) -> None:
    body = {"email": "ann@example.com", "name": "Ann Lee", "role": "analyst"}
    user = server.post("/api/v1/users", json=body).json()
    assert server.post(f"/api/v1/users/{user['id']}/welcome-email").status_code == 202
    page.goto(server.base_url + link(mail, "ann@example.com", "welcome"))
    send(page, password=PASSWORD)
    signed_in(server, page, "ann@example.com", "something else")
    assert "is wrong" in page.inner_text("main")
    send(page, password=PASSWORD)
    assert page.url == f"{server.base_url}/account"

    page.fill("#e-password", PASSWORD)
    page.click("text=Turn it on")
    secret = page.locator("code").first.inner_text().replace(" ", "")
    send(page, code=TOTP(secret).now())
    codes = page.locator("code").all_inner_texts()
    assert len(codes) == 10
    page.goto(f"{server.base_url}/logout")
    page.click("button")
    page.wait_for_load_state()
    page.goto(f"{server.base_url}/account")
    assert "/login" in page.url
    signed_in(server, page, "ann@example.com")
    assert "/login/2fa" in page.url
    send(page, code=codes[0])
    assert page.url == f"{server.base_url}/account"
    assert "9 recovery codes are left" in page.inner_text("main")


def test_a_forgotten_password(server: LiveServer, mail: MailSink, page: Page) -> None:
    invited(server, mail, page, "bob@example.com")
    page.goto(f"{server.base_url}/reset")
    send(page, email="bob@example.com")
    page.goto(server.base_url + link(mail, "bob@example.com", "reset"))
    send(page, password="seven quiet harbour lamps")
    signed_in(server, page, "bob@example.com", "seven quiet harbour lamps")
    assert page.url == f"{server.base_url}/account"


def test_consent_leads_back_to_the_client(server: LiveServer, mail: MailSink, page: Page) -> None:
    client = {
        "name": "Notebook",
        "grant_types": ["authorization_code"],
        "scopes": ["read:costs"],
        "redirect_uris": [BACK],
        "public": True,
    }
    made = server.post("/api/v1/oauth/clients", json=client)
    assert made.status_code == 201, made.text
    asked = {
        "response_type": "code",
        "client_id": made.json()["client_id"],
        "redirect_uri": BACK,
        "scope": "read:costs",
        "state": "s1",
        "code_challenge": challenge_of("v" * 43),
        "code_challenge_method": "S256",
    }
    invited(server, mail, page, "carl@example.com")
    came: list[str] = []

    def answer(route: Route) -> None:
        came.append(route.request.url)
        route.fulfill(status=200, body="back")

    page.route("http://127.0.0.1:9/**", answer)
    page.goto(f"{server.base_url}/oauth/authorize?{urlencode(asked)}")
    assert "/login" in page.url
    send(page, email="carl@example.com", password=PASSWORD)
    assert "Notebook" in page.inner_text("body")
    page.locator("button[value=approve]").click()
    page.wait_for_url("http://127.0.0.1:9/**")
    query = parse_qs(urlsplit(came[-1]).query)
    assert query["state"] == ["s1"]
    assert query["code"]
