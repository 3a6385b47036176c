"""Groups of calls as rows: dimensions, currency and metrics, ordered, and cut where asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import itemgetter
from typing import Any, cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import parse_instant
from llm_cost_ops.server.analytics.asked import Asked
from llm_cost_ops.server.analytics.currencies import by_currency, settled
from llm_cost_ops.server.analytics.fields import (
    DIMENSION_NAMES,
    Dimension,
    find_dimension,
)
from llm_cost_ops.server.analytics.grouped import Key
from llm_cost_ops.server.analytics.groups import Groups, read_groups
from llm_cost_ops.server.analytics.kinds import read_kinds
from llm_cost_ops.server.analytics.metrics import ALWAYS, OF_TOTALS, Metrics, always, metrics
from llm_cost_ops.server.analytics.selection import Grouping, Selection, grouping
from llm_cost_ops.server.analytics.spread import deviations, percentiles
from llm_cost_ops.server.analytics.totals import Totals
from llm_cost_ops.server.db.session import ReadSession

MAX_DIMENSIONS = 8
Row = dict[str, object]


class GroupingError(DomainError):
    """A dimension or an order that is not known."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which groups and metrics, in which order; each order is a column and whether it descends."""

    dimensions: tuple[Dimension, ...] = ()
    metrics: Metrics = field(default_factory=Metrics)
    order: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows asked for, whether more follow, and the totals of all groups per currency (None
    where groups overlap because a call has several tags)."""

    rows: list[Row]
    has_more: bool
    totals: dict[str, Totals] | None


def dimensions(names: Sequence[str], name: str = "group_by") -> tuple[Dimension, ...]:
    """Dimensions by name, each once. Raises GroupingError."""
    found: list[Dimension] = []
    for wanted in dict.fromkeys(names):
        dimension = find_dimension(wanted)
        if dimension is None:
            raise GroupingError(f"must be among: {', '.join(DIMENSION_NAMES)}", field=name)
        found.append(dimension)
    if len(found) > MAX_DIMENSIONS:
        raise GroupingError(f"must be at most {MAX_DIMENSIONS}", field=name)
    return tuple(found)


def question_of(
    asked: Asked, *, more: Sequence[str] = (), limit: int | None = None, offset: int = 0
) -> Question:
    """Reads `group_by`, `metrics` and `order_by`; faults are noted in `asked`."""
    names = [n for n in asked.names("group_by", "dimensions", "groupby") if n != "none"]
    wanted = asked.names("metrics", "metric")
    order = order_of(asked)
    try:
        question = Question(dimensions([*more, *names]), metrics(wanted), order, limit, offset)
        _check_order(question)
    except DomainError as error:
        asked.note(error, "group_by")
        return Question()
    return question


def order_of(asked: Asked) -> tuple[tuple[str, bool], ...]:
    """Reads `order_by` (or `sort`): names, descending ones with a `-` before or `:desc` behind."""
    direction = asked.text("order", "sort_order")
    if direction not in (None, "asc", "desc"):
        asked.errors["order"] = "must be asc or desc"
    found: list[tuple[str, bool]] = []
    for given in asked.names("order_by", "sort", "sort_by"):
        name, _, way = given.lstrip("+-").partition(":")
        if way not in ("", "asc", "desc"):
            asked.errors["order_by"] = "must be names, with - before a descending one"
        found.append((name, given.startswith("-") or way == "desc" or direction == "desc"))
    return tuple(found)


def _check_order(question: Question) -> None:
    known = {dimension.key for dimension in question.dimensions} | ALWAYS | {"currency"}
    known |= set(question.metrics.names) | {name for name, _ in question.metrics.percents}
    known |= {"stddev"} if question.metrics.stddev else set()
    for name, _ in question.order:
        if name not in known:
            raise GroupingError("must be a dimension or a metric of this query", field="order_by")


def aggregate(
    session: ReadSession, selection: Selection, question: Question, home_currency: str
) -> Answer:
    """The groups of a selection. Raises TooManyGroups and PeriodError."""
    selection, by = grouping(session, selection, question.dimensions)
    groups = _groups(session, selection, by, question.metrics)
    explicit = any(d.field and d.field.name == "currency" for d in question.dimensions)
    groups = settled(groups, home_currency, by_currency=explicit)
    if not groups and not question.dimensions:
        groups[(home_currency,)] = Totals()  # nothing was recorded: the sum of nothing is 0
    extras = _extras(session, selection, by, question.metrics, groups)
    names = (*(dimension.key for dimension in question.dimensions), "currency")
    more = [(name, OF_TOTALS[name]) for name in question.metrics.names]
    rows: list[Row] = []
    for key, totals in groups.items():
        row: Row = {**dict(zip(names, key, strict=True)), **always(totals)}
        for name, metric in more:
            row[name] = metric(totals)
        if extras:
            row.update(extras.get(key, ()))
        rows.append(row)
    ordered = ordered_rows(rows, question)
    end = len(rows) if question.limit is None else question.offset + question.limit
    overlapping = any(d.tag is not None for d in question.dimensions)
    return Answer(
        ordered[question.offset : end],
        end < len(rows),
        None if overlapping else by_currency(groups),
    )


def _groups(session: ReadSession, selection: Selection, by: Grouping, wanted: Metrics) -> Groups:
    groups = read_groups(session, selection, by, wanted.sums)
    if wanted.needs_priced_tokens and any(t.priced_tokens is None for t in groups.values()):
        return read_groups(session, selection, by, wanted.sums, from_calls=True)
    return groups


def _extras(
    session: ReadSession,
    selection: Selection,
    by: Grouping,
    wanted: Metrics,
    groups: Groups,
) -> dict[Key, Row]:
    """What needs a read of its own, under the keys of the settled groups."""
    if not (wanted.percents or wanted.stddev or wanted.kinds):
        return {}
    extras: dict[Key, Row] = {key: {} for key in groups}
    if wanted.percents:
        asked = sorted({percent for _, percent in wanted.percents})
        at = percentiles(session, selection, by, asked)
        for key, row in extras.items():
            row.update({name: at.get(key, {}).get(p) for name, p in wanted.percents})
    if wanted.stddev:
        spread = deviations(session, selection, by)
        for key, row in extras.items():
            row["stddev"] = spread.get(key)
    if wanted.kinds:
        for row in extras.values():
            row["tokens_by_kind"] = {}
        for key, kinds in read_kinds(session, selection, by).items():
            _add_kinds(extras, key, kinds)
    return extras


def _add_kinds(extras: dict[Key, Row], key: Key, kinds: Mapping[str, int | Decimal]) -> None:
    """Unpriced calls were counted in the currency of their group; so are their quantities."""
    place = key if key in extras else next((k for k in extras if k[:-1] == key[:-1]), None)
    if place is None:
        return
    sums = cast("dict[str, int | Decimal]", extras[place]["tokens_by_kind"])
    for kind, quantity in kinds.items():
        sums[kind] = sums.get(kind, 0) + quantity


def ordered_rows(rows: list[Row], question: Question) -> list[Row]:
    """By the order asked for, then by the dimensions; absent values come last either way."""
    hours = {dimension.key for dimension in question.dimensions if dimension.grain == "hour"}
    names = [dimension.key for dimension in question.dimensions]
    order = [*question.order, *((name, False) for name in (*names, "currency"))]
    if not question.order and not hours:
        return _by_names(rows, (*names, "currency"))
    for name, descending in reversed(order):
        known = [row for row in rows if row[name] is not None]
        absent = [row for row in rows if row[name] is None]
        # The two hours of a clock change do not sort by their text.
        place = _instant if name in hours else _itself
        known.sort(key=lambda row, n=name, p=place: p(row[n]), reverse=descending)
        rows = known + absent
    return rows


def _by_names(rows: list[Row], names: Sequence[str]) -> list[Row]:
    if any(row[name] is None for name in names for row in rows):
        return sorted(rows, key=lambda row: [(row[name] is None, row[name]) for name in names])
    return sorted(rows, key=itemgetter(*names))


def _itself(value: object) -> Any:
    return value


def _instant(value: object) -> Any:
    return parse_instant(value)
