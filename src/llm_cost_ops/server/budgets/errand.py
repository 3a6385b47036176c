"""What a request hands to the desk, and what it gets back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from llm_cost_ops.core.grants import EVERYWHERE, Reach
from llm_cost_ops.server.budgets.ask import Ask
from llm_cost_ops.server.http.idempotency import IdempotentCall
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.ingest.submission import Answer
from llm_cost_ops.server.pricing.resolve import OrganizationPrices
from llm_cost_ops.server.spend.reserve import Decision

RESERVE, SETTLE, RELEASE, EXPIRE = "reserve", "settle", "release", "expire"


@dataclass(frozen=True, slots=True)
class Denied:
    """An ask that some budget refuses; `hidden` are ids of budgets that who asks must not see."""

    decision: Decision
    ask: Ask
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Late:
    """A reservation that expired before it was settled or released: what was booked for it must be
    corrected, which is done alone."""


Outcome = Answer | Problem | Denied | Late


@dataclass(slots=True)
class Errand:
    """One thing to do at the desk. `reach` are the calls that who asks may spend on, `body` is what
    a reservation is settled with, `digest` tells it from others. `waiter` belongs to the event loop
    of the request; `tries` counts those in a lane."""

    kind: str
    organization_id: str
    actor_id: str | None = None
    reach: Reach = EVERYWHERE
    ask: Ask | None = None
    reservation_id: str = ""
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    digest: str = ""
    prices: OrganizationPrices | None = None
    call: IdempotentCall | None = None
    future: Future[Outcome] = field(default_factory=Future[Outcome])
    waiter: asyncio.Future[None] | None = None
    tries: int = 0

    @property
    def resolution(self) -> str:
        """What a reservation remembers of how it ended."""
        return f"{self.kind}:{self.digest[:32]}"
