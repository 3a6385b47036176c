"""The gate: every authenticated request is counted here, and refused above a limit.

Two buckets: `requests`, and `ingest` for what reports usage or asks budgets before a call, counted
by records, so that dashboards never hold up the books. What is refused is not counted, so a client
that keeps asking is let in when there is room.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any, Protocol

from anyio import to_thread
from starlette.types import Scope

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.errors import PASSING
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.http.ratelimit.meters import MAX_METERS, Meter, Meters
from llm_cost_ops.server.http.ratelimit.metrics import RateLimitMetrics
from llm_cost_ops.server.http.ratelimit.shared import Sharing, StoreMissing, sharing_of
from llm_cost_ops.server.http.ratelimit.standing import STATE, Standing, take
from llm_cost_ops.server.http.ratelimit.terms import (
    Limit,
    Terms,
    installed_terms,
    limits_of,
    terms_of,
)
from llm_cost_ops.server.settings import Settings

REQUESTS = "requests"
INGEST = "ingest"
ADDRESS = "address"
FAILURES = "failures"
REFRESH_SECONDS = 10.0
MAX_KNOWN = 20_000
MAX_BACKOFF_SECONDS = 900
MINUTE = 60

Load = Callable[[str], Mapping[str, object]]
"""The settings of an organization by its id; called in a thread."""


class Caller(Protocol):
    """Who asks."""

    @property
    def key_id(self) -> str: ...
    @property
    def user_id(self) -> str | None: ...
    @property
    def organization_id(self) -> str: ...


@dataclass(slots=True)
class _Known:
    """An organization's terms and when (monotonic seconds) they are read again."""

    terms: Terms
    refresh_at_s: float


