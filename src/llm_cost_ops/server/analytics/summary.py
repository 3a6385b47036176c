"""The summary of a selection: totals, the models that cost most, and a trend by day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from llm_cost_ops.core.buckets import buckets
from llm_cost_ops.core.instant import format_micros, to_micros
from llm_cost_ops.core.period import ALL_TIME, Window
from llm_cost_ops.core.usage import Quantity
from llm_cost_ops.server.analytics.aggregate import Row, dimensions
from llm_cost_ops.server.analytics.currencies import by_currency, settled
from llm_cost_ops.server.analytics.groups import Groups, read_groups
from llm_cost_ops.server.analytics.kinds import kinds_of, read_kinds
from llm_cost_ops.server.analytics.request import Home
from llm_cost_ops.server.analytics.selection import Grouping, Selection, grouping
from llm_cost_ops.server.analytics.totals import Totals, merged
from llm_cost_ops.server.db.session import ReadSession

TOP_MODELS = 10
MAX_FILLED_DAYS = 400
_PROVIDER, _MODEL, _DAY = range(3)


def summary(
    session: ReadSession, selection: Selection, at: Home, *, all_kinds: bool = False
) -> dict[str, object]:
    """Totals, `top_models` and `daily_trend`.

    With amounts in several currencies `total_cost` and `currency` are None and `currencies` has
    the totals of each. `all_kinds` reads every call, for kinds that rollups do not hold.
    """
    bounded, by = grouping(session, selection, dimensions(("provider", "model", "day")))
    groups = settled(read_groups(session, bounded, by), at.currency, by_currency=False)
    answer = totals_of(groups, at.currency)
    if all_kinds:
        every = read_kinds(session, selection, Grouping((), {}))
        answer["tokens"] = _summed(every.values())
    return {
        **answer,
        **period_of(selection),
        "top_models": _top_models(groups),
        "daily_trend": _trend(groups, selection, at),
    }


def totals_of(groups: Groups, home_currency: str) -> dict[str, object]:
    """The totals of all groups, flat; per currency, too, where there are several."""
    per_currency = by_currency(groups)
    whole = merged(per_currency.values())
    if len(per_currency) <= 1:
        return {**flat_totals(whole), "currency": next(iter(per_currency), home_currency)}
    return {
        **flat_totals(whole),
        **dict.fromkeys(_AMOUNTS),
        "currency": None,
        "currencies": [
            {**flat_totals(totals), "currency": currency}
            for currency, totals in per_currency.items()
        ],
    }


_AMOUNTS = ("total_cost", "avg_cost_per_request", "average_cost_per_request", "list_cost")


def flat_totals(totals: Totals) -> dict[str, object]:
    """The documented totals of one currency."""
    return {
        "total_cost": totals.total_cost,
        "list_cost": totals.total_list_cost,
        "total_requests": totals.requests,
        "avg_cost_per_request": totals.average,
        "average_cost_per_request": totals.average,
        "total_tokens": totals.total_tokens,
        "tokens": kinds_of(totals),
        "unpriced_count": totals.unpriced,
        "partially_priced_count": totals.partially_priced,
    }


def period_of(selection: Selection) -> dict[str, object]:
    """The window as instants, the end excluded; an open end is None."""
    window = selection.window
    start = None if window.start_us <= ALL_TIME.start_us else window.start_us
    end = None if window.end_us >= ALL_TIME.end_us else window.end_us
    return {
        "start_date": None if start is None else format_micros(start),
        "end_date": None if end is None else format_micros(end),
        "timezone": selection.zone.key,
    }


def _summed(parts: Iterable[Mapping[str, Quantity]]) -> dict[str, Quantity]:
    total: dict[str, Quantity] = {}
    for part in parts:
        for kind, quantity in part.items():
            total[kind] = total.get(kind, 0) + quantity
    return dict(sorted(total.items()))


def _collected(groups: Groups, places: Sequence[int]) -> dict[tuple[str | None, ...], Totals]:
    """The groups added up to fewer dimensions; the currency stays."""
    found: dict[tuple[str | None, ...], Totals] = {}
    for key, totals in groups.items():
        place = (*(key[p] for p in places), key[-1])
        found.setdefault(place, Totals()).add(totals)
    return found


def _top_models(groups: Groups) -> list[Row]:
    models = _collected(groups, (_PROVIDER, _MODEL))
    dearest = sorted(models.items(), key=lambda item: (-item[1].cost, [str(k) for k in item[0]]))
    return [
        {"provider": provider, "model": model, "currency": currency, **_brief(totals)}
        for (provider, model, currency), totals in dearest[:TOP_MODELS]
    ]


def _trend(groups: Groups, selection: Selection, at: Home) -> list[Row]:
    """A row per day and currency; days of a bounded period without a call, up to today, are zero,
    because nothing was recorded on them."""
    days = _collected(groups, (_DAY,))
    currencies = sorted({str(key[-1]) for key in days}) or [at.currency]
    for label in _days_of(selection, at):
        for currency in currencies:
            days.setdefault((label, currency), Totals())
    return [
        {"date": day, "currency": currency, **_brief(days[(day, currency)])}
        for day, currency in sorted((str(day), str(currency)) for day, currency in days)
    ]


def _days_of(selection: Selection, at: Home) -> list[str]:
    window = selection.window
    until = to_micros(at.now + timedelta(microseconds=1))
    shown = replace(window, end_us=max(window.start_us, min(window.end_us, until)))
    longest = timedelta(days=MAX_FILLED_DAYS) // timedelta(microseconds=1)
    if shown.end_us - shown.start_us > longest:
        return []
    made = buckets(Window(shown.start_us, shown.end_us), "day", selection.zone)
    return [made.label(index) for index in range(len(made))]


def _brief(totals: Totals) -> Row:
    return {
        "total_cost": totals.total_cost,
        "cost": totals.total_cost,
        "requests": totals.requests,
        "tokens": totals.total_tokens,
        "unpriced_count": totals.unpriced,
    }
