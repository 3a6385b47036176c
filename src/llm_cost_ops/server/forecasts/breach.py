"""When a budget will be exceeded: what its period ends with, how likely that is above the limit,
and on which day the limit falls.

The daily costs of the budget's own scope before today are forecast; what is spent of the period is
known, and of today the rest is taken as its part of a forecast day. The probability at the end of
each day comes from the running sum of the forecast and the spread of such sums in the back-test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from llm_cost_ops.core.budget import Budget
from llm_cost_ops.core.errors import DomainError, InsufficientData
from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.money import E10, from_e10
from llm_cost_ops.core.period import DAY_US, Window, day_start, local_day, time_zone
from llm_cost_ops.core.projection import project
from llm_cost_ops.core.series import Series
from llm_cost_ops.forecasting.asks import Ask
from llm_cost_ops.forecasting.forecast import MAX_HORIZON, Forecast, number
from llm_cost_ops.forecasting.sums import Sums, sums_of
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.forecasts.apart import forecast_of
from llm_cost_ops.server.ledger.scoped import series

HISTORY_DAYS = 182
THRESHOLDS = (Decimal("0.5"), Decimal("0.75"), Decimal("0.9"), Decimal(1))
LIKELY = Decimal("0.5")
EARLIEST, LATEST = Decimal("0.1"), Decimal("0.9")
"""Probabilities between which the day of the breach is told as a range."""
_RISKS = ((Decimal("0.2"), "low"), (Decimal("0.5"), "medium"), (Decimal("0.8"), "high"))
AVERAGE = "average_rate"
Document = dict[str, Any]


class BudgetEndless(DomainError):
    """A budget whose end cannot be forecast."""


@dataclass(frozen=True, slots=True)
class Course:
    """A budget in its period now: what is used and allowed, and what earlier whole days of its zone
    cost, from the first with any use on."""

    budget: Budget
    window: Window
    used_e10: int
    limit_e10: int
    days_e10: tuple[int, ...]
    now_us: int


def read_days(
    session: ReadSession, budget: Budget, scopes: Sequence[Any], now_us: int
) -> tuple[int, ...]:
    """What whole days before today cost in the scopes."""
    zone = time_zone(budget.zone)
    today = local_day(now_us, zone)
    dates = [today - timedelta(days=back) for back in range(HISTORY_DAYS, -1, -1)]
    edges = [day_start(day, zone) for day in dates]
    windows = [Window(a, b) for a, b in pairwise(edges) if a < b]
    found = series(session, budget.organization_id, scopes, windows, budget.currency)
    spent = [found[window.start_us].e10 for window in windows]
    first = next((place for place, e10 in enumerate(spent) if e10), len(spent))
    return tuple(spent[first:])


def breach_of(
    course: Course, *, model: str, confidence: Decimal, thresholds: Sequence[Decimal]
) -> Document:
    """The forecast of a budget. Below seven days of history the average rate stands in for a model,
    as in the budget's status. Raises ForecastUnavailable, BudgetEndless."""
    ends = _ends(course)
    if len(ends) > MAX_HORIZON:
        field = "budget_id" if course.budget.id else "period"
        raise BudgetEndless(f"ends in more than {MAX_HORIZON} days", field=field)
    try:
        made = _forecast(course, len(ends), model, confidence) if ends else None
    except InsufficientData:
        return _by_rate(course, thresholds)
    if made is None:
        return _by_rate(course, thresholds)
    return _by_model(course, made, ends, confidence, thresholds)


def _ends(course: Course) -> list[int]:
    """The ends of today and the days after it, until the period ends."""
    zone = time_zone(course.budget.zone)
    day = local_day(course.now_us, zone)
    ends: list[int] = []
    while (not ends or ends[-1] < course.window.end_us) and len(ends) <= MAX_HORIZON:
        day += timedelta(days=1)
        ends.append(min(day_start(day, zone), course.window.end_us))
    return ends if course.now_us < course.window.end_us else []


def _forecast(course: Course, horizon: int, model: str, confidence: Decimal) -> Forecast:
    zone = time_zone(course.budget.zone)
    start = local_day(course.now_us, zone) - timedelta(days=len(course.days_e10))
    past = Series(
        "day",
        datetime.combine(start, time()),
        tuple(from_e10(each) for each in course.days_e10),
    )
    if not course.days_e10:
        raise InsufficientData("Insufficient data: nothing was spent before today")
    return forecast_of(Ask(past, horizon, model, float(confidence)))


def _by_model(
    course: Course,
    made: Forecast,
    ends: Sequence[int],
    confidence: Decimal,
    thresholds: Sequence[Decimal],
) -> Document:
    sums = _from_now(course, sums_of(made), ends)
    low, high = sums.interval(float(confidence))
    low = max(low, min(0.0, sums.middle[-1]))  # below nothing only where credits are expected
    used = from_e10(course.used_e10)
    limit = from_e10(course.limit_e10)
    chances = _chances(sums, limit - used)
    projected = used + (number(sums.middle[-1]) or 0)
    dates = _dates(course, ends, chances)
    shown = {
        "model": made.model,
        "projected_spend": projected,
        "lower_bound": used + (number(low) or 0),
        "upper_bound": used + (number(high) or 0),
        "confidence_level": confidence,
        "daily_rate": number(sums.middle[-1] * DAY_US / (ends[-1] - course.now_us)),
        "breach_probability": chances[-1],
        **dates,
        "alert_thresholds": [
            _threshold(course, sums, ends, share, limit * share - used) for share in thresholds
        ],
        "predictions": [
            {
                "date": each.date,
                "value": number(each.value),
                "predicted_cost": number(each.value),
                "lower_bound": number(each.lower),
                "upper_bound": number(each.upper),
                "projected_spend": used + (number(middle) or 0),
                "breach_probability": chance,
            }
            for each, middle, chance in zip(made.predictions, sums.middle, chances, strict=True)
        ],
        "backtest": made.document()["backtest"],
    }
    return _standing(course, shown)


