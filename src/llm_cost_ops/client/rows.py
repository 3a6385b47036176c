"""Rows of answers: dicts whose keys are also attributes, with money as exact `Amount`s.

`row["model"]`, `row.model` and `row.get("model")` are the same. The four names of a row's cost
(`cost`, `amount`, `total_cost`, `calculated_cost`) and the two of its tokens stand for each other,
so code written against either documented shape reads the row. A name that neither the row nor its
twins hold raises KeyError or AttributeError: an unknown cost is None or absent, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar, cast

from llm_cost_ops.client.amount import Amount, as_json, parse

T = TypeVar("T")

_COST = ("total_cost", "cost", "amount", "calculated_cost")
_TOKENS = ("total_tokens", "tokens_used")
TWINS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_COST, _COST),
    **dict.fromkeys(_TOKENS, _TOKENS),
}
MONEY = frozenset(
    (
        *_COST, "list_cost", "provider_cost", "avg_cost_per_request", "cost_per_1k_tokens",
        "sum", "avg", "min", "max", "price", "old_total", "new_total", "difference",
        "input_price_per_million", "output_price_per_million", "spent", "current_spend",
        "reserved", "remaining", "released", "burn_rate", "daily_rate", "projected_spend",
        "predicted_cost", "lower_bound", "upper_bound", "actual_cost", "expected_cost", "jump",
    )
)  # fmt: skip
OPAQUE = frozenset(("metadata",))
"""Fields that are the caller's own JSON: given back with plain numbers, names untouched."""


class Row(dict[str, Any]):
    """One object of an answer. `to_dict()` gives plain JSON types that `json.dumps` accepts."""

    __slots__ = ()

    def __init__(self, fields: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        super().__init__(fields or {}, **more)
        for name, value in self.items():
            shaped = _shape(name, value)
            if shaped is not value:
                self[name] = shaped

    def __missing__(self, key: str) -> Any:
        for twin in TWINS.get(key, ()):
            if twin in self:
                return super().__getitem__(twin)
        raise KeyError(key)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"this {type(self).__name__} has no field {name!r}") from None

    def get(self, key: str, default: Any = None, /) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def to_dict(self) -> dict[str, Any]:
        """The row in plain JSON types. An amount is a number where a double holds its very digits,
        else a decimal string: no digit is lost either way."""
        return {name: plain(value) for name, value in self.items()}


class UsageRecord(Row):
    """A recorded call: what was used, and what it cost (`calculated_cost`, None while unpriced)."""

    __slots__ = ()

    id: str
    event_id: str
    provider: str
    model: str
    organization_id: str
    total_tokens: int
    calculated_cost: Amount | None
    total_cost: Amount | None
    currency: str
    cost_status: str
    price_version: str | None
    timestamp: str


class CostRecord(Row):
    """A row of the cost list: one call, net of its corrections, priced by us or by the caller."""

    __slots__ = ()

    id: str
    model: str
    tokens_used: int
    cost: Amount | None
    amount: Amount | None
    total_cost: Amount | None
    currency: str
    metadata: dict[str, Any]
    created_at: str


class CostSummary(Row):
    """Totals of a period. `unpriced_count` records have no cost yet and are not in `total_cost`."""

    __slots__ = ()

    total_cost: Amount
    currency: str
    total_requests: int
    avg_cost_per_request: Amount | None
    total_tokens: int
    unpriced_count: int
    partially_priced_count: int


class Price(Row):
    """A price of a model from a date on."""

    __slots__ = ()

    id: str
    provider: str
    model: str
    currency: str
    version: Any


class Estimate(Row):
    """What a call would cost, with one line per usage kind. `total_cost` is None while unpriced."""

    __slots__ = ()

    cost_status: str
    total_cost: Amount | None
    currency: str
    lines: list[Row]
    warnings: list[str]


