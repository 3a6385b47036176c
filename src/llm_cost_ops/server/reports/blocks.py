"""Tables, figures and charts of groups of calls, as sections of reports put them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from llm_cost_ops.core.buckets import Buckets
from llm_cost_ops.core.report.document import (
    Block,
    Cell,
    Chart,
    Column,
    Figure,
    Section,
    Series,
    Table,
    Text,
)
from llm_cost_ops.server.analytics.aggregate import dimensions
from llm_cost_ops.server.analytics.groups import TooManyGroups
from llm_cost_ops.server.analytics.totals import Totals
from llm_cost_ops.server.reports.compared import (
    change_to,
    cost_cell,
    remarks,
    unfinished_remark,
)
from llm_cost_ops.server.reports.material import (
    Earlier,
    Grouped,
    Material,
    Names,
    period_text,
    ratio,
    total_of,
)

MAX_ROWS = 100
TOP = 10
LAYERS = 6
NONE, NONE_OF = "(none)", "none"
"""A value that calls lack; a share of nothing, which is no unknown one."""
OTHER = "other"
Options = Mapping[str, object]
Made = Section | Callable[[], Section]
Maker = Callable[[Material, Options], Made]
"""Reads what a section needs, and gives it or what makes it once the reads are over."""
_TITLES = {
    "project_id": "Project", "team_id": "Team", "user_id": "User", "api_key_id": "API key",
    "model": "Model", "provider": "Provider", "cost_status": "Cost status", "tag": "Tag",
    "service_tier": "Service tier", "metadata.cost_center": "Cost centre",
}  # fmt: skip


def named(options: Options, key: str, otherwise: Sequence[str]) -> tuple[str, ...]:
    """Names among the options of a section."""
    found = options.get(key)
    if not isinstance(found, list):
        return tuple(otherwise)
    return tuple(map(str, cast("list[object]", found)))


def layers(options: Options, material: Material) -> tuple[str, ...]:
    """What a trend is split by: those of the section, else the first asked for. The trend itself is
    of time, so dimensions of time are no layers."""
    asked = named(options, "group_by", ())
    first = asked or material.wanted.group_by or ("provider",)
    names = tuple(each.key for each in dimensions(first) if each.grain is None)
    return names if asked else names[:1]


def overlap_note(names: Sequence[str]) -> str | None:
    """What is to be said of groups that share calls."""
    overlapping = any(each.tag is not None for each in dimensions(names))
    return "A call with several tags is in several of them." if overlapping else None


def titled(options: Options, otherwise: str) -> str:
    """The title of a section."""
    return str(options.get("title", otherwise))


def title_of(name: str) -> str:
    """A dimension for people."""
    known = _TITLES.get(name) or _TITLES.get(f"{name}_id")
    plain = name.removeprefix("metadata.").removeprefix("tag:")
    return known or plain.replace("_", " ").capitalize()


def label_of(key: Names) -> str:
    """The values of a group in one text."""
    return " / ".join(NONE if value is None else value for value in key) or "all"


@dataclass(frozen=True, slots=True)
class Ranked:
    """Groups by cost, the dearest first; what is beyond `most` is one group, `other`."""

    rows: tuple[tuple[Names, Totals], ...]
    others: int
    other: Totals

    @classmethod
    def of(cls, groups: Grouped, most: int) -> Ranked:
        ordered = sorted(groups.items(), key=lambda item: (-item[1].cost, str(item[0])))
        kept = len(ordered) if len(ordered) <= most else most - 1
        return cls(tuple(ordered[:kept]), len(ordered) - kept, total_of(dict(ordered[kept:])))


def group_table(
    material: Material,
    title: str,
    names: Sequence[str],
    groups: Grouped,
    *,
    most: int = MAX_ROWS,
) -> Table:
    """A row per group with requests, tokens, cost and share; the totals are those of the report."""
    whole = material.overview
    unpriced = whole.unpriced > 0
    columns = [
        *(Column(title_of(name)) for name in names),
        Column("Calls", "count"),
        Column("Tokens", "count"),
        Column("Cost", "money", material.currency),
        Column("Share", "ratio"),
        *([Column("Unpriced calls", "count")] if unpriced else []),
    ]

    def row(labels: Sequence[str], totals: Totals) -> tuple[Cell, ...]:
        cost = cost_cell(totals)
        share = None if cost is None else ratio(cost, whole.cost)
        rest = (totals.unpriced,) if unpriced else ()
        return (*labels, totals.requests, totals.total_tokens, cost, share, *rest)

    ranked = Ranked.of(groups, most)
    rows = [row([NONE if v is None else v for v in key], totals) for key, totals in ranked.rows]
    blank = [""] * (len(names) - 1)
    if ranked.others:
        rows.append(row([f"{ranked.others} others", *blank], ranked.other))
    return Table(
        title, tuple(columns), tuple(rows), row(["Total", *blank], whole), overlap_note(names),
        material.query("/costs/aggregate", group_by=names),
    )  # fmt: skip


def top_chart(material: Material, title: str, names: Sequence[str], groups: Grouped) -> Chart:
    """The dearest groups as bars."""
    ranked = Ranked.of(groups, TOP + 1)
    shown = [(label_of(key), cost_cell(totals)) for key, totals in ranked.rows[:TOP]]
    first = shown[0][0] if shown else "nothing"
    return Chart(
        "bars",
        title,
        _told(
            f"The {len(shown)} of the highest cost among {len(groups)}; {first} is first.", names
        ),
        tuple(label for label, _ in shown),
        (Series("Cost", tuple(cost for _, cost in shown)),),
        currency=material.currency,
        query=material.query("/costs/aggregate", group_by=names),
    )


def trend_chart(material: Material, title: str, names: Sequence[str]) -> tuple[Chart, Table]:
    """The cost over time, a layer for each of the dearest groups, and the sums as a table."""
    made, rows, by = split_trend(material, names)
    title = title if by == names else f"{title}: not split, too many"
    names = by
    sums = {key: total_of(dict(enumerate_totals(each))) for key, each in rows.items()}
    ranked = Ranked.of(sums, LAYERS)
    labels = tuple(made.label(place) for place in range(len(made)))
    layers = [(label_of(key), rows[key]) for key, _ in ranked.rows]
    if ranked.others:
        kept = {key for key, _ in ranked.rows}
        rest = [each for key, each in rows.items() if key not in kept]
        layers.append((OTHER, [_summed(column) for column in zip(*rest, strict=True)]))
    # Read for itself, because layers of tags share calls.
    (whole,) = material.trend(())[1].values() or ([Totals() for _ in labels],)
    query = material.query("/costs/aggregate", group_by=(*names, made.grain))
    chart = Chart(
        "stacked",
        title,
        _told(f"Cost by {made.grain} from {labels[0]} to {labels[-1]}.", names),
        labels,
        tuple(Series(name, tuple(map(cost_cell, each))) for name, each in layers),
        currency=material.currency,
        query=query,
    )
    return chart, _trend_table(material, made.grain, labels, whole)


def split_trend(
    material: Material, names: Sequence[str]
) -> tuple[Buckets, dict[Names, list[Totals]], Sequence[str]]:
    """A trend by the values of dimensions, or without any where they have too many of them in all
    buckets together; and by which it is."""
    try:
        return *material.trend(names), names
    except TooManyGroups:
        return *material.trend(()), ()


def _trend_table(
    material: Material, grain: str, labels: Sequence[str], whole: list[Totals]
) -> Table:
    return Table(
        f"By {grain}",
        (
            Column(grain.capitalize()),
            Column("Calls", "count"),
            Column("Tokens", "count"),
            Column("Cost", "money", material.currency),
        ),
        tuple(
            (label, totals.requests, totals.total_tokens, cost_cell(totals))
            for label, totals in zip(labels, whole, strict=True)
        ),
        (
            "Total", material.overview.requests, material.overview.total_tokens,
            cost_cell(material.overview),
        ),
        query=material.query("/costs/aggregate", group_by=(grain,)),
    )  # fmt: skip


def _told(text: str, names: Sequence[str]) -> str:
    return " ".join(filter(None, (text, overlap_note(names))))


def enumerate_totals(each: Sequence[Totals]) -> list[tuple[Names, Totals]]:
    """Totals under keys of their own."""
    return [((str(place),), totals) for place, totals in enumerate(each)]


def _summed(column: Sequence[Totals]) -> Totals:
    return total_of(dict(enumerate_totals(column)))


def cost_figure(material: Material, before: Earlier | None) -> Figure:
    """The cost of the period against the one compared with."""
    cost = cost_cell(material.overview)
    ago = None if before is None else cost_cell(before.totals)
    change = change_to(material, before, cost, ago)
    query = material.query("/costs/summary")
    return Figure("Total cost", "money", cost, material.currency, change, query)


def against(material: Material, before: Earlier | None) -> list[Block]:
    """What the changes of figures are against, and what that lacks."""
    if before is None:
        return []
    said = [f"Changes are against {period_text(before.window, material.wanted)}."]
    said += [*remarks(material, before), *unfinished_remark(material)]
    return [Text(" ".join(said))]
