"""What signing in works with: the database, the clock, settings, tokens, and the slow hash."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar, cast

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request

from llm_cost_ops.server.access.tokens.desk import Tokens
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.http.problems import unavailable
from llm_cost_ops.server.settings import Settings
from llm_cost_ops.server.signin import second_factor
from llm_cost_ops.server.signin.passwords import Passwords

T = TypeVar("T")
MAX_WAITING = 200
_MINUTE_US = 60 * 1_000_000


class SignInDesk:
    """Of one server process; used from one event loop, its work runs in threads."""

    def __init__(
        self, settings: Settings, database: Database, clock: Clock, tokens: Tokens
    ) -> None:
        self.settings = settings
        self.database = database
        self.clock = clock
        self.tokens = tokens
        self.passwords = Passwords(settings.sign_in)
        self.vault = Vault.of(settings, second_factor.PURPOSE)
        self._limiter: CapacityLimiter | None = None

    @property
    def idle_us(self) -> int:
        """How long a session may rest, in microseconds."""
        return self.settings.sign_in.session_idle_minutes * _MINUTE_US

    @property
    def lives_us(self) -> int:
        """How long a session lives, in microseconds."""
        return self.settings.sign_in.session_hours * 60 * _MINUTE_US

    async def run(self, work: Callable[[], T]) -> T:
        """`work` that may check a password, in a thread: at most as many at once as there are
        cores, each of them takes one and tens of MiB. Raises Problem 503 when too many wait."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(os.cpu_count() or 1)
        if self._limiter.statistics().tasks_waiting >= MAX_WAITING:
            raise unavailable("Too many people are signing in at this moment.")
        return await to_thread.run_sync(work, limiter=self._limiter)


def desk(request: Request) -> SignInDesk:
    """That of the app that serves this request."""
    return cast("SignInDesk", request.app.state.sign_in)
