"""Static credentials, and what the client asks of any credentials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from llm_cost_ops.client.policy import Flow, RetryPolicy
from llm_cost_ops.exceptions import ConfigurationError


class Auth(Protocol):
    """Credentials as a flow: they may have to send a request of their own before they are ready."""

    def headers(self, policy: RetryPolicy) -> Flow[Mapping[str, str]]:
        """The headers that authorize one request."""
        ...

    def rejected(self, sent: Mapping[str, str]) -> bool:
        """Told of a 401 to a request with these headers; True when asking for headers again may
        give other credentials."""
        ...


class BearerToken:
    """A token, or a function that gives the current one, sent as `Authorization: Bearer`."""

    def __init__(self, token: str | Callable[[], str]) -> None:
        self._token = token

    def headers(self, policy: RetryPolicy) -> Flow[Mapping[str, str]]:  # noqa: ARG002
        yield from ()
        token = self._token if isinstance(self._token, str) else self._token()
        if not token.isascii() or not token.isprintable() or " " in token:
            # The HTTP libraries would refuse it too, with the token in their message.
            raise ConfigurationError("the API key or token holds characters that no key has")
        return {"Authorization": f"Bearer {token}"}

    def rejected(self, sent: Mapping[str, str]) -> bool:  # noqa: ARG002
        return False

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


class ApiKey(BearerToken):
    """An API key (`sk_live_...`)."""

    def __init__(self, key: str) -> None:
        super().__init__(key)


class Anonymous:
    """No credentials: the server decides what it answers."""

    def headers(self, policy: RetryPolicy) -> Flow[Mapping[str, str]]:  # noqa: ARG002
        yield from ()
        return {}

    def rejected(self, sent: Mapping[str, str]) -> bool:  # noqa: ARG002
        return False
