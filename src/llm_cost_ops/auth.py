"""Credentials for the clients: `CostOpsClient(auth=OAuth2(client_id, client_secret, token_url))`.

Each is a flow that both clients drive, so fetching and renewing a token is written once.
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, NamedTuple, Self
from urllib.parse import quote_plus, urlencode

from llm_cost_ops.client import clock
from llm_cost_ops.client.credentials import ApiKey, Auth, BearerToken
from llm_cost_ops.client.policy import RetryPolicy, Send
from llm_cost_ops.client.renewing import Renewed, RenewingToken, Tokens, UserToken, token_headers
from llm_cost_ops.exceptions import APIError

__all__ = [
    "ApiKey",
    "Auth",
    "BearerToken",
    "CodeRequest",
    "OAuth2",
    "Tokens",
    "UserToken",
    "request_code",
]


class CodeRequest(NamedTuple):
    """An authorization request: send the browser to `url`, compare `state` with what comes back to
    `redirect_uri`, and give the code with `code_verifier` to `OAuth2.from_code`."""

    url: str
    state: str
    code_verifier: str
    redirect_uri: str


def request_code(
    authorization_url: str,
    client_id: str,
    redirect_uri: str,
    *,
    scope: str | None = None,
) -> CodeRequest:
    """Ask for an authorization code with PKCE (RFC 7636, S256) and a state of its own."""
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    fields = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "state": state,
        "code_challenge": urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        **({} if scope is None else {"scope": scope}),
    }
    joint = "&" if "?" in authorization_url else "?"
    return CodeRequest(
        f"{authorization_url}{joint}{urlencode(fields)}", state, verifier, redirect_uri
    )


class OAuth2(RenewingToken):
    """OAuth 2.0 (RFC 6749): client credentials, or a refresh token, or a code by `from_code`.

    The token is fetched at the first call, kept in memory and renewed a minute before it expires
    (or after half its life, if that is less), by one request however many calls wait for it. A
    token that the API refuses is renewed once. The secret goes in the Authorization header, or in
    the body with `auth_method="post"`; a public client has None. `renewed` is told of each new
    pair, to store its refresh token, which works once.
    """

    def __init__(
        self,
        client_id: str,
        client_secret: str | None,
        token_url: str,
        *,
        scope: str | None = None,
        auth_method: Literal["basic", "post"] = "basic",
        access_token: str | None = None,
        refresh_token: str | None = None,
        expires_in: float | None = None,
        renewed: Renewed | None = None,
        clock: Callable[[], float] = clock.monotonic,
    ) -> None:
        super().__init__(
            token_url,
            access_token=access_token,
            refresh_token=refresh_token,
            expires_in=expires_in,
            renewed=renewed,
            clock=clock,
        )
        self._client_id = client_id
        self._client_secret = client_secret
        self._scope = scope
        self._auth_method = auth_method
        self._code: dict[str, str] | None = None
        self._for_itself = refresh_token is None and access_token is None

    @classmethod
    def from_code(
        cls,
        client_id: str,
        client_secret: str | None,
        token_url: str,
        *,
        code: str,
        redirect_uri: str,
        code_verifier: str,
        auth_method: Literal["basic", "post"] = "basic",
        renewed: Renewed | None = None,
        clock: Callable[[], float] = clock.monotonic,
    ) -> Self:
        """The tokens of somebody who consented, fetched at the first call. A code works once, so
        that request is never repeated."""
        made = cls(
            client_id,
            client_secret,
            token_url,
            auth_method=auth_method,
            renewed=renewed,
            clock=clock,
        )
        made._for_itself = False
        made._code = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": code_verifier,
        }
        return made

    def _renewable(self) -> bool:
        return self._for_itself or self._code is not None or self._refresh_token is not None

    def _retries(self, policy: RetryPolicy) -> RetryPolicy:
        return policy if self._code is None else replace(policy, max_retries=0)

    def _said(self, error: APIError) -> str:
        what = "client credentials" if self._for_itself else "grant, sign in again"
        return f"{self._token_url} refused the {what}: {error.message}"

    def _request(self) -> Send:
        form = self._grant()
        headers = token_headers("application/x-www-form-urlencoded")
        if self._client_secret is None:
            form["client_id"] = self._client_id
        elif self._auth_method == "post":
            form |= {"client_id": self._client_id, "client_secret": self._client_secret}
        else:
            pair = f"{quote_plus(self._client_id)}:{quote_plus(self._client_secret)}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        return Send("POST", self._token_url, headers, urlencode(form).encode())

    def _grant(self) -> dict[str, str]:
        if self._code is not None:
            return dict(self._code)
        form = {"grant_type": "client_credentials"}
        if not self._for_itself:
            form = {"grant_type": "refresh_token", "refresh_token": self._refresh_token or ""}
        if self._scope:
            form["scope"] = self._scope
        return form

    def _asked(self) -> None:
        self._code = None

    def __repr__(self) -> str:
        return f"OAuth2(client_id={self._client_id!r}, token_url={self._token_url!r})"
