"""Definitions of budgets: every spelling that is read, everything that is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.core.budget import Limits, Rollover, Throttling
from llm_cost_ops.core.definition import Defaults, canonical, make_budget, parse_amount
from llm_cost_ops.core.errors import DomainError
from tests.core.test_budget import NOW, made


def test_what_is_not_said_is_a_soft_month_of_the_organization() -> None:
    found = made(amount="12.5")
    assert found.limits == Limits(125 * 10**9)
    assert (found.period, found.every, found.rolling, found.recurring) == (
        "monthly", 1, False, True,
    )  # fmt: skip
    assert (found.enforcement, found.zone, found.currency) == ("soft", "UTC", "USD")
    assert found.scope.dimensions == ()
    assert found.thresholds == (500_000, 800_000, 1_000_000)
    assert (found.throttling, found.rollover, found.share) == (None, None, None)


@pytest.mark.parametrize(
    ("given", "canonical_fields"),
    [
        ({"limit": 5, "mode": "hard"}, {"amount": 5, "enforcement": "hard"}),
        ({"filters": {"model": "m"}, "team_id": "t"}, {"scope": {"model": "m", "team_id": "t"}}),
        ({"tag": "x"}, {"scope": {"tags": "x"}}),
        ({"alert_threshold": 0.8}, {"alert_thresholds": 0.8}),
    ],
)
def test_aliases(given: dict[str, Any], canonical_fields: dict[str, Any]) -> None:
    assert canonical(given) == canonical_fields


@pytest.mark.parametrize(
    ("period", "name"),
    [("month", "monthly"), ("quarter", "quarterly"), ("year", "annual"), ("yearly", "annual"),
     ("day", "daily"), ("hour", "hourly"), ("week", "weekly")],
)  # fmt: skip
def test_periods_have_several_names(period: str, name: str) -> None:
    assert made(amount=1, period=period).period == name


@pytest.mark.parametrize(
    ("given", "levels"),
    [
        ([Decimal("0.5"), 1], (500_000, 1_000_000)),
        ([50, 80, 100], (500_000, 800_000, 1_000_000)),
        ([100, Decimal("0.5")], (5_000, 1_000_000)),
        (Decimal("0.9"), (900_000,)),
        ([], ()),
        (["1.25", "1.25"], (1_250_000,)),
    ],
)
def test_thresholds_are_fractions_or_percentages(given: object, levels: tuple[int, ...]) -> None:
    assert made(amount=1, alert_thresholds=given).thresholds == levels


def test_throttling_and_rollover() -> None:
    assert made(amount=1, enforcement="throttle").throttling == Throttling(800_000, None, 1_000)
    slow = made(amount=1, enforcement="throttle", throttle={"above": "0.9", "per_minute": 5})
    assert slow.throttling == Throttling(900_000, 5, 0)
    late = made(amount=1, enforcement="throttle", throttle={"delay_ms": 50})
    assert late.throttling == Throttling(800_000, None, 50)
    assert made(amount=1, rollover=True).rollover == Rollover(1_000_000)
    assert made(amount=1, rollover=False).rollover is None
    capped = made(amount=1, rollover={"percent": 50, "cap": 3})
    assert capped.rollover == Rollover(500_000, 3 * 10**10)
    assert made(amount=1, rollover={"cap": 3}).rollover == Rollover(1_000_000, 3 * 10**10)


def test_a_number_of_days_counts_from_where_it_begins() -> None:
    from_start = made(amount=1, period="custom", period_days=10, start_date="2025-06-03")
    assert (from_start.period, from_start.every) == ("daily", 10)
    assert from_start.anchor.isoformat() == "2025-06-03"
    assert from_start.recurring is True
    from_now = made(amount=1, period="custom", period_days=10)
    assert from_now.anchor.isoformat() == "2025-06-15"
    given = made(amount=1, period="custom", period_days=10, anchor_date="2025-01-01")
    assert given.anchor.isoformat() == "2025-01-01"
    assert made(amount=1, period="annual", fiscal_year_start_month=4).anchor.month == 4


BAD: list[tuple[dict[str, Any], str]] = [
    ({"colour": 1}, "colour"),
    ({"amount": 1, "limit": 1}, "limit"),
    ({"scope": "x", "team_id": "t"}, "scope"),
    ({"amount": 1, "scope": "x"}, "scope"),
    ({"amount": 1, "scope": {"colour": "x"}}, "scope.colour"),
    ({}, "amount"),
    ({"amount": -1}, "amount"),
    ({"amount": "0.00000000001"}, "amount"),
    ({"amount": 900_000_001}, "amount"),
    ({"amount": "much"}, "amount"),
    ({"request_limit": -1}, "request_limit"),
    ({"request_limit": True}, "request_limit"),
    ({"token_limit": "7"}, "token_limit"),
    ({"amount": 1, "name": ""}, "name"),
    ({"amount": 1, "name": None}, "name"),
    ({"amount": 1, "name": " x"}, "name"),
    ({"amount": 1, "currency": "usd"}, "currency"),
    ({"amount": 1, "period": "sometimes"}, "period"),
    ({"amount": 1, "period": "custom"}, "period"),
    ({"amount": 1, "period_days": 5}, "period_days"),
    ({"amount": 1, "period": "custom", "period_days": 0}, "period_days"),
    ({"amount": 1, "period": "custom", "period_days": 5, "every": 2}, "period_days"),
    ({"amount": 1, "period": "hourly", "every": 2}, "every"),
    ({"amount": 1, "every": 0}, "every"),
    ({"amount": 1, "rolling": "yes"}, "rolling"),
    ({"amount": 1, "rolling": True, "every": 2}, "rolling"),
    ({"amount": 1, "rolling": True, "recurring": False}, "recurring"),
    ({"amount": 1, "start_date": "2025-02-01", "end_date": "2025-01-01"}, "start_date"),
    ({"amount": 1, "start_date": "2025-02-01T00:00:00Z", "end_date": "2025-02-01T00:00:00Z"},
     "end_date"),
    ({"amount": 1, "anchor_date": "2025-1-1"}, "anchor_date"),
    ({"amount": 1, "anchor_date": "tomorrow.."}, "anchor_date"),
    ({"amount": 1, "timezone": "Mars/Olympus"}, "timezone"),
    ({"amount": 1, "fiscal_year_start_month": 13}, "fiscal_year_start_month"),
    ({"amount": 1, "enforcement": "gentle"}, "enforcement"),
    ({"amount": 1, "alert_thresholds": [0]}, "alert_thresholds"),
    ({"amount": 1, "alert_thresholds": [1001]}, "alert_thresholds"),
    ({"amount": 1, "alert_thresholds": ["x"]}, "alert_thresholds"),
    ({"amount": 1, "alert_thresholds": [1] * 21}, "alert_thresholds"),
    ({"amount": 1, "enforcement": "throttle", "throttle": 5}, "throttle"),
    ({"amount": 1, "enforcement": "throttle", "throttle": {}}, "throttle"),
    ({"amount": 1, "enforcement": "throttle", "throttle": {"x": 1}}, "throttle.x"),
    ({"amount": 1, "enforcement": "throttle", "throttle": {"above": 11}}, "throttle.above"),
    ({"amount": 1, "enforcement": "throttle", "throttle": {"delay_ms": 10_001}},
     "throttle.delay_ms"),
    ({"amount": 1, "rolling": True, "rollover": True}, "rollover"),
    ({"token_limit": 1, "rollover": True}, "rollover"),
    ({"amount": 1, "rollover": 5}, "rollover"),
    ({"amount": 1, "rollover": {"x": 1}}, "rollover.x"),
    ({"amount": 1, "rollover": {"percent": 0}}, "rollover.percent"),
    ({"amount": 1, "rollover": {"cap": -1}}, "rollover.cap"),
    ({"amount": 1, "allocation_percent": 101}, "allocation_percent"),
    ({"amount": 1, "recurring": 1}, "recurring"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "field"), BAD)
def test_what_cannot_be_is_refused_with_its_field(given: dict[str, Any], field: str) -> None:
    with pytest.raises(DomainError) as caught:
        made(**given)
    assert caught.value.field == field


def test_amounts_are_exact() -> None:
    assert parse_amount("0.0000000001", "amount") == 1
    assert parse_amount(Decimal("900000000"), "amount") == 9 * 10**18
    with pytest.raises(DomainError, match="above 0"):
        parse_amount(0, "amount", positive=True)


def test_a_budget_that_is_read_counts_from_where_it_is_said_to() -> None:
    read = make_budget(
        canonical({"name": "b", "amount": 1}),
        budget_id="b",
        organization_id="o",
        defaults=Defaults(),
        made_us=NOW,
        counts_from_us=NOW - 5,
    )
    assert read.counts_from_us == NOW - 5
