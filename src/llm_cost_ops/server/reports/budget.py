"""Budgets against what was spent: where each stands in the period that the report ends in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from urllib.parse import quote, urlencode

from llm_cost_ops.core.budget import Budget, Limits
from llm_cost_ops.core.instant import format_micros, format_minute, to_micros
from llm_cost_ops.core.period import ALL_TIME, day_start, local_day, time_zone
from llm_cost_ops.core.report.compare import whole_days
from llm_cost_ops.core.report.document import (
    Block,
    Cell,
    Chart,
    Column,
    Section,
    Series,
    Table,
    Text,
)
from llm_cost_ops.server.budgets.allowed import hidden
from llm_cost_ops.server.budgets.standings import standings
from llm_cost_ops.server.reports.blocks import MAX_ROWS, Options, titled
from llm_cost_ops.server.reports.material import API, Material, last_moment
from llm_cost_ops.server.spend import store
from llm_cost_ops.server.spend.counters import Standing
from llm_cost_ops.server.spend.index import Index

BARS = 20
_MILLION = 1_000_000
EXCEEDED, UNKNOWN, AT_LEAST = "exceeded", "unknown", " (at least)"


def budgets(material: Material, options: Options) -> Section:
    """What each budget allows, what is spent of it, and the variance: what is left of the limit,
    negative when it is exceeded."""
    title = titled(options, "Budgets")
    session, organization_id = material.session, material.wanted.selection.organization_id
    at_us = last_moment(material.wanted.selection.window, material.at)
    index = Index(1, store.load(session, organization_id))
    unseen = hidden(material.wanted.reach, index, index.budgets.values())
    known = [each for each in index.budgets.values() if each.id not in unseen]
    ends = {zone: _end(material, zone) for zone in {each.zone for each in known}}
    where: dict[str, Standing | None] = {}
    for zone, end_us in ends.items():
        where |= standings(session, [each for each in known if each.zone == zone], end_us)
    found = [(each, standing) for each in known if (standing := where[each.id]) is not None]
    if not found:
        return Section(title, (Text("No budget was in force at the end of the period."),))
    now = all(end_us + 1 >= to_micros(material.at.now) for end_us in ends.values())
    query = f"GET {API}/budgets" if now else _spent_queries(found)
    zone = material.wanted.selection.zone
    told = f"As of {format_minute(at_us + 1, zone)}."
    if material.wanted.filters:
        told += " Filters of the report do not apply to budgets: each counts what its own scope is."
    blocks: list[Block] = [Text(told)]
    for currency in sorted({budget.currency for budget, _ in found}):
        own = [each for each in found if each[0].currency == currency]
        money = [each for each in own if each[1].limits.e10 is not None]
        if money:
            blocks += [_chart(money, currency, query), _table(money, currency, query)]
    for heading, name in (("Limits of tokens", "tokens"), ("Limits of calls", "requests")):
        limited = [each for each in found if getattr(each[1].limits, name) is not None]
        if limited:
            blocks.append(_counts(heading, name, limited, query))
    return Section(title, tuple(blocks))


def _end(material: Material, zone: str) -> int:
    """The last instant of the report's period for a budget with days of this zone: the end of the
    same date, so that a month of another zone is that month and not the hours of the next."""
    window, own = material.wanted.selection.window, material.wanted.selection.zone
    at_us = last_moment(window, material.at)
    if window.is_empty or window.end_us >= ALL_TIME.end_us or at_us + 1 < window.end_us:
        return at_us
    last = local_day(at_us, own)
    if day_start(last + timedelta(days=1), own) != window.end_us:
        return at_us
    end_us = day_start(last + timedelta(days=1), time_zone(zone)) - 1
    return min(end_us, to_micros(material.at.now))


Found = Sequence[tuple[Budget, Standing]]


def _chart(found: Found, currency: str, query: str) -> Chart:
    shown = sorted(found, key=lambda each: -each[1].share)[:BARS]
    exceeded = sum(not standing.limits.fits(standing.used) for _, standing in found)
    open_ = sum(_status(standing) == UNKNOWN for _, standing in found)
    parted = any(_is_least(standing) for _, standing in shown)
    told = f"{exceeded} of {len(found)} budgets are exceeded."
    if open_:
        told += f" Of {open_} it is not known, because the cost of some calls is not."

    def spent(*, least: bool) -> Iterator[int | None]:
        for _, standing in shown:
            yield _spent(standing) if _is_least(standing) is least else None

    return Chart(
        "bullet",
        f"Spent of the limit, {currency}",
        told,
        tuple(budget.name for budget, _ in shown),
        (
            Series("spent", tuple(spent(least=False))),
            Series("limit", tuple(standing.limits.e10 for _, standing in shown)),
            *([Series("at least", tuple(spent(least=True)))] if parted else []),
        ),
        currency=currency,
        query=query,
    )


def _table(found: Found, currency: str, query: str) -> Table:
    least = any(_is_least(each) and _spent(each) is not None for _, each in found[:MAX_ROWS])
    names = ("Limit", "Spent" + AT_LEAST * least, "Reserved", "Variance")
    note = "Variance is the limit without what is spent. "
    if any(_is_least(standing) for _, standing in found[:MAX_ROWS]):
        note += (
            "Calls without a price, and those in another currency, are in no amount: what such a "
            "budget has spent is at least what is shown, and its variance is not known. "
        )
    note += "A budget may count calls that another one counts, too, so nothing is added up. "
    return Table(
        f"Variance, {currency}",
        (
            Column("Budget"), Column("Period"),
            *(Column(name, "money", currency) for name in names),
            Column("Used", "ratio"), Column("Unpriced calls", "count"), Column("Status"),
        ),
        tuple(_row(budget, standing) for budget, standing in found[:MAX_ROWS]),
        note=(note + _left_out(found)).strip(),
        query=query,
    )  # fmt: skip


def _left_out(found: Found) -> str:
    more = len(found) - MAX_ROWS
    return f"{more} further budgets are not shown." if more > 0 else ""


def _row(budget: Budget, standing: Standing) -> tuple[Cell, ...]:
    limit, spent = standing.limits.e10, _spent(standing)
    known = limit is not None and spent is not None and not _is_least(standing)
    return (
        budget.name,
        _period(budget, standing),
        limit,
        spent,
        standing.held.e10,
        limit - spent if known and limit is not None and spent is not None else None,
        Decimal(Limits(limit).share(standing.used)) / _MILLION if known else None,
        standing.unpriced,
        _status(standing),
    )


def _period(budget: Budget, standing: Standing) -> str:
    """The days that the budget counts, by its own zone; else the instants."""
    window, zone = standing.window, time_zone(budget.zone)
    open_end = window.start_us <= ALL_TIME.start_us or window.end_us >= ALL_TIME.end_us
    days = None if open_end else whole_days(window, zone)
    if days is not None:
        return days[0].isoformat() if days[0] == days[1] else f"{days[0]} to {days[1]}"
    return " to ".join(
        "open" if edge in (ALL_TIME.start_us, ALL_TIME.end_us) else format_minute(edge, zone)
        for edge in (window.start_us, window.end_us)
    )


def _status(standing: Standing) -> str:
    """Exceeded is certain even where some cost is not known; that there is room is not."""
    if not Limits(standing.limits.e10).fits(standing.used):
        return EXCEEDED
    return UNKNOWN if _is_least(standing) else "ok"


def _is_least(standing: Standing) -> bool:
    """Whether more is spent than counts: calls have no price, or were paid in another currency."""
    return standing.unpriced + standing.other_currency > 0


def _spent(standing: Standing) -> int | None:
    """What is spent, at least; not known where there are calls and the cost of none is known."""
    used = standing.used
    uncounted = standing.unpriced + standing.other_currency
    return None if 0 < used.requests <= uncounted and not used.e10 else used.e10


def _counts(title: str, name: str, found: Found, query: str) -> Table:
    """Limits of tokens or of calls against what is used."""
    rows: list[tuple[Cell, ...]] = []
    for budget, standing in found[:MAX_ROWS]:
        limit, used = int(getattr(standing.limits, name)), int(getattr(standing.used, name))
        own = Limits(**{name: limit})
        rows.append(
            (
                budget.name, _period(budget, standing), limit, used,
                int(getattr(standing.held, name)), limit - used,
                Decimal(own.share(standing.used)) / _MILLION,
                "ok" if own.fits(standing.used) else EXCEEDED,
            )
        )  # fmt: skip
    return Table(
        title,
        (
            Column("Budget"), Column("Period"),
            *(Column(each, "count") for each in ("Limit", "Counted", "Reserved", "Left")),
            Column("Used", "ratio"), Column("Status"),
        ),
        tuple(rows),
        note=_left_out(found) or None,
        query=query,
    )  # fmt: skip


def _spent_queries(found: Found) -> str:
    """What budgets of an earlier period had spent, adjustments apart: the calls in their scope."""
    lines: list[str] = []
    for budget, standing in found[:MAX_ROWS]:
        window = standing.window
        named = [(name, ",".join(sorted(values))) for name, values in budget.scope.dimensions]
        scope = urlencode(named, quote_via=quote, safe=",")
        lines.append(
            f"GET {API}/costs/summary?start_date={format_micros(window.start_us)}"
            f"&end_date={format_micros(window.end_us)}{'&' if scope else ''}{scope}"
        )
    return "\n".join(lines)
