"""Prometheus metrics of the queue: how much waits, for how long, and what became of jobs."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from llm_cost_ops.server.queue.look import Backlog

_MICROS = 1_000_000
_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800)


class QueueMetrics:
    """Those of one process. The backlog is the database's: each process that looks tells the same,
    and of several the highest counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter(
            "llm_cost_ops_job_runs_total",
            "Attempts by what became of them: done, retry, postponed, dead, lost, unknown.",
            ["kind", "outcome"],
            registry=registry,
        )
        self._durations = Histogram(
            "llm_cost_ops_job_duration_seconds",
            "Time that an attempt took.",
            ["kind"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._jobs = Gauge(
            "llm_cost_ops_jobs",
            "Jobs that are not finished, and dead ones.",
            ["state"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._oldest = Gauge(
            "llm_cost_ops_jobs_oldest_due_seconds",
            "For how long the job that has waited longest has been due.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._events = Gauge(
            "llm_cost_ops_outbox_oldest_seconds",
            "Age of the oldest event that was not relayed.",
            registry=registry,
            multiprocess_mode="livemax",
        )

    def ran(self, kind: str, outcome: str, seconds: float) -> None:
        """One attempt. `kind` is one that this process handles, so it may be a label."""
        self._runs.labels(kind, outcome).inc()
        self._durations.labels(kind).observe(seconds)

    def waiting(self, backlog: Backlog) -> None:
        """What a look at the database found."""
        self._jobs.labels("ready").set(backlog.ready)
        self._jobs.labels("running").set(backlog.running)
        self._jobs.labels("dead").set(backlog.dead)
        self._oldest.set(backlog.oldest_job_us / _MICROS)
        self._events.set(backlog.oldest_event_us / _MICROS)