class RateLimits:
    """The limits of one process. Used from one event loop."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        metrics: RateLimitMetrics,
        load: Load,
        ingest: Collection[tuple[str, str]] = (),
    ) -> None:
        """`ingest` are methods and route templates of the ingest bucket."""
        own = settings.rate_limit
        self.enabled = own.enabled
        self._clock = clock
        self._metrics = metrics
        self._load = load
        self._ingest = frozenset(ingest)
        self._installed = installed_terms(own)
        self._address_limits = limits_of(own.address_limits)
        self._failure_limits = (Limit(own.failures_per_minute, MINUTE),)
        self.meters = Meters(clock.micros, MAX_METERS)
        self._sets: dict[tuple[str, str, str | None, str], tuple[Terms, tuple[Meter, ...]]] = {}
        self._dropped = 0
        self._known: dict[str, _Known] = {}
        self._loading: dict[str, asyncio.Task[Terms]] = {}
        self._failures = Meters(clock.micros, MAX_METERS)  # apart: they may not displace others
        self._complaints: tuple[str, ...] = ()
        self.sharing: Sharing | None = None
        try:
            self.sharing = sharing_of(settings, self.meters, metrics)
        except StoreMissing as missing:
            self._complaints = (str(missing),)

    async def check(self, scope: Scope, caller: Caller) -> None:
        """Count this request. Raises Problem 429 above a limit."""
        if not self.enabled:
            return
        known = self._known.get(caller.organization_id)
        if known is None:
            terms = await self._loaded(caller.organization_id)
        else:
            terms = known.terms
            if known.refresh_at_s <= self._clock.monotonic():
                self._refresh(caller.organization_id)
        self._count(scope, caller, terms, 1)

    def charge(self, scope: Scope, caller: Caller, count: int) -> None:
        """Count further records of a request that was checked, which counted as one. Raises
        Problem 429; then that one is not counted either."""
        if not self.enabled or count <= 0:
            return
        known = self._known.get(caller.organization_id)
        terms = known.terms if known else self._installed
        for meter in self._all_meters(scope, caller, terms):
            meter.give_back(1)
        self._count(scope, caller, terms, count + 1)

    def _all_meters(self, scope: Scope, caller: Caller, terms: Terms) -> tuple[Meter, ...]:
        meters = self._meters_of(caller, terms, self._bucket(scope))
        if self._address_limits:
            meters += self.meters.of(f"{ADDRESS}/{address_of(scope)}", self._address_limits)
        return meters

    def _count(self, scope: Scope, caller: Caller, terms: Terms, count: int) -> None:
        bucket = self._bucket(scope)
        now_us = self._clock.micros()
        meters = self._all_meters(scope, caller, terms)
        standing = take(meters, count, now_us)
        if standing is None:
            return
        scope["state"][STATE] = standing
        if standing.wait_s:
            self._metrics.refused(bucket)
            raise refusal(standing, "records" if bucket == INGEST else "requests")

    def _bucket(self, scope: Scope) -> str:
        template = getattr(scope.get("route"), "path", "")
        return INGEST if (scope["method"], template) in self._ingest else REQUESTS

    def _meters_of(self, caller: Caller, terms: Terms, bucket: str) -> tuple[Meter, ...]:
        """Those that a request of this caller counts in, kept while the terms stay the same."""
        if self._dropped != self.meters.dropped or len(self._sets) > MAX_KNOWN:
            self._sets.clear()
            self._dropped = self.meters.dropped
        key = (caller.organization_id, caller.key_id, caller.user_id, bucket)
        found = self._sets.get(key)
        if found is not None and found[0] is terms:
            return found[1]
        made = self._made(caller, terms, bucket)
        self._sets[key] = (terms, made)
        return made

    def _made(self, caller: Caller, terms: Terms, bucket: str) -> tuple[Meter, ...]:
        of, organization = self.meters.of, caller.organization_id
        if bucket == INGEST:
            return of(f"ingest/{organization}/key/{caller.key_id}", terms.ingest_key) + of(
                f"ingest/{organization}", terms.ingest_organization
            )
        made = of(f"{organization}/key/{caller.key_id}", terms.key)
        if caller.user_id is not None:
            made += of(f"{organization}/user/{caller.user_id}", terms.user)
        return made + of(organization, terms.organization)

    async def _loaded(self, organization_id: str) -> Terms:
        return await asyncio.shield(self._refresh(organization_id))

    def _refresh(self, organization_id: str) -> asyncio.Task[Terms]:
        """The reading of an organization's settings that is under way, or a new one."""
        task = self._loading.get(organization_id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._read(organization_id))
            self._loading[organization_id] = task
            task.add_done_callback(lambda _: self._loading.pop(organization_id, None))
        return task

    def reading(self) -> Sequence[asyncio.Task[Terms]]:
        """The readings that are under way."""
        return list(self._loading.values())

    async def _read(self, organization_id: str) -> Terms:
        """Without a database the terms stay what they were: who may ask is not decided here."""
        before = self._known.get(organization_id)
        try:
            terms = terms_of(self._installed, await to_thread.run_sync(self._load, organization_id))
        except PASSING:
            terms = before.terms if before else self._installed
        if before is not None and before.terms == terms:
            terms = before.terms  # the same object: its meters need not be looked up again
        self._known.pop(organization_id, None)
        self._known[organization_id] = _Known(terms, self._clock.monotonic() + REFRESH_SECONDS)
        while len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        return terms

    def failed(self, scope: Scope, problem: Problem) -> Problem:
        """Count a wrong credential against its address; the problem to answer: itself, or a 429
        whose wait doubles with each further limit of failures."""
        if not self.enabled:
            return problem
        now_us = self._clock.micros()
        meters = self._failures.of(f"{FAILURES}/{address_of(scope)}", self._failure_limits)
        over = [meter for meter in meters if not meter.fits(1, now_us)]
        for meter in meters:
            meter.add(1)
        if not over:
            return problem
        self._metrics.refused(FAILURES)
        times = max(meter.current // meter.amount for meter in over)
        wait_s = min(MINUTE << min(max(0, times - 1), 8), MAX_BACKOFF_SECONDS)
        return Problem(
            429,
            "RATE_LIMIT_EXCEEDED",
            "Too many wrong credentials from this address.",
            headers={"Retry-After": str(wait_s)},
        )

    async def keep_sharing(self) -> None:
        """Share counts with other processes until cancelled, where there is a store for it."""
        if self.sharing is not None:
            await self.sharing.keep()

    def close(self) -> None:
        """Let go of the store; may take a moment."""
        if self.sharing is not None:
            self.sharing.close()

    def warnings(self) -> Sequence[str]:
        """For `/ready`."""
        return self.sharing.warnings() if self.sharing is not None else self._complaints


def refusal(standing: Standing, what: str) -> Problem:
    """429: the text names the limit, `Retry-After` the wait."""
    window = "minute" if standing.window_s == MINUTE else f"{standing.window_s} seconds"
    return Problem(
        429,
        "RATE_LIMIT_EXCEEDED",
        f"More than {standing.limit} {what} per {window}.",
        headers={"Retry-After": str(standing.wait_s)},
    )


def address_of(scope: Scope) -> str:
    """The address that a request counts for; of IPv6 the first 64 bits, which one host has."""
    state: Mapping[str, Any] = scope.get("state") or {}
    address: str = state.get("client_ip") or ""
    if ":" not in address:
        return address
    return f"{IPv6Address(int(IPv6Address(address)) >> 64 << 64)}/64"
