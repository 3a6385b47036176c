"""Root cause of a jump: who and what changed, in parts that sum to it exactly.

The jump is what a bucket cost beyond what was expected of it. What is usual comes from the like
buckets before it: the same hour of the last 14 days, the same weekday of the last 4 weeks, the last
4 weeks or 3 months. They are scaled so that they cost what was expected: their shares of models,
tokens per call, prices, cache hits and retries are compared, and the level is the expectation's.
Where nothing like it was spent before, or nothing was expected, the whole is new.

A call whose metadata has `attempt` above 1 or `is_retry` true repeats another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from llm_cost_ops.core.attribution import OTHER, TOP, Attribution, Cell, attribute
from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.instant import from_micros, to_micros
from llm_cost_ops.core.money import E10, EXACT, from_e10
from llm_cost_ops.core.period import Window, day_start, local_day
from llm_cost_ops.core.pricing.rate import CompiledRate
from llm_cost_ops.core.series import month_after
from llm_cost_ops.core.usage import Quantity
from llm_cost_ops.server.analytics.conditions import Condition
from llm_cost_ops.server.analytics.fields import Dimension, find_field
from llm_cost_ops.server.analytics.grouped import Key
from llm_cost_ops.server.analytics.groups import Groups, TooManyGroups, read_groups
from llm_cost_ops.server.analytics.selection import Grouping, Selection
from llm_cost_ops.server.analytics.totals import Totals
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.forecasts.history import NONE
from llm_cost_ops.server.pricing.cards import stored_card

_FIELDS = {
    "provider": "provider",
    "model": "model",
    "project": "project_id",
    "user": "user_id",
    "api_key": "api_key_id",
    "feature": "feature",
}
_FEWER = ("provider", "model", "project")
_FEWEST = ("provider", "model")
"""Without what the caller writes: every call may have another `attempt`."""
_RETRIES = ("metadata.attempt", "metadata.is_retry")
_LIKE_DAYS = {"hour": [*range(1, 15)], "day": [7, 14, 21, 28], "week": [7, 14, 21, 28]}
_LIKE_MONTHS = 3
_SHARE = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Jump:
    """A bucket of a selection in one currency, and what was expected of it."""

    selection: Selection
    step: str
    window: Window
    currency: str
    expected: Decimal


def narrowed(
    selection: Selection, by: Sequence[Dimension], values: Sequence[str]
) -> Selection | None:
    """The selection's calls that have these values of the dimensions; None where no condition says
    that a call has none of a key's tags."""
    conditions: list[Condition] = []
    for dimension, value in zip(by, values, strict=True):
        field = dimension.field or find_field("tags")
        if field is None:
            raise LookupError(dimension.key)
        if value == NONE:
            if dimension.tag:
                return None
            conditions.append(Condition(field, "exists", (0,)))
        elif dimension.tag:
            spelt = (f"{dimension.tag}:{value}", f"{dimension.tag}={value}")
            alone = (dimension.tag,) if value == "true" else ()
            conditions.append(Condition(field, "in", (*spelt, *alone)))
        else:
            conditions.append(Condition(field, "in", (value,)))
    return selection.also(*conditions)


def causes_of(session: ReadSession, jump: Jump) -> dict[str, Any]:
    """`jump` is `actual_cost - expected_cost`. The amounts of `drivers` sum to it to the last
    digit, and so do the changes of each dimension's members with their rest."""
    windows = like_windows(jump)
    before, after = _both(session, jump, windows)
    expected_e10 = round(Fraction(jump.expected) * E10)
    usual_e10 = round(
        sum((Fraction(cell.cost) for cell in before if cell.priced), Fraction()) * E10
    )
    if expected_e10 > 0 and usual_e10 > 0:
        found = attribute(before, after, baseline_share=Fraction(expected_e10, usual_e10))
    elif expected_e10:
        # Nothing like it to compare with: what was expected is its own, unexplained part.
        found = attribute([Cell({}, 0, from_e10(expected_e10))], after)
    else:
        found = attribute([], after)
    return _shown(found, len(windows))


def like_windows(jump: Jump) -> list[Window]:
    """The buckets before it that are like it, those of the zone's own clock."""
    zone = jump.selection.zone
    if jump.step == "hour":
        return [_days_before(jump.window, days, zone) for days in _LIKE_DAYS["hour"]]
    first = local_day(jump.window.start_us, zone)
    until = local_day(jump.window.end_us, zone)
    if jump.step == "month":
        starts = [_months_before(first, back) for back in range(_LIKE_MONTHS, -1, -1)]
        edges = [day_start(day, zone) for day in starts]
        return [Window(a, b) for a, b in pairwise(edges)]
    backs = [timedelta(days=days) for days in _LIKE_DAYS[jump.step]]
    return [Window(day_start(first - b, zone), day_start(until - b, zone)) for b in backs]


def _months_before(day: date, months: int) -> date:
    return month_after(datetime.combine(day, time()), -months, 1).date()


def _days_before(window: Window, days: int, zone: ZoneInfo) -> Window:
    """The hour that the zone's clock showed on an earlier day."""
    local = from_micros(window.start_us).astimezone(zone)
    # Arithmetic of a zone's own datetimes is that of its clock.
    start_us = to_micros(local - timedelta(days=days))
    return Window(start_us, start_us + window.end_us - window.start_us)