class Budget(Row):
    """A budget in its current period. `utilization` is the used fraction of its limits."""

    __slots__ = ()

    id: str
    name: str
    amount: Amount | None
    currency: str
    period: str
    enforcement: str
    spent: Amount
    reserved: Amount
    remaining: Amount | None
    utilization: Amount
    period_start: str
    period_end: str
    status: str


class Reservation(Row):
    """What is held for a call, or what became of it."""

    __slots__ = ()

    reservation_id: str
    status: str
    amount: Amount
    currency: str
    expires_at: str
    cost: Amount | None
    released: Amount
    budgets: list[Row]


class KeyRow(Row):
    """An API key. `key`, its secret, is there only when it was made or rotated."""

    __slots__ = ()

    id: str
    name: str
    prefix: str
    last_four: str
    scopes: list[str]
    is_active: bool
    environment: str | None
    allowed_networks: list[str]
    user_id: str | None
    replaced_by: str | None
    key: str


class Webhook(Row):
    """An endpoint of the organization. `secret` is there only when it was made or changed."""

    __slots__ = ()

    id: str
    url: str
    events: list[str]
    description: str | None
    enabled: bool
    disabled_reason: str | None
    failing_since: str | None
    secret: str
    signing_secret: str
    created_at: str
    updated_at: str


class Delivery(Row):
    """An event on its way to a webhook, or there."""

    __slots__ = ()

    id: str
    webhook_id: str
    event_id: str
    event: str
    type: str
    status: str
    attempts: int
    last_status_code: int | None
    next_attempt_at: str | None
    data: Row
    attempt_log: list[Row]


class Alert(Row):
    """An alert: what fired, how bad it is and what became of it. `history` and `deliveries` come
    with a single one."""

    __slots__ = ()

    id: str
    type: str
    severity: str
    status: str
    title: str
    summary: str
    rule_id: str | None
    budget_id: str | None
    facts: list[Row]
    drivers: list[Row]
    details: Row
    occurrences: int
    fired_at: str
    acknowledged_at: str | None
    snoozed_until: str | None
    resolved_at: str | None
    history: list[Row]
    deliveries: list[Row]


class Forecast(Row):
    """A forecast: `predictions` of `date`, `value`, `lower_bound` and `upper_bound`, and how far
    they can be trusted (`backtest`)."""

    __slots__ = ()

    id: str
    model: str
    frequency: str
    currency: str
    predictions: list[Row]
    total: Row
    backtest: Row
    drivers: Row | None
    year_over_year: Row | None
    left_out: list[Row]
    groups: list[Row]


class BudgetForecast(Row):
    """Where a budget's period ends, how likely its limit is passed, and on which day."""

    __slots__ = ()

    budget_id: str | None
    amount: Amount
    spent: Amount
    projected_spend: Amount
    lower_bound: Amount | None
    upper_bound: Amount | None
    breach_probability: Amount | None
    breach_date: str | None
    breach_date_earliest: str | None
    breach_date_latest: str | None
    risk_level: str
    status: str


class Anomaly(Row):
    """A point that is not as it should have been. One that was found by the server has an `id`,
    `causes` and what was said of it (`is_anomaly`)."""

    __slots__ = ()

    date: str
    dimension: str
    value: str
    currency: str
    actual_cost: Amount
    expected_cost: Amount
    lower: Amount
    upper: Amount
    severity: str
    score: Amount


def plain(value: Any) -> Any:
    """Plain JSON types all the way down: dict, list, str, int, float, bool, None."""
    if isinstance(value, Decimal):
        return as_json(value)
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[Any]", value)]
    return value


def _shape(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in OPAQUE:
        return plain(value)
    if name in MONEY:
        amount = value if type(value) is Amount else parse(value)
        return value if amount is None else amount
    if isinstance(value, Row | Amount):
        return value
    if isinstance(value, dict):
        return Row(cast("dict[str, Any]", value))
    if isinstance(value, list):
        return [_shape("", item) for item in cast("list[Any]", value)]
    return Amount(value) if isinstance(value, Decimal) else value