def _from_now(course: Course, sums: Sums, ends: Sequence[int]) -> Sums:
    """The sums from now on: today, and a last day that the period cuts, count by their part."""
    zone = time_zone(course.budget.zone)
    day = local_day(course.now_us, zone)
    middle: list[float] = []
    summed = 0.0
    start = course.now_us
    for step, end in enumerate(ends):
        edges = (day_start(day, zone), day_start(day + timedelta(days=1), zone))
        part = (end - start) / max(edges[1] - edges[0], 1)
        value = sums.middle[step] - (sums.middle[step - 1] if step else 0.0)
        summed += value * min(max(part, 0.0), 1.0)
        middle.append(summed)
        start, day = end, day + timedelta(days=1)
    left = (ends[-1] - course.now_us) / DAY_US
    scale = min(1.0, left / len(ends))
    return Sums(tuple(middle), tuple(each * scale for each in sums.spread))


def _chances(sums: Sums, room: Decimal) -> list[Decimal]:
    """The probability that the limit is passed by the end of each day; it never falls."""
    found: list[Decimal] = []
    most = Decimal(0)
    for step in range(len(sums.middle)):
        chance = Decimal(1) if room < 0 else _chance(sums, room, step)
        most = max(most, chance)
        found.append(most)
    return found


def _chance(sums: Sums, room: Decimal, step: int) -> Decimal:
    return round(Decimal(str(sums.chance_above(float(room), step))), 4)


def _dates(course: Course, ends: Sequence[int], chances: Sequence[Decimal]) -> Document:
    """The day on which a breach becomes likely, and those between which it most likely is."""

    def day_of(least: Decimal) -> str | None:
        at = next((e for e, chance in zip(ends, chances, strict=True) if chance >= least), None)
        if at is None:
            return None
        return local_day(at - 1, time_zone(course.budget.zone)).isoformat()

    return {
        "breach_date": day_of(LIKELY),
        "breach_date_earliest": day_of(EARLIEST),
        "breach_date_latest": day_of(LATEST),
    }


def _threshold(
    course: Course, sums: Sums, ends: Sequence[int], share: Decimal, room: Decimal
) -> Document:
    chances = _chances(sums, room)
    return {
        "threshold": share,
        "amount": from_e10(round(course.limit_e10 * share)),
        "reached": room <= 0,
        "probability": chances[-1],
        "date": _dates(course, ends, chances)["breach_date"],
    }


def _by_rate(course: Course, thresholds: Sequence[Decimal]) -> Document:
    found = project(
        course.used_e10,
        course.limit_e10,
        course.days_e10,
        now_us=course.now_us,
        start_us=course.window.start_us,
        end_us=course.window.end_us,
    )
    chance = found.probability
    day = None if found.breach_us is None else local_day(
        found.breach_us, time_zone(course.budget.zone)
    ).isoformat()  # fmt: skip
    shown: Document = {
        "model": AVERAGE,
        "projected_spend": from_e10(found.projected_e10),
        "lower_bound": None if found.lower_e10 is None else from_e10(found.lower_e10),
        "upper_bound": None if found.upper_e10 is None else from_e10(found.upper_e10),
        "confidence_level": Decimal("0.95"),
        "daily_rate": from_e10(found.rate_e10),
        "breach_probability": None if chance is None else Decimal(str(chance)),
        "breach_date": day,
        "breach_date_earliest": None,
        "breach_date_latest": None,
        "alert_thresholds": [
            {
                "threshold": share,
                "amount": from_e10(round(course.limit_e10 * share)),
                "reached": course.used_e10 >= course.limit_e10 * share,
                "probability": None,
                "date": None,
            }
            for share in thresholds
        ],
        "predictions": [],
        "backtest": None,
    }
    return _standing(course, shown)


def _standing(course: Course, shown: Document) -> Document:
    left = max(0, course.window.end_us - course.now_us)
    budget = course.budget
    exceeded = course.used_e10 > course.limit_e10
    chance = shown["breach_probability"]
    if chance is None:
        above = shown["projected_spend"] * E10 > course.limit_e10
        chance = Decimal(1) if above or exceeded else Decimal(0)
    risk = "critical"
    if not exceeded:
        risk = next((name for most, name in _RISKS if chance < most), "critical")
    ahead = "at_risk" if chance >= LIKELY else "on_track"
    return {
        "budget_id": budget.id or None,
        "name": budget.name,
        "amount": from_e10(course.limit_e10),
        "currency": budget.currency,
        "spent": from_e10(course.used_e10),
        "remaining": from_e10(max(0, course.limit_e10 - course.used_e10)),
        "period_start": format_micros(course.window.start_us),
        "period_end": format_micros(course.window.end_us),
        "timezone": budget.zone,
        "days_remaining": round(Decimal(left) / DAY_US, 4),
        "risk_level": risk,
        "status": "exceeded" if exceeded else ahead,
        "based_on_days": len(course.days_e10),
        **shown,
    }
