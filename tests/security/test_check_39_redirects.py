"""Check 39: codes go to an address that the client registered, letter by letter, or nowhere."""

from __future__ import annotations

import pytest

from tests.support.application import Application
from tests.support.oauth import CALLBACK, CLIENTS, Flow

pytestmark = pytest.mark.check(39)


@pytest.mark.parametrize(
    "uri",
    [
        CALLBACK + "/", CALLBACK + "/more", CALLBACK + "?a=b", CALLBACK + "#x", CALLBACK + "%2F",
        "https://app.example.com/Callback", "https://APP.example.com/callback",
        "http://app.example.com/callback", "https://app.example.com:443/callback",
        "https://app.example.com:8443/callback", "//evil.example/callback",
        "//app.example.com/callback",
        "https://user@app.example.com/callback", "https://app.example.com@evil.example/callback",
        "https://app.example.com.evil.example/callback", "https://evil.example/callback",
        "https://app.example.com/x/../callback", "https://app.example.com\\@evil.example/callback",
        " " + CALLBACK, CALLBACK + " ", CALLBACK + "\r\nX: y", "javascript:alert(1)", "data:,x",
        "", None,
    ],
)  # fmt: skip
def test_another_address(sqlite_application: Application, uri: str | None) -> None:
    flow = Flow(sqlite_application)
    answer = flow.consent(redirect_uri=uri)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "INVALID_REQUEST"
    params = flow.asking(redirect_uri=uri)
    page = sqlite_application.get("/oauth/authorize", key=flow.access_token, params=params)
    assert page.status_code == 400
    assert "location" not in page.headers
    assert page.headers["content-type"].startswith("text/html")
    assert "evil" not in page.text


def test_an_unknown_client_is_sent_nowhere(sqlite_application: Application) -> None:
    flow = Flow(sqlite_application)
    for client_id in ("cli_x", "", "' OR 1=1"):
        page = sqlite_application.get(
            "/oauth/authorize", key=flow.access_token, params=flow.asking(client_id=client_id)
        )
        assert page.status_code == 400
        assert "location" not in page.headers


@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example.com/cb", "https://app.example.com/cb#x", "https://u:p@app.example.com/",
        "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "/callback", "app.example",
        "https://*.example.com/cb", "https:///cb", "https://app.example.com/\\evil",
        "https://app.example.com/a b", "https://app.example.com/\n", "ftp://127.0.0.1/cb",
        "https://app.example.com:99999/", "https://app.example.com/" + "a" * 2_000, "",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_registered(sqlite_application: Application, uri: str) -> None:
    body = {"name": "x", "redirect_uris": [uri], "scopes": ["read:costs"]}
    answer = sqlite_application.post(CLIENTS, json=body)
    assert answer.status_code == 422
    assert next(iter(answer.json()["error"]["field_errors"])).startswith("redirect_uris")
    assert sqlite_application.get(CLIENTS).json()["data"] == []


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example.com", "https://app.example.com:8443/cb?a=b", "http://127.0.0.1:8765/cb",
        "http://localhost:1/cb", "http://[::1]:1/cb", "com.example.app:/cb",
    ],
)  # fmt: skip
def test_an_address_that_can(sqlite_application: Application, uri: str) -> None:
    flow = Flow(sqlite_application, redirect_uris=[uri])
    answer = flow.consent(redirect_uri=uri)
    assert answer.status_code == 200
    joint = "&" if "?" in uri else "?"
    assert answer.json()["redirect_to"].startswith(f"{uri}{joint}code=")


@pytest.mark.parametrize(
    ("uri", "good"),
    [
        ("http://127.0.0.1:5000/callback", True), ("http://[::1]:65535/callback", True),
        ("http://localhost:5000/callback", False), ("http://127.0.0.1/callback", False),
        ("https://127.0.0.1:5000/callback", False), ("http://127.0.0.1:5000/", False),
        ("http://127.0.0.1:5000/callback?a=b", False), ("http://127.0.0.1:0/callback", False),
        ("http://127.0.0.1:5000/callback\n", False), ("http://127.0.0.2:5000/callback", False),
        ("http://127.0.0.1:5000@evil.example/callback", False), ("", False),
        ("http://127.0.0.1:5000.evil.example/callback", False),
        ("http://127.0.0.1:\u0665/callback", False),
    ],
)  # fmt: skip
def test_the_command_line_listens_on_this_machine_alone(
    sqlite_application: Application, uri: str, good: bool
) -> None:
    flow = Flow(sqlite_application)
    answer = flow.consent(redirect_uri=uri, client_id="cost-ops-cli", scope=None)
    assert (answer.status_code == 200) is good, answer.text
    if not good:
        assert answer.json()["error"]["code"] == "INVALID_REQUEST"
