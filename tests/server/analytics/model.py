"""The reads' model: calls in a list, exact sums in Python, time by the clock of a zone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.period import Window

WIDE = Context(prec=100, rounding=ROUND_HALF_EVEN)
TENTH = Decimal(1).scaleb(-10)
TOKENS = (
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


@dataclass
class Call:
    """One call as it stands; `cost` and `list_cost` in units of 1e-10, None while unpriced."""

    timestamp: int
    provider: str = "openai"
    model: str = "gpt-4o"
    project_id: str | None = None
    team_id: str | None = None
    user_id: str | None = None
    region: str | None = None
    currency: str = "USD"
    requests: int = 1
    tokens: dict[str, int] = field(default_factory=dict)
    cost: int | None = 0
    list_cost: int | None = None
    cost_status: str = "priced"
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    usage: Mapping[str, int] | None = None
    voided: bool = False
    id: str = ""

    @property
    def total_tokens(self) -> int:
        return self.tokens.get("input_tokens", 0) + self.tokens.get("output_tokens", 0)


def values_of(call: Call, dimension: str, zone: ZoneInfo) -> list[str | None]:
    """The groups that a call is in; more than one for tags."""
    local = from_micros(call.timestamp).astimezone(zone)
    if dimension in ("day", "date"):
        return [local.date().isoformat()]
    if dimension == "week":
        return [(local.date() - timedelta(days=local.weekday())).isoformat()]
    if dimension == "month":
        return [local.date().isoformat()[:7]]
    if dimension == "hour":
        hour = local.replace(minute=0, second=0, microsecond=0)
        return [hour.isoformat().replace("+00:00", "Z")]
    if dimension == "tag":
        return [*sorted(set(call.tags))] or [None]
    if dimension.startswith("metadata."):
        return [_as_text(call.metadata.get(dimension.removeprefix("metadata.")))]
    return [getattr(call, dimension)]


def _as_text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


@dataclass
class Expected:
    """What a group adds up to."""

    requests: int = 0
    unpriced: int = 0
    partially_priced: int = 0
    cost: int = 0
    list_cost: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    total_tokens: int = 0
    priced_tokens: int = 0
    costs: list[int] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)

    def add(self, call: Call) -> None:
        self.requests += call.requests
        self.total_tokens += call.total_tokens
        for name in TOKENS:
            self.tokens[name] = self.tokens.get(name, 0) + call.tokens.get(name, 0)
        for kind, count in kinds_of(call).items():
            self.kinds[kind] = self.kinds.get(kind, 0) + count
        if call.cost_status == "partially_priced":
            self.partially_priced += call.requests
        if call.cost is None:
            self.unpriced += call.requests
            return
        self.cost += call.cost
        self.list_cost += call.cost if call.list_cost is None else call.list_cost
        self.priced_tokens += call.total_tokens
        self.costs.append(call.cost)

    @property
    def amount(self) -> Decimal | None:
        return money(self.cost) if self.costs or not self.unpriced else None

    @property
    def average(self) -> Decimal | None:
        return ratio(self.cost, self.requests - self.unpriced)

    def percentile(self, percent: int) -> Decimal | None:
        """By definition: the smallest cost that at least so many percent do not exceed."""
        for cost in sorted(self.costs):
            if 100 * sum(other <= cost for other in self.costs) >= percent * len(self.costs):
                return money(cost)
        return None

    @property
    def stddev(self) -> Decimal | None:
        if not self.costs:
            return None
        mean = Fraction(sum(self.costs), len(self.costs))
        squares = sum(((cost - mean) ** 2 for cost in self.costs), Fraction())
        variance = squares / len(self.costs)
        root = WIDE.sqrt(WIDE.divide(Decimal(variance.numerator), Decimal(variance.denominator)))
        return root.scaleb(-10, WIDE).quantize(TENTH, context=WIDE)


def kinds_of(call: Call) -> Mapping[str, int]:
    if call.usage is not None:
        return call.usage
    names = {"cached_tokens": "cache_read_tokens", "reasoning_tokens": "output_reasoning_tokens"}
    return {names.get(name, name): n for name, n in call.tokens.items() if n and name in TOKENS}


def money(units: int) -> Decimal:
    return Decimal(units).scaleb(-10)


def ratio(units: int, divisor: int) -> Decimal | None:
    """Exact, then rounded half-even to ten places."""
    if divisor <= 0:
        return None
    return money(round(Fraction(units, divisor)))


def expected_groups(
    calls: Iterable[Call], dimensions: Sequence[str], zone: ZoneInfo, window: Window
) -> dict[tuple[str | None, ...], Expected]:
    """Groups by dimensions and currency."""
    groups: dict[tuple[str | None, ...], Expected] = {}
    for call in calls:
        if call.voided or not window.start_us <= call.timestamp < window.end_us:
            continue
        keys: list[tuple[str | None, ...]] = [()]
        for dimension in dimensions:
            keys = [(*key, v) for key in keys for v in values_of(call, dimension, zone)]
        for key in keys:
            groups.setdefault((*key, call.currency), Expected()).add(call)
    return groups


def one_currency(
    groups: Mapping[tuple[str | None, ...], Expected], home: str
) -> dict[tuple[str | None, ...], list[Expected]]:
    """Groups with unpriced calls in the one currency that has amounts, where there is but one."""
    priced = {key[-1] for key, group in groups.items() if group.amount is not None}
    found: dict[tuple[str | None, ...], list[Expected]] = {}
    for key, group in groups.items():
        place = key if len(priced) > 1 else (*key[:-1], next(iter(priced), home))
        found.setdefault(place, []).append(group)
    return found
