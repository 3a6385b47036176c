"""The metrics of a group by every accepted name, and what has to be read for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.analytics.sources import BASE, TOKENS
from llm_cost_ops.server.analytics.totals import Totals, kept

_PERCENTILE = re.compile(r"(?:p|percentile_)([1-9][0-9]?)", re.ASCII)
MAX_METRICS = 50
PERCENTILES = ("p50", "p90", "p95", "p99")


def _tokens(name: str) -> Callable[[Totals], object]:
    place = TOKENS.index(name)
    return lambda t: t.tokens[place]


OF_TOTALS: dict[str, Callable[[Totals], object]] = {
    "total_cost": lambda t: t.total_cost,
    "sum": lambda t: t.total_cost,
    "cost": lambda t: t.total_cost,
    "amount": lambda t: t.total_cost,
    "requests": lambda t: t.requests,
    "count": lambda t: t.requests,
    "total_requests": lambda t: t.requests,
    "avg": lambda t: t.average,
    "average": lambda t: t.average,
    "mean": lambda t: t.average,
    "cost_per_request": lambda t: t.average,
    "avg_cost_per_request": lambda t: t.average,
    "average_cost_per_request": lambda t: t.average,
    "min": lambda t: kept(t.low),
    "max": lambda t: kept(t.high),
    "tokens": lambda t: t.total_tokens,
    "total_tokens": lambda t: t.total_tokens,
    "tokens_used": lambda t: t.total_tokens,
    "input_tokens": _tokens("input_tokens"),
    "output_tokens": _tokens("output_tokens"),
    "cached_tokens": _tokens("cached_tokens"),
    "cache_write_tokens": _tokens("cache_write_tokens"),
    "reasoning_tokens": _tokens("reasoning_tokens"),
    "prompt_tokens": _tokens("input_tokens"),
    "completion_tokens": _tokens("output_tokens"),
    "average_tokens_per_request": lambda t: t.tokens_per_request,
    "avg_tokens_per_request": lambda t: t.tokens_per_request,
    "list_cost": lambda t: t.total_list_cost,
    "cost_per_1k_tokens": lambda t: t.cost_per_1k_tokens,
    "unpriced": lambda t: t.unpriced,
    "unpriced_count": lambda t: t.unpriced,
    "partially_priced": lambda t: t.partially_priced,
    "partially_priced_count": lambda t: t.partially_priced,
}
ALWAYS = frozenset(
    {"total_cost", "sum", "cost", "requests", "count", "avg", "min", "max", "tokens"}
    | {"total_tokens", "unpriced_count", "partially_priced_count"}
)
"""What every row of groups carries, asked for or not."""
BY_DEFAULT = (
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
"""What rows carry besides when no metric was asked for."""
_SUMS = {
    **{name: name for name in (*BY_DEFAULT, "list_cost")},
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
}


def always(totals: Totals) -> dict[str, object]:
    """The ALWAYS metrics of a group."""
    cost, requests, tokens = totals.total_cost, totals.requests, totals.total_tokens
    return {
        "total_cost": cost,
        "sum": cost,
        "cost": cost,
        "requests": requests,
        "count": requests,
        "avg": totals.average,
        "min": kept(totals.low),
        "max": kept(totals.high),
        "tokens": tokens,
        "total_tokens": tokens,
        "unpriced_count": totals.unpriced,
        "partially_priced_count": totals.partially_priced,
    }


METRIC_NAMES = (*OF_TOTALS, "median", "stddev", "percentiles", *PERCENTILES)


class MetricError(DomainError):
    """A metric that is not known."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics asked for: by name from totals, percentiles by their name, and two that need reads
    of their own. `asked` are all names that were given."""

    names: tuple[str, ...] = ()
    percents: tuple[tuple[str, int], ...] = ()
    stddev: bool = False
    kinds: bool = False
    asked: tuple[str, ...] = ()

    @property
    def needs_priced_tokens(self) -> bool:
        return "cost_per_1k_tokens" in self.names

    @property
    def sums(self) -> frozenset[str]:
        """What has to be summed for the metrics."""
        return BASE | {_SUMS[name] for name in self.names if name in _SUMS}


def metrics(asked: Sequence[str], field: str = "metrics") -> Metrics:
    """Metrics by name, BY_DEFAULT without any; `tokens` also gives the quantities by kind, and
    `percentiles` is the usual four.

    Raises MetricError.
    """
    named = (PERCENTILES if name == "percentiles" else (name,) for name in asked or BY_DEFAULT)
    names = list(dict.fromkeys(chain.from_iterable(named)))
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
            of_totals += [name] if name not in ALWAYS else []
        elif name not in ("stddev", "tokens_by_kind"):
            raise MetricError(
                f"must be among: {', '.join(METRIC_NAMES)} or any p1 to p99", field=field
            )
    return Metrics(
        tuple(of_totals),
        tuple(percents),
        "stddev" in names,
        "tokens" in names or "tokens_by_kind" in names,
        tuple(names),
    )
