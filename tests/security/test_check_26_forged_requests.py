"""Check 26: a cookie alone changes nothing; the request must come from a page of ours."""

from __future__ import annotations

import json

import pytest

from llm_cost_ops.server.app import openapi_document
from tests.support.people import Browser, Doors, make_person

pytestmark = pytest.mark.check(26)


@pytest.fixture
def browser(sqlite_doors: Doors) -> Browser:
    made = sqlite_doors.browser()
    assert made.login(make_person(sqlite_doors, "admin")).status_code == 200
    return made


FOREIGN = (
    "https://evil.example",
    "null",
    "http://costs.example.com",
    "https://costs.example.com:8443",
    "https://costs.example.com.evil.example",
    "https://evil-costs.example.com",
)


def test_a_foreign_origin(browser: Browser) -> None:
    for origin in FOREIGN:
        for path, body in (("/api-keys", {"name": "x"}), ("/logout", {})):
            answer = browser.post(path, body, headers={"Origin": origin})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "CSRF_FAILED")
    assert browser.me().status_code == 200
    assert browser.get("/api/v1/auth/api-keys").json()["data"][1:] == []


def test_no_token_or_a_wrong_one(browser: Browser) -> None:
    browser.csrf = None
    for token in ("", "x", "0" * 43, "é"):
        headers = {"X-CSRF-Token": token.encode()} if token else {}
        answer = browser.post("/api-keys", {"name": "x"}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "CSRF_FAILED")


def test_the_token_of_another_session(browser: Browser, sqlite_doors: Doors) -> None:
    other = sqlite_doors.browser()
    other.login(make_person(sqlite_doors, "admin"))
    answer = browser.post("/logout", headers={"X-CSRF-Token": other.csrf})
    assert answer.status_code == 403


def test_our_own_page(browser: Browser) -> None:
    assert browser.post("/api-keys", {"name": "x"}).status_code == 201
    browser.origin = None  # older browsers leave it out for their own
    assert browser.post("/api-keys", {"name": "y"}).status_code == 201
    for site in ("cross-site", "same-site"):
        answer = browser.post("/api-keys", {"name": "z"}, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403


def test_signing_somebody_in_from_elsewhere(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    answer = sqlite_doors.browser(origin="https://evil.example").login(person)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "CSRF_FAILED")


def test_json_that_says_it_is_text(browser: Browser) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = browser.request(
            "POST",
            "/api/v1/auth/api-keys",
            content=json.dumps({"name": "x"}).encode(),
            headers={"Content-Type": kind},
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        )


def test_what_is_read_changes_nothing(browser: Browser, sqlite_doors: Doors) -> None:
    """No path under /auth that changes something answers GET."""
    document = openapi_document(sqlite_doors.app)
    changing = [
        path
        for path, operations in document["paths"].items()
        if path.startswith("/api/v1/auth/") and "get" not in operations and "{" not in path
    ]
    assert "/api/v1/auth/logout" in changing
    for path in changing:
        assert browser.get(path).status_code == 405, path
    assert browser.me().status_code == 200