def _both(
    session: ReadSession, jump: Jump, windows: Sequence[Window]
) -> tuple[list[Cell], list[Cell]]:
    """The usage of the like buckets and of the jump's own, by the same dimensions: by fewer of them
    where one has too many groups. Raises TooManyGroups when the fewest are too many."""
    cards: dict[str, CompiledRate | None] = {}

    def by(names: Sequence[str], extra: Sequence[str]) -> tuple[list[Cell], list[Cell]]:
        after = list(_cells(session, jump, jump.window, (names, extra), cards))
        every = (_cells(session, jump, window, (names, extra), cards) for window in windows)
        return [cell for cells in every for cell in cells], after

    for names in (tuple(_FIELDS), _FEWER):
        with suppress(TooManyGroups):
            return by(names, _RETRIES)
    return by(_FEWEST, ())


def _cells(
    session: ReadSession,
    jump: Jump,
    window: Window,
    by: tuple[Sequence[str], Sequence[str]],
    cards: dict[str, CompiledRate | None],
) -> Iterator[Cell]:
    if window.start_us < 0:
        return
    names, extra = by
    groups = _groups(session, jump.selection.within(window), names, extra)
    for key, totals in groups.items():
        if totals.is_unpriced or key[-1] == jump.currency:
            yield _cell(session, names, key, totals, cards)


def _groups(
    session: ReadSession, selection: Selection, names: Sequence[str], extra: Sequence[str]
) -> Groups:
    fields = (*(_FIELDS[name] for name in names), "price_version", *extra)
    by = tuple(Dimension(name, find_field(name)) for name in fields)
    return read_groups(session, selection, Grouping(by, {}), from_calls=True)


def _cell(
    session: ReadSession,
    names: Sequence[str],
    key: Key,
    totals: Totals,
    cards: dict[str, CompiledRate | None],
) -> Cell:
    version, *extra = key[len(names) : -1]
    attempt, again = extra or (None, None)
    usage, lines = _priced_usage(session, version, totals, cards)
    requests = max(totals.requests, 0)
    return Cell(
        dict(zip(names, key, strict=False)),
        requests,
        from_e10(totals.cost),
        requests if _is_retry(attempt, again) else 0,
        {kind: max(quantity, 0) for kind, quantity in usage.items()},
        lines,
        not totals.is_unpriced,
    )


def _is_retry(attempt: str | None, again: str | None) -> bool:
    number = attempt is not None and attempt.isascii() and attempt.isdigit()
    return (number and int(attempt or 0) > 1) or again in ("true", "1")


def _priced_usage(
    session: ReadSession,
    version: str | None,
    totals: Totals,
    cards: dict[str, CompiledRate | None],
) -> tuple[Mapping[str, Quantity], Mapping[str, Decimal]]:
    """Quantities that do not overlap, and what each cost, where prices are the same for every call:
    a price that depends on the size of a call cannot be taken of the sum of calls."""
    if version is not None and version not in cards:
        cards[version] = stored_card(session, version)
    card = cards.get(version or "")
    if card is None or card.card.structure is not None or card.bounds or card.card.minimums:
        return _plain_usage(totals), {}
    try:
        rated = card.rate(_inclusive(totals))
    except UsageError:  # corrections may leave counts that no single call could have
        return _plain_usage(totals), {}
    usage: dict[str, Quantity] = {}
    lines: dict[str, Decimal] = {}
    for line in rated.lines:
        usage[line.kind] = usage.get(line.kind, 0) + line.quantity
        lines[line.kind] = lines.get(line.kind, Decimal()) + line.amount
    return (usage, lines) if lines else (_plain_usage(totals), {})


def _inclusive(totals: Totals) -> dict[str, int]:
    counts = {
        "input_tokens": totals.of_kind("input_tokens"),
        "output_tokens": totals.of_kind("output_tokens"),
        "cache_read_tokens": totals.of_kind("cached_tokens"),
        "cache_write_tokens": totals.of_kind("cache_write_tokens"),
        "output_reasoning_tokens": totals.of_kind("reasoning_tokens"),
    }
    return {kind: count for kind, count in counts.items() if count > 0}


def _plain_usage(totals: Totals) -> dict[str, Quantity]:
    cached, written = totals.of_kind("cached_tokens"), totals.of_kind("cache_write_tokens")
    return {
        "input_tokens": totals.of_kind("input_tokens") - cached - written,
        "cache_read_tokens": cached,
        "cache_write_tokens": written,
        "output_tokens": totals.of_kind("output_tokens"),
    }


def _shown(found: Attribution, buckets: int) -> dict[str, Any]:
    return {
        "actual_cost": found.actual,
        "expected_cost": found.baseline,
        "jump": found.change,
        "compared_with": buckets,
        "drivers": [
            {"name": each.name, "amount": each.amount, "share": _share(each.share)}
            for each in found.drivers
            if each.amount or each.name != OTHER
        ],
        "members": {
            dimension: [
                {**asdict(member), "share": _share(member.share)} for member in members[:TOP]
            ]
            for dimension, members in found.members.items()
        },
        "rest": dict(found.rest),
        "unpriced": asdict(found.unpriced),
    }


def _share(share: Decimal | None) -> Decimal | None:
    return None if share is None else share.quantize(_SHARE, context=EXACT)
