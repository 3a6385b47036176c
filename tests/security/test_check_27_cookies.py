"""Check 27: cookies are `__Host-`, Secure, HttpOnly and SameSite."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from llm_cost_ops.server.settings import AppSettings, SecuritySettings, Settings
from tests.support.people import CHEAP, Doors, doors_of, make_person

pytestmark = pytest.mark.check(27)


def attributes(answer: httpx.Response) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for header in answer.headers.get_list("set-cookie"):
        pair, *rest = header.split("; ")
        found[pair.partition("=")[0]] = {each.lower() for each in rest}
    return found


def test_cookies_over_https(sqlite_doors: Doors) -> None:
    browser = sqlite_doors.browser()
    answer = browser.login(make_person(sqlite_doors, "viewer"))
    cookies = attributes(answer)
    assert cookies == {
        "__Host-cost_ops_session": {"httponly", "path=/", "samesite=lax", "secure"},
        "__Host-cost_ops_device": {
            "httponly",
            "path=/",
            "samesite=lax",
            "secure",
            "max-age=15552000",
        },
    }
    secret = browser.cookie()
    assert secret is not None
    assert len(secret) >= 43
    assert secret not in answer.text
    gone = browser.post("/logout")
    assert "max-age=0" in attributes(gone)["__Host-cost_ops_session"]
    assert browser.cookie() is None


def test_plain_http_on_this_machine_alone_has_cookies_without_the_prefix(
    sqlite_doors: Doors,
) -> None:
    person = make_person(sqlite_doors, "viewer")
    for base, name in (
        ("http://localhost:8080", "cost_ops_session"),
        ("http://127.0.0.1", "cost_ops_session"),
        ("http://costs.example.com", "__Host-cost_ops_session"),
    ):
        browser = sqlite_doors.browser(base)
        cookies = attributes(browser.login(person))
        assert name in cookies
        assert ("secure" in cookies[name]) == name.startswith("__Host-")
        assert {"httponly", "samesite=lax", "path=/"} <= cookies[name]
        # A browser sends no Secure cookie over plain HTTP: it stays signed out.
        assert browser.me().status_code == (401 if name.startswith("__Host-") else 200)


def test_production_has_no_other_cookies(sqlite_doors: Doors) -> None:
    settings = Settings(
        app=AppSettings(environment="production"),
        database=replace(sqlite_doors.app.state.settings.database, allow_unsafe_durability=True),
        security=SecuritySettings(secret_key="k" * 32),
        sign_in=CHEAP,
    )
    with doors_of(settings) as doors:
        browser = doors.browser("http://localhost:8080")
        cookies = attributes(browser.login(make_person(doors, "viewer")))
        assert all(name.startswith("__Host-") for name in cookies)
        assert all("secure" in each for each in cookies.values())


def test_a_cookie_without_the_prefix_is_not_read_over_https(sqlite_doors: Doors) -> None:
    """A neighbouring host can set cookies for the whole domain, but none with the prefix."""
    person = make_person(sqlite_doors, "viewer")
    local = sqlite_doors.browser("http://localhost")
    local.login(person)
    secret = local.client.cookies.get("cost_ops_session")
    assert secret is not None
    browser = sqlite_doors.browser()
    browser.keep({"cost_ops_session": secret})
    assert browser.me().status_code == 401
    browser.keep({"__Host-cost_ops_session": secret})
    assert browser.me().status_code == 200


def test_a_cookie_that_is_none_of_ours(sqlite_doors: Doors) -> None:
    browser = sqlite_doors.browser()
    for value in ("x", "a" * 129, "a" * 128, "", "ses_1", "' OR 1=1 --"):
        headers = {"Cookie": f'__Host-cost_ops_session="{value}"'}
        assert browser.get("/api/v1/auth/me", headers=headers).status_code == 401, value
