"""What signing in by identity providers works with: calls, kept documents, the seal of secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar, cast

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.delivery.send import Outbound
from llm_cost_ops.server.http.problems import unavailable
from llm_cost_ops.server.settings import Settings
from llm_cost_ops.server.signin.sso.define import PURPOSE
from llm_cost_ops.server.signin.sso.discovery import Directory
from llm_cost_ops.server.signin.sso.installed import installed
from llm_cost_ops.server.signin.sso.providers import Provider

T = TypeVar("T")
CALLS_AT_ONCE = 16
MAX_WAITING = 100


class SsoDesk:
    """Of one server process; used from one event loop, its work runs in threads."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings.sso
        self.clock = clock
        self.vault = Vault.of(settings, PURPOSE)
        # Public addresses are called by https alone: what they say decides who somebody is.
        guarded = replace(settings.delivery, require_https=True)
        self.outbound = Outbound(guarded, clock)
        self.directory = Directory(
            self.outbound,
            timeout_s=self.settings.timeout_seconds,
            keep_s=self.settings.cache_seconds,
            monotonic=clock.monotonic,
        )
        self.installed: Mapping[str, Provider] = installed(settings.sso)
        self._limiter: CapacityLimiter | None = None

    def secret_of(self, provider: Provider) -> str | None:
        """The client secret as it is. Raises SecretUnreadable."""
        if provider.secret is None or provider.organization_id is None:
            return provider.secret
        return self.vault.open(provider.secret, provider.id)

    async def run(self, work: Callable[[], T]) -> T:
        """`work` that may wait for a provider, in a thread of its own kind: a slow provider keeps
        nobody from signing in otherwise. Raises Problem 503 when too many wait."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(CALLS_AT_ONCE)
        if self._limiter.statistics().tasks_waiting >= MAX_WAITING:
            raise unavailable("Too many people are signing in at this moment.")
        return await to_thread.run_sync(work, limiter=self._limiter)


def sso(request: Request) -> SsoDesk:
    """That of the app that serves this request."""
    return cast("SsoDesk", request.app.state.sso)
