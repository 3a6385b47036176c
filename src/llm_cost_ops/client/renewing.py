"""Access tokens that renew themselves, as flows that both clients drive.

However many calls wait, one request renews. A refresh token works once, so its successor is kept
before anything else is done, and an answer that was lost is asked for again with the same refresh
token: the server gives the same successor for some seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from llm_cost_ops.client import clock
from llm_cost_ops.client.policy import Flow, Guarded, RetryPolicy, Send, exchange
from llm_cost_ops.client.response import Response
from llm_cost_ops.client.version import version
from llm_cost_ops.client.wire import encode
from llm_cost_ops.exceptions import APIError, AuthenticationError, ConfigurationError, ServerError

RENEW_SECONDS_EARLY = 60.0


class Tokens(NamedTuple):
    """What a token endpoint gave. `expires_in` in seconds from then on, None when it did not say;
    `refresh_token` is the one to renew with, None when there is none."""

    access_token: str
    refresh_token: str | None = None
    expires_in: float | None = None

    def __repr__(self) -> str:
        return f"Tokens(expires_in={self.expires_in!r})"


Renewed = Callable[[Tokens], object]


class _Token(NamedTuple):
    text: str
    renew_at: float


class RenewingToken:
    """What all such credentials share: the token in force, and when it is renewed.

    It is renewed a minute before it expires (or after half its life, if that is less), and once
    when the API refuses it. `renewed` is told of each new pair before it is used, to store it.
    """

    def __init__(
        self,
        token_url: str,
        *,
        access_token: str | None = None,
        refresh_token: str | None = None,
        expires_in: float | None = None,
        renewed: Renewed | None = None,
        clock: Callable[[], float] = clock.monotonic,
    ) -> None:
        if not token_url.startswith(("https://", "http://")):
            raise ConfigurationError(f"token_url must begin with https://, not {token_url!r}")
        self._token_url = token_url
        self._refresh_token = refresh_token
        self._renewed = renewed
        self._clock = clock
        self._token: _Token | None = None
        self._refused: str | None = None
        if access_token is not None:
            self._token = self._kept(Tokens(access_token, refresh_token, expires_in), clock())

    def headers(self, policy: RetryPolicy) -> Flow[Mapping[str, str]]:
        if self._current() is None:
            if not self._renewable():
                message = "there is no token, and nothing to get one with: sign in again"
                raise AuthenticationError(message, status_code=401)
            yield Guarded(self._fetch(policy))
        token = self._token
        if token is None:
            raise AuthenticationError(f"{self._token_url} gave no token", status_code=401)
        if not token.text.isascii() or not token.text.isprintable() or " " in token.text:
            raise ConfigurationError("the token holds characters that no token has")
        return {"Authorization": f"Bearer {token.text}"}

    def rejected(self, sent: Mapping[str, str]) -> bool:
        """A token that another call renewed meanwhile is not the one that was refused."""
        if not self._renewable():
            return False
        self._refused = sent.get("Authorization", "").removeprefix("Bearer ")
        return True

    def _renewable(self) -> bool:
        return self._refresh_token is not None

    def _request(self) -> Send:
        raise NotImplementedError

    def _asked(self) -> None:
        """Told when a request was made, whatever came of it."""

    def _retries(self, policy: RetryPolicy) -> RetryPolicy:
        return policy

    def _said(self, error: APIError) -> str:
        return f"{self._token_url} refused the refresh token, sign in again: {error.message}"

    def _current(self) -> _Token | None:
        token = self._token
        if token is None or token.text == self._refused:
            return None
        # What cannot be renewed is used until the API refuses it.
        return token if self._clock() < token.renew_at or not self._renewable() else None

    def _fetch(self, policy: RetryPolicy) -> Flow[None]:
        if self._current() is not None:
            return  # another call fetched it while this one waited for its turn
        asked_at = self._clock()
        try:
            response = yield from exchange(self._request(), self._retries(policy))
        except ServerError:
            raise
        except APIError as error:
            if error.status_code == 429:
                raise
            raise AuthenticationError(
                self._said(error),
                status_code=error.status_code,
                code=error.code,
                response=error.response,
            ) from error
        finally:
            self._asked()
        tokens = self._read(response)
        # The successor first: the token before it is spent.
        self._refresh_token = tokens.refresh_token
        self._token = self._kept(tokens, asked_at)
        if self._renewed is not None:
            self._renewed(tokens)

    def _kept(self, tokens: Tokens, asked_at: float) -> _Token:
        life = float("inf") if tokens.expires_in is None else max(tokens.expires_in, 0.0)
        return _Token(tokens.access_token, asked_at + life - min(RENEW_SECONDS_EARLY, life / 2))

    def _read(self, response: Response) -> Tokens:
        try:
            body: Any = response.json()
        except ValueError:
            body = None
        fields = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
        text, refresh = fields.get("access_token"), fields.get("refresh_token")
        if not isinstance(text, str) or not text:
            raise AuthenticationError(
                f"{self._token_url} answered without an access_token",
                status_code=response.status_code,
                response=response,
            )
        try:
            life = float(fields["expires_in"])
        except (KeyError, TypeError, ValueError):
            life = None
        kept = refresh if isinstance(refresh, str) and refresh else self._refresh_token
        return Tokens(text, kept, life)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(token_url={self._token_url!r})"


class UserToken(RenewingToken):
    """The tokens of somebody who signed in (`POST /api/v1/auth/login`), renewed at `token_url`
    (`https://.../api/v1/auth/refresh`)."""

    def __init__(
        self,
        access_token: str | None,
        refresh_token: str,
        token_url: str,
        *,
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

    def _request(self) -> Send:
        headers = token_headers("application/json")
        return Send(
            "POST", self._token_url, headers, encode({"refresh_token": self._refresh_token})
        )


def token_headers(kind: str) -> dict[str, str]:
    """Of requests for tokens. The server knows a repetition by who asks: always the same."""
    return {
        "Accept": "application/json",
        "Content-Type": kind,
        "User-Agent": f"llm-cost-ops-python/{version()}",
    }
