"""Prometheus metrics of the rate limits."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class RateLimitMetrics:
    """Those of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._refused = Counter(
            "llm_cost_ops_rate_limited_total",
            "Requests answered 429, by the bucket whose limit was reached.",
            ["bucket"],
            registry=registry,
        )
        self._store = Gauge(
            "llm_cost_ops_rate_limit_store_up",
            "Whether the store that shares rate limits answers; absent without one.",
            registry=registry,
            multiprocess_mode="livemin",
        )

    def refused(self, bucket: str) -> None:
        self._refused.labels(bucket).inc()

    def store(self, *, up: bool) -> None:
        self._store.set(1 if up else 0)
