"""What a forecast or an examination is asked for, from a URL or a body, under every name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import cast

from llm_cost_ops.anomalies import Options
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import parse_day
from llm_cost_ops.core.money import check_currency, parse_decimal
from llm_cost_ops.forecasting.forecast import (
    MAX_CONFIDENCE,
    MAX_HORIZON,
    MIN_CONFIDENCE,
    MODELS,
)
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.analytics.aggregate import dimensions
from llm_cost_ops.server.analytics.asked import Asked
from llm_cost_ops.server.analytics.fields import Dimension
from llm_cost_ops.server.analytics.request import Home, selection_of
from llm_cost_ops.server.analytics.selection import Selection

STEPS: Mapping[str, str] = MappingProxyType(
    {
        "hour": "hour", "hourly": "hour", "day": "day", "daily": "day", "week": "week",
        "weekly": "week", "month": "month", "monthly": "month",
    }
)  # fmt: skip
HORIZONS: Mapping[str, int] = MappingProxyType({"hour": 48, "day": 30, "week": 13, "month": 6})
"""Steps ahead where nothing is said."""
_STEPS_A_DAY = {"hour": (24, 1), "day": (1, 1), "week": (1, 7), "month": (1, 30)}
MAX_DAYS = 1000
MAX_HOLIDAYS = 500
DEFAULT_DAYS = {"hour": 7, "day": 30, "week": 26 * 7, "month": 730}
"""Days that are looked through for anomalies where no period is named."""


@dataclass(frozen=True, slots=True)
class Terms:
    """A forecast: of what, by which steps, how far, by which model; of each value of `by`, too.
    Without `currency` the organization's own, or the only one that there is."""

    selection: Selection
    step: str
    horizon: int
    model: str
    confidence: Decimal
    currency: str | None
    drivers: bool
    history: bool
    holidays: frozenset[date]
    by: tuple[Dimension, ...] = ()


@dataclass(frozen=True, slots=True)
class Examination:
    """A search for anomalies: in what, by which steps, each value of `by` for itself. `explain`
    asks for the causes of each. Of what is not `whole` people have not said what is usual."""

    selection: Selection
    step: str
    by: tuple[Dimension, ...]
    options: Options
    currency: str | None
    explain: bool
    whole: bool = True


def terms_of(asked: Asked, principal: Principal, at: Home) -> Terms:
    """Reads a forecast's fields. Raises Problem 422 with every fault, 403 for another
    organization."""
    step = _step(asked)
    horizon = _horizon(asked, step)
    model = _model(asked, "forecast_model", "model", default="exponential_smoothing")
    confidence = _confidence(asked)
    currency = _currency(asked)
    drivers, history = asked.flag("drivers"), asked.flag("include_history")
    holidays = _holidays(asked)
    by = _dimensions(asked)
    selection = selection_of(asked, principal, at)
    asked.check()
    return Terms(
        selection,
        step,
        horizon,
        model,
        confidence,
        currency,
        drivers is not False,
        bool(history),
        holidays,
        by,
    )


def examination_of(asked: Asked, principal: Principal, at: Home) -> Examination:
    """Reads an examination's fields. Raises Problem 422 with every fault, 403 for another
    organization."""
    step = _step(asked)
    by = _dimensions(asked)
    options = _options(asked)
    currency = _currency(asked)
    explain = asked.flag("explain")
    if not any(asked.holds(name) for name in _PERIODS):
        asked.put("days", DEFAULT_DAYS[step])
    selection = selection_of(asked, principal, at)
    asked.check()
    whole = principal.reach.is_everything
    return Examination(selection, step, by, options, currency, bool(explain), whole)


_PERIODS = (
    "start_date", "start", "start_time", "from", "since", "end_date", "end", "end_time", "to",
    "until", "period", "range", "days",
)  # fmt: skip


def _dimensions(asked: Asked) -> tuple[Dimension, ...]:
    names = asked.names("group_by", "dimensions", "dimension")
    try:
        found = dimensions([name for name in names if name not in ("none", "total")])
    except DomainError as error:
        asked.note(error, "group_by")
        return ()
    if any(each.grain is not None for each in found):
        asked.errors["group_by"] = "must name no time: that is `interval`"
        return ()
    return found


def _options(asked: Asked) -> Options:
    method = asked.text("method") or "auto"
    sensitivity = asked.text("sensitivity") or "medium"
    threshold = _number(asked, "threshold")
    least = _number(asked, "min_amount", "minimum_amount")
    try:
        return Options(
            method, None if threshold is None else float(threshold), sensitivity, least or Decimal()
        )
    except DomainError as error:
        asked.note(error, "method")
        return Options()


def _step(asked: Asked) -> str:
    given = asked.text("interval", "frequency", "granularity")
    if given is None:
        return "day"
    if given not in STEPS:
        asked.errors["interval"] = f"must be one of: {', '.join(STEPS)}"
    return STEPS.get(given, "day")


def _horizon(asked: Asked, step: str) -> int:
    days = asked.number("horizon_days", 1, MAX_DAYS)
    steps = asked.number("horizon", 1, MAX_HORIZON)
    if days is None:
        return steps or HORIZONS[step]
    if steps is not None:
        asked.errors["horizon"] = "cannot be combined with horizon_days"
    each, of = _STEPS_A_DAY[step]
    found = -(-days * each // of)
    if found > MAX_HORIZON:
        asked.errors["horizon_days"] = f"are more than {MAX_HORIZON} steps of one {step}"
    return found


def _model(asked: Asked, *names: str, default: str) -> str:
    given = asked.text(*names)
    if given is None:
        return default
    if given not in MODELS:
        asked.errors["model"] = (
            f"must be one of: {', '.join(MODELS)}; a model of a provider is a filter: "
            '`filters` {"model": ..}'
        )
        return default
    return given


def model_of(asked: Asked) -> str:
    """The model of a forecast, by either name."""
    return _model(asked, "forecast_model", "model", default="exponential_smoothing")


def _confidence(asked: Asked) -> Decimal:
    given = _number(asked, "confidence_level", "confidence")
    if given is None:
        return Decimal("0.95")
    if not MIN_CONFIDENCE <= given <= MAX_CONFIDENCE:
        asked.errors["confidence_level"] = f"must be from {MIN_CONFIDENCE} to {MAX_CONFIDENCE}"
        return Decimal("0.95")
    return given


def confidence_of(asked: Asked) -> Decimal:
    """The share of outcomes inside an interval, 0.95 where nothing is said."""
    return _confidence(asked)


def _currency(asked: Asked) -> str | None:
    given = asked.text("currency")
    try:
        return None if given is None else check_currency(given)
    except DomainError as error:
        asked.note(error, "currency")
        return None


def _holidays(asked: Asked) -> frozenset[date]:
    given = asked.pop("holidays")
    if isinstance(given, str):
        given = [part.strip() for part in given.split(",") if part.strip()]
    if given is None:
        return frozenset()
    listed = cast("list[object]", given) if isinstance(given, list) else []
    if not 0 < len(listed) <= MAX_HOLIDAYS:
        asked.errors["holidays"] = f"must be a list of 1 to {MAX_HOLIDAYS} dates"
        return frozenset()
    try:
        return frozenset(parse_day(day, "holidays") for day in listed)
    except DomainError as error:
        asked.note(error, "holidays")
        return frozenset()


def _number(asked: Asked, *names: str) -> Decimal | None:
    given = asked.pop(*names)
    if given is None:
        return None
    try:
        return parse_decimal(given, names[0])
    except DomainError as error:
        asked.note(error, names[0])
        return None
