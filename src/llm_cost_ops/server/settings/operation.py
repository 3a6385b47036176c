"""Settings of what an operator watches: logs, metrics, the age of the price book."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llm_cost_ops.server.settings.spec import setting


def _path(value: str) -> str | None:
    return None if value.startswith("/") else "a path that begins with /"


def _currency(value: str) -> str | None:
    matches = re.fullmatch(r"[A-Z]{3}", value, re.ASCII)
    return None if matches else "an ISO 4217 code of three capital letters, such as USD"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingSettings:
    """`[logging]`: one line per event on standard error."""

    level: str = setting(
        "info",
        "Least important level that is logged.",
        env=("LOG_LEVEL",),
        files=("observability.log_level",),
        choices=("debug", "info", "warning", "error", "critical"),
        synonyms=(("warn", "warning"), ("trace", "debug"), ("fatal", "critical")),
    )
    format: str = setting(
        "json",
        "`json` for machines, `text` for people.",
        choices=("json", "text"),
        synonyms=(("console", "text"), ("pretty", "text")),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """`[metrics]` (also `[monitoring.prometheus]`, `[observability.metrics]`)."""

    enabled: bool = setting(
        True,
        "Serve Prometheus metrics.",
        env=("METRICS_ENABLED", "PROMETHEUS_ENABLED"),
        files=("monitoring.prometheus.enabled", "observability.metrics.enabled"),
    )
    path: str = setting(
        "/metrics",
        "Path of the metrics on the API's port.",
        env=("METRICS_PATH",),
        files=("monitoring.prometheus.path", "observability.metrics.path"),
        check=_path,
    )
    port: int | None = setting(
        None,
        "A further listener for the metrics alone (usually 9090).",
        env=("METRICS_PORT",),
        files=("monitoring.prometheus.port", "observability.metrics.port"),
        low=1,
        high=65_535,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PricingSettings:
    """`[pricing]`: the packaged price book and what happens without a price."""

    book_file: str | None = setting(
        None,
        "A compiled price book to use instead of the packaged one.",
    )
    book_max_age_days: int = setting(
        45,
        "Age at which the price book is reported as old.",
        low=1,
        high=3650,
    )
    strict: bool = setting(
        False,
        "Refuse a record without a price (COST_001) instead of storing it as unpriced.",
    )
    default_currency: str = setting(
        "USD",
        "Currency of amounts that name none.",
        check=_currency,
    )
