"""Settings of what works beside the requests: jobs, schedules, and how long they are kept."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from llm_cost_ops.server.settings.spec import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """`[worker]`: background jobs and schedules, in `cost-ops worker` or beside the API."""

    embedded: str = setting(
        "auto",
        "Whether `cost-ops serve` also works off jobs: `auto` does on SQLite, where there are no "
        "other machines.",
        flag="--worker",
        choices=("auto", "on", "off"),
        synonyms=(("true", "on"), ("yes", "on"), ("false", "off"), ("no", "off")),
    )
    concurrency: int = setting(
        4,
        "Jobs that one worker runs at the same time.",
        flag="--concurrency",
        low=1,
        high=64,
    )
    waiting: int = setting(
        16,
        "Jobs beside these that mostly wait for others, such as deliveries of webhooks; those of "
        "one kind and organization have at most half of the places.",
        low=1,
        high=256,
    )
    poll_seconds: float = setting(
        1.0,
        "How often an idle worker looks for what another process enqueued.",
        low=0.05,
        high=60,
    )
    lease_seconds: float = setting(
        60.0,
        "How long after its worker died a job is taken by another. One that takes longer is kept "
        "by its worker.",
        low=1,
        high=3600,
    )
    drain_seconds: float = setting(
        30.0,
        "How long a stopping worker waits for its jobs before it gives them back.",
        low=0,
        high=3600,
    )
    keep_finished_days: int = setting(
        7,
        "How long jobs are kept that are done or were discarded.",
        low=1,
        high=3650,
    )
    keep_dead_days: int = setting(
        90,
        "How long dead jobs are kept, that somebody may look at them.",
        low=1,
        high=3650,
    )
    keep_events_hours: int = setting(
        24,
        "How long events are kept after they were relayed.",
        low=1,
        high=8760,
    )
    keep_alerts_days: int = setting(
        400,
        "How long alerts are kept that are over, with their history. Those of a budget stay until "
        "its period is over.",
        low=32,
        high=3650,
    )
    keep_reports_days: int = setting(
        400,
        "How long reports are kept, from the request on.",
        low=1,
        high=3650,
    )
    metrics_port: int | None = setting(
        None,
        "A listener for the metrics of `cost-ops worker`; a worker beside the API has the API's.",
        low=1,
        high=65_535,
    )


def _wanted_amount(text: str) -> str | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal(-1)
    fits = number.is_finite() and 0 <= number <= 10**8
    return None if fits else "a decimal number from 0 to 100000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalySettings:
    """`[anomalies]`: how the worker watches what organizations spend."""

    watch: bool = setting(True, "Whether the worker looks for anomalies each hour.")
    min_amount: str = setting(
        "1",
        "What an hour must differ by from what was expected to be an anomaly, in the currency of "
        "the calls; of a day five times as much.",
        check=_wanted_amount,
    )
    sensitivity: str = setting(
        "medium",
        "How readily something is flagged: noise alone once in 12, 3 or 1 months on each side.",
        choices=("low", "medium", "high"),
    )

    @property
    def least(self) -> Decimal:
        """`min_amount` as a number."""
        return Decimal(self.min_amount)
