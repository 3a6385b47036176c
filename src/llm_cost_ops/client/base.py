"""What the two clients have in common: how they are made, and their work without a server."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict, Unpack, overload

from llm_cost_ops.client import clock
from llm_cost_ops.client.amount import Amount, Number, for_tokens
from llm_cost_ops.client.caller import Caller
from llm_cost_ops.client.credentials import Anonymous, ApiKey, Auth, BearerToken
from llm_cost_ops.client.fields import EstimateFields
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import RetryPolicy
from llm_cost_ops.client.renewing import UserToken
from llm_cost_ops.client.rows import Estimate
from llm_cost_ops.client.settings import Settings, read_file, resolve
from llm_cost_ops.exceptions import ConfigurationError

LOG = logging.getLogger("llm_cost_ops.client")


class ClientOptions(TypedDict, total=False):
    """Keyword arguments of both clients; times in seconds. None is the same as leaving it out.

    `auth` is an object of `llm_cost_ops.auth`; at most one of `api_key`, `jwt_token` and `auth` may
    be given. With `refresh_token`, which goes with `jwt_token` or alone, the token renews itself;
    `auth=UserToken(..)` tells of the new pairs besides. `config_file` is a YAML or JSON file with
    the root key `llm_cost_ops`. `debug` logs each request and the status of its answer to the
    logger `llm_cost_ops.client`, without headers and bodies. `random` (0 <= x < 1) draws the waits
    between attempts.
    """

    max_retries: int | None
    retry_backoff: float | None
    retry_delay: float | None
    timeout: float | None
    jwt_token: str | None
    refresh_token: str | None
    auth: Auth | None
    debug: bool
    log_level: int | str | None
    verify_ssl: bool | None
    organization_id: str | None
    environment: str | None
    connection_pool_size: int | None
    enable_compression: bool | None
    enable_caching: bool | None
    cache_ttl: float | None
    config_file: str | os.PathLike[str] | None
    random: Callable[[], float] | None


class BaseClient:
    """Settings, credentials and the offline functions of a client."""

    def __init__(self, api_key: str | None, base_url: str | None, options: ClientOptions) -> None:
        unknown = options.keys() - ClientOptions.__annotations__.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no argument {min(unknown)!r}")
        given = dict(options)
        given_auth = _Given(
            api_key,
            options.get("jwt_token"),
            options.get("refresh_token"),
            options.get("auth"),
        )
        file = options.get("config_file")
        random, debug = options.get("random"), options.get("debug", False)
        for name in ("auth", "jwt_token", "refresh_token", "config_file", "random", "debug"):
            given.pop(name, None)
        given.update(api_key=api_key, base_url=base_url)
        self.settings: Settings = resolve(given, file=read_file(file) if file else None)
        """The settings in force, from arguments, environment, file and defaults."""
        _set_log_level(logging.DEBUG if debug else self.settings.log_level)
        self._caller = Caller(
            self.settings,
            _credentials(given_auth, self.settings),
            _retry_policy(self.settings, random),
            clock=clock.monotonic,
        )

    @property
    def base_url(self) -> str:
        return self.settings.base_url

    def calculate_cost(self, tokens: Number, rate_per_1k: Number) -> Amount:
        """tokens / 1000 * rate_per_1k, rounded half-even to ten places. No request is made."""
        return for_tokens(tokens, rate_per_1k)

    @overload
    def estimate(self, items: Sequence[Mapping[str, Any]], /) -> Page[Estimate]: ...
    @overload
    def estimate(
        self, items: Mapping[str, Any] | None = None, /, **item: Unpack[EstimateFields]
    ) -> Estimate: ...
    def estimate(
        self,
        items: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        /,
        **item: Any,
    ) -> Estimate | Page[Estimate]:
        """What calls would cost by the packaged price book, without a server.

        One item (a mapping, or keyword arguments) gives one estimate, a list gives a page. A call
        that the book has no price for has `cost_status="unpriced"` and `total_cost` None. Raises
        ValidationError naming the field at fault.
        """
        from llm_cost_ops.client.estimate import estimate_offline

        page = estimate_offline(items, item, now=self._caller.now())
        return page[0] if items is None or isinstance(items, Mapping) else page

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.settings.base_url!r})"


class _Given(NamedTuple):
    """The credentials among the arguments."""

    api_key: str | None
    jwt_token: str | None
    refresh_token: str | None
    auth: Auth | None


def _credentials(given: _Given, settings: Settings) -> Auth:
    user = given.jwt_token or given.refresh_token
    if sum(each is not None for each in (given.api_key, user, given.auth)) > 1:
        raise ConfigurationError("give one of api_key, jwt_token and auth")
    if given.auth is not None:
        return given.auth
    if given.refresh_token is not None:
        url = f"{settings.api_root}/auth/refresh"
        return UserToken(given.jwt_token, given.refresh_token, url)
    if given.jwt_token is not None:
        return BearerToken(given.jwt_token)
    return ApiKey(settings.api_key) if settings.api_key else Anonymous()


def _retry_policy(settings: Settings, random: Callable[[], float] | None) -> RetryPolicy:
    policy = RetryPolicy(
        max_retries=settings.max_retries,
        delay=settings.retry_delay,
        backoff=settings.retry_backoff,
    )
    if random is None:
        return policy
    from dataclasses import replace

    return replace(policy, random=random)


def _set_log_level(level: int | str | None) -> None:
    if level is not None:
        LOG.setLevel(level)
