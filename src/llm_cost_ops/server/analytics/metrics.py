"""The metrics of a group by every accepted name, and what has to be read for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.analytics.totals import Totals, kept

_PERCENTILE = re.compile(r"(?:p|percentile_)([1-9][0-9]?)", re.ASCII)
MAX_METRICS = 50

OF_TOTALS: dict[str, Callable[[Totals], object]] = {
    "total_cost": lambda t: t.total_cost,
    "sum": lambda t: t.total_cost,
    "cost": lambda t: t.total_cost,
    "requests": lambda t: t.requests,
    "count": lambda t: t.requests,
    "avg": lambda t: t.average,
    "min": lambda t: kept(t.low),
    "max": lambda t: kept(t.high),
    "tokens": lambda t: t.tokens["total_tokens"],
    "total_tokens": lambda t: t.tokens["total_tokens"],
    "input_tokens": lambda t: t.tokens["input_tokens"],
    "output_tokens": lambda t: t.tokens["output_tokens"],
    "cached_tokens": lambda t: t.tokens["cached_tokens"],
    "cache_write_tokens": lambda t: t.tokens["cache_write_tokens"],
    "reasoning_tokens": lambda t: t.tokens["reasoning_tokens"],
    "unpriced_count": lambda t: t.unpriced,
    "partially_priced_count": lambda t: t.partially_priced,
    "amount": lambda t: t.total_cost,
    "total_requests": lambda t: t.requests,
    "average": lambda t: t.average,
    "mean": lambda t: t.average,
    "cost_per_request": lambda t: t.average,
    "avg_cost_per_request": lambda t: t.average,
    "average_cost_per_request": lambda t: t.average,
    "tokens_used": lambda t: t.tokens["total_tokens"],
    "prompt_tokens": lambda t: t.tokens["input_tokens"],
    "completion_tokens": lambda t: t.tokens["output_tokens"],
    "average_tokens_per_request": lambda t: t.tokens_per_request,
    "avg_tokens_per_request": lambda t: t.tokens_per_request,
    "list_cost": lambda t: t.total_list_cost,
    "cost_per_1k_tokens": lambda t: t.cost_per_1k_tokens,
    "unpriced": lambda t: t.unpriced,
    "partially_priced": lambda t: t.partially_priced,
}
ALWAYS = tuple(OF_TOTALS)[: tuple(OF_TOTALS).index("partially_priced_count") + 1]
"""What every row of groups carries, asked for or not."""
METRIC_NAMES = (*OF_TOTALS, "median", "stddev", "p50", "p90", "p95", "p99")


class MetricError(DomainError):
    """A metric that is not known."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics asked for: by name from totals, percentiles by their name, and two that need reads
    of their own."""

    names: tuple[str, ...] = ()
    percents: tuple[tuple[str, int], ...] = ()
    stddev: bool = False
    kinds: bool = False

    @property
    def needs_priced_tokens(self) -> bool:
        return "cost_per_1k_tokens" in self.names


def metrics(asked: Sequence[str], field: str = "metrics") -> Metrics:
    """Metrics by name; `tokens` also gives the quantities by kind. Raises MetricError."""
    names = list(dict.fromkeys(asked))
    if len(names) > MAX_METRICS:
        raise MetricError(f"must be at most {MAX_METRICS}", field=field)
    percents: list[tuple[str, int]] = []
    of_totals: list[str] = []
    for name in names:
        if matched := _PERCENTILE.fullmatch(name):
            percents.append((name, int(matched[1])))
        elif name == "median":
            percents.append((name, 50))
        elif name in OF_TOTALS:
            of_totals.append(name)
        elif name not in ("stddev", "tokens_by_kind"):
            raise MetricError(
                f"must be among: {', '.join(METRIC_NAMES)} or any p1 to p99", field=field
            )
    return Metrics(
        tuple(of_totals),
        tuple(percents),
        "stddev" in names,
        "tokens" in names or "tokens_by_kind" in names,
    )
