"""Prometheus metrics under their documented names, with labels that callers cannot multiply.

A model is a label only if the packaged price book knows it, an endpoint only as its route's
template, a user only when the operator asks for it. With several worker processes the values live
in files of a directory named by PROMETHEUS_MULTIPROC_DIR and any process answers for all.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from llm_cost_ops.core.money import E10

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
OTHER = "other"
PREFIX = "/api/v1"
CLIENT_ERROR = 400
ACTIVE_SECONDS = 900.0
MAX_ACTIVE_USERS = 100_000
MAX_USER_LABELS = 10_000
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)
_AMOUNTS_E10 = tuple(E10 // 1000 * 10**power for power in range(6))  # 0.001 to 100


class _BulkHistogram(Histogram):
    """A histogram that takes many observations at once, already counted into its buckets."""

    def add(
        self, bucket_counts: Mapping[int, int], total: float
    ) -> None:  # lint: allow no-float-money: Prometheus samples are floats by protocol
        """`bucket_counts` maps the index of a bucket, in the order of the bounds, to its count."""
        own: Any = self  # the parts of a histogram have no types of their own
        own._sum.inc(total)
        for index, count in bucket_counts.items():
            own._buckets[index].inc(count)


class Metrics:
    """The metrics of one server process."""

    def __init__(
        self,
        *,
        version: str,
        monotonic: Callable[[], float],
        user_labels: bool = False,
    ) -> None:
        disable_created_metrics()
        self.registry = CollectorRegistry()
        self._directory = os.environ.get(MULTIPROCESS_VARIABLE)
        self._monotonic = monotonic
        self._user_labels = user_labels
        self._models: frozenset[str] = frozenset()
        self._users: dict[tuple[str, str], float] = {}
        self._labelled_users: set[str] = set()
        self._refreshers: list[Callable[[], None]] = []
        self._answered: dict[tuple[str, str | None, int], tuple[Counter, Histogram]] = {}
        self._define(version)
        if self._directory is None:
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)

    def _define(self, version: str) -> None:
        own = self.registry
        self._entries = Counter(
            "llm_cost_ops_entries_created_total",
            "Calls that were stored. user_id is empty unless user labels are switched on.",
            ["model", "user_id"],
            registry=own,
        )
        self._requests = Counter(
            "llm_cost_ops_api_requests_total",
            "Requests by route template; status is error from 400 on.",
            ["method", "endpoint", "status", "code"],
            registry=own,
        )
        self._durations = Histogram(
            "llm_cost_ops_request_duration_seconds",
            "Time from the first byte of the headers to the end of the answer.",
            ["method", "endpoint"],
            buckets=_SECONDS,
            registry=own,
        )
        self._amounts = _BulkHistogram(
            "llm_cost_ops_cost_amount",
            "Cost of stored calls in their currency.",
            ["model"],
            buckets=[bound / E10 for bound in _AMOUNTS_E10],
            registry=own,
        )
        self._ingested = Counter(
            "llm_cost_ops_ingest_records_total",
            "Records by what became of them.",
            ["outcome"],
            registry=own,
        )
        self._define_gauges(version)

    def _define_gauges(self, version: str) -> None:
        own = self.registry
        self._active = Gauge(
            "llm_cost_ops_active_users",
            "Distinct users named by calls of the last 15 minutes (of the busiest process).",
            registry=own,
            multiprocess_mode="livemax",
        )
        self._connections = Gauge(
            "llm_cost_ops_database_connections",
            "Database connections of all processes.",
            ["state"],
            registry=own,
            multiprocess_mode="livesum",
        )
        self._book_age = Gauge(
            "llm_cost_ops_price_book_age_days",
            "Days since the price book was built.",
            registry=own,
            multiprocess_mode="livemax",
        )
        build = Gauge(
            "llm_cost_ops_build_info",
            "Always 1; the version is a label.",
            ["version"],
            registry=own,
            multiprocess_mode="livemax",
        )
        build.labels(version).set(1)

    def know_models(self, models: Iterable[str]) -> None:
        """The models that may be a label; every other one counts as `other`."""
        self._models = frozenset(models)

    def before_scrape(self, refresh: Callable[[], None]) -> None:
        """Call `refresh` before each exposition, to set gauges."""
        self._refreshers.append(refresh)

    def request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """One answered request; `route` is the template of its path, None for an unknown path."""
        verb = method if method in _METHODS else OTHER
        known = self._answered.get((verb, route, status))
        if known is None:
            endpoint = OTHER if route is None else (route.removeprefix(PREFIX) or "/")
            outcome = "error" if status >= CLIENT_ERROR or status == 0 else "success"
            known = self._answered[verb, route, status] = (
                self._requests.labels(verb, endpoint, outcome, str(status)),
                self._durations.labels(verb, endpoint),
            )
        known[0].inc()
        known[1].observe(seconds)

    def ingested(
        self, *, created: int = 0, duplicate: int = 0, conflict: int = 0, invalid: int = 0
    ) -> None:
        """What became of the records of one request."""
        counts = (
            ("created", created),
            ("duplicate", duplicate),
            ("conflict", conflict),
            ("invalid", invalid),
        )
        for outcome, count in counts:
            if count:
                self._ingested.labels(outcome).inc(count)

    def entries_created(
        self, organization_id: str, calls: Iterable[tuple[str, str | None, int | None]]
    ) -> None:
        """Stored calls of one organization: model, user and cost in units of 1e-10 (None when
        unpriced)."""
        costs: dict[str, list[int | None]] = {}
        users: dict[str, list[str | None]] = {}
        for model, user, cost_e10 in calls:
            label = model if model in self._models else OTHER
            costs.setdefault(label, []).append(cost_e10)
            users.setdefault(label, []).append(user)
        for label, named in users.items():
            self._count_users(organization_id, label, Tally(named))
        for label, found in costs.items():
            priced = [cost_e10 for cost_e10 in found if cost_e10 is not None]
            if priced:
                buckets = Tally([bisect_left(_AMOUNTS_E10, cost_e10) for cost_e10 in priced])
                self._amounts.labels(label).add(buckets, sum(priced) / E10)

    def _count_users(self, organization_id: str, model: str, calls: Tally[str | None]) -> None:
        now = self._monotonic()
        stored: Tally[str] = Tally()
        for user, count in calls.items():
            stored[self._user_label(user)] += count
            if user is not None and len(self._users) < MAX_ACTIVE_USERS:
                self._users[organization_id, user] = now
        for user_label, count in stored.items():
            self._entries.labels(model, user_label).inc(count)

    def _user_label(self, user: str | None) -> str:
        if not self._user_labels or user is None:
            return ""
        if user not in self._labelled_users:
            if len(self._labelled_users) >= MAX_USER_LABELS:
                return OTHER
            self._labelled_users.add(user)
        return user

    def connections(self, counts: Mapping[str, int]) -> None:
        """Database connections of this process by state."""
        for state, count in counts.items():
            self._connections.labels(state).set(count)

    def price_book_age(self, days: float) -> None:  # lint: allow no-float-money: an age, no amount
        self._book_age.set(days)

    def refresh(self) -> None:
        """Bring the gauges of this process up to date."""
        oldest = self._monotonic() - ACTIVE_SECONDS
        self._users = {key: seen for key, seen in self._users.items() if seen >= oldest}
        self._active.set(len(self._users))
        for refresh in self._refreshers:
            refresh()

    def expose(self) -> tuple[bytes, str]:
        """The metrics of all processes as text, and its media type."""
        self.refresh()
        return expose(self.registry, self._directory)


def expose(registry: CollectorRegistry | None, directory: str | None) -> tuple[bytes, str]:
    """One process: its registry. Several: what they wrote into `directory`."""
    if directory is not None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=directory)
    assert registry is not None  # noqa: S101 - one of the two is given
    return generate_latest(registry), CONTENT_TYPE_LATEST
