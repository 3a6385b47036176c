"""Credentials for the clients: `CostOpsClient(auth=OAuth2(client_id, client_secret, token_url))`.

Each is a flow that both clients drive, so fetching and renewing a token is written once.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, cast
from urllib.parse import quote_plus, urlencode

from llm_cost_ops.client import clock
from llm_cost_ops.client.credentials import ApiKey, Auth, BearerToken
from llm_cost_ops.client.policy import Flow, Guarded, RetryPolicy, Send, exchange
from llm_cost_ops.client.response import Response
from llm_cost_ops.exceptions import APIError, AuthenticationError, ConfigurationError, ServerError

__all__ = ["ApiKey", "Auth", "BearerToken", "OAuth2"]

RENEW_SECONDS_EARLY = 60.0


class _Token(NamedTuple):
    text: str
    renew_at: float


class OAuth2:
    """OAuth 2.0 client credentials (RFC 6749 section 4.4).

    The token is fetched at the first call, kept in memory and renewed a minute before it expires
    (or after half its life, if that is less), by one request however many calls wait for it. A
    token that the API refuses is renewed once. The secret goes in the Authorization header, or in
    the body with `auth_method="post"`.
    """

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        token_url: str,
        *,
        scope: str | None = None,
        auth_method: Literal["basic", "post"] = "basic",
        clock: Callable[[], float] = clock.monotonic,
    ) -> None:
        if not token_url.startswith(("https://", "http://")):
            raise ConfigurationError(f"token_url must begin with https://, not {token_url!r}")
        self._client_id = client_id
        self._client_secret = client_secret
        self._token_url = token_url
        self._scope = scope
        self._auth_method = auth_method
        self._clock = clock
        self._token: _Token | None = None

    def headers(self, policy: RetryPolicy) -> Flow[Mapping[str, str]]:
        if self._current() is None:
            yield Guarded(self._fetch(policy))
        token = self._token
        if token is None:
            raise AuthenticationError(f"{self._token_url} gave no token", status_code=401)
        return {"Authorization": f"Bearer {token.text}"}

    def rejected(self) -> bool:
        self._token = None
        return True

    def _current(self) -> _Token | None:
        token = self._token
        return token if token is not None and self._clock() < token.renew_at else None

    def _fetch(self, policy: RetryPolicy) -> Flow[None]:
        if self._current() is not None:
            return  # another call fetched it while this one waited for its turn
        asked_at = self._clock()
        try:
            response = yield from exchange(self._request(), policy)
        except ServerError:
            raise
        except APIError as error:
            raise AuthenticationError(
                f"{self._token_url} refused the client credentials: {error.message}",
                status_code=error.status_code,
                code=error.code,
                response=error.response,
            ) from error
        self._token = self._read(response, asked_at)

    def _request(self) -> Send:
        form = {"grant_type": "client_credentials"}
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        if self._scope:
            form["scope"] = self._scope
        if self._auth_method == "post":
            form |= {"client_id": self._client_id, "client_secret": self._client_secret}
        else:
            pair = f"{quote_plus(self._client_id)}:{quote_plus(self._client_secret)}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        return Send("POST", self._token_url, headers, urlencode(form).encode())

    def _read(self, response: Response, asked_at: float) -> _Token:
        try:
            body: Any = response.json()
        except ValueError:
            body = None
        fields = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
        text = fields.get("access_token")
        if not isinstance(text, str) or not text:
            raise AuthenticationError(
                f"{self._token_url} answered without an access_token",
                status_code=response.status_code,
                response=response,
            )
        try:
            life = float(fields.get("expires_in", "inf"))
        except (TypeError, ValueError):
            life = float("inf")
        return _Token(text, asked_at + life - min(RENEW_SECONDS_EARLY, life / 2))

    def __repr__(self) -> str:
        return f"OAuth2(client_id={self._client_id!r}, token_url={self._token_url!r})"
