"""The steps of an OAuth client, by hand."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests.support.application import Application
from tests.support.tokens import Person, add_person, sign_in

CLIENTS = "/api/v1/oauth/clients"
CALLBACK = "https://app.example.com/callback"
WHO = "/api/v1/auth/validate"


def challenge_of(verifier: str) -> str:
    made = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


class Flow:
    """One client of the application's organization, and a person who consents to it."""

    def __init__(self, application: Application, **fields: Any) -> None:
        self.application = application
        body = {"name": "App", "redirect_uris": [CALLBACK], "scopes": ["read:costs"], **fields}
        made = application.post(CLIENTS, json=body)
        assert made.status_code == 201, made.text
        self.client: dict[str, Any] = made.json()
        self.person: Person = add_person(application, "analyst")
        self.access_token = sign_in(application, self.person).access_token
        self.verifier = secrets.token_urlsafe(48)

    def asking(self, **changed: Any) -> dict[str, str]:
        fields = {
            "response_type": "code",
            "client_id": self.client["client_id"],
            "redirect_uri": CALLBACK,
            "scope": "read:costs",
            "state": "s t&a=te",
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            **changed,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def consent(self, **changed: Any) -> httpx.Response:
        return self.application.post(
            "/oauth/authorize", key=self.access_token, json=self.asking(**changed)
        )

    def sent_back(self, **changed: Any) -> dict[str, str]:
        """What the client finds at its address."""
        answer = self.consent(**changed)
        assert answer.status_code == 200, answer.text
        address = answer.json()["redirect_to"]
        assert address.startswith(CALLBACK + "?")
        return dict(parse_qsl(urlsplit(address).query))

    def code(self, **changed: Any) -> str:
        return self.sent_back(**changed)["code"]

    def token(self, *, basic: bool = True, path: str = "token", **form: Any) -> httpx.Response:
        """A form to the token endpoint (or another one) as this client."""
        client_id, secret = self.client["client_id"], self.client.get("client_secret")
        headers = {}
        if basic and secret is not None:
            pair = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        else:
            form = {"client_id": client_id, "client_secret": secret, **form}
        data = {name: value for name, value in form.items() if value is not None}
        return self.application.post(f"/oauth/{path}", key=None, headers=headers, data=data)

    def redeem(self, code: str, **changed: Any) -> httpx.Response:
        form = {"redirect_uri": CALLBACK, "code_verifier": self.verifier, **changed}
        return self.token(grant_type="authorization_code", code=code, **form)

    def status(self, token: str) -> int:
        return self.application.get(WHO, key=token).status_code


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]
