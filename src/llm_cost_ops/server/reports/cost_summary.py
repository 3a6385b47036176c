"""What was spent: totals, trend, breakdowns, and why it changed."""

from __future__ import annotations

from decimal import Decimal

from llm_cost_ops.core.money import PLACES
from llm_cost_ops.core.report.compare import MONTH, PREVIOUS, YEAR, earlier
from llm_cost_ops.core.report.decompose import FORMULA, Effect, Spent, decompose, together
from llm_cost_ops.core.report.document import (
    Block,
    Cell,
    Column,
    Figure,
    Figures,
    Section,
    Table,
    Text,
)
from llm_cost_ops.core.wording import calls
from llm_cost_ops.server.analytics.totals import Totals
from llm_cost_ops.server.reports.blocks import (
    MAX_ROWS,
    Options,
    against,
    cost_figure,
    group_table,
    label_of,
    layers,
    named,
    title_of,
    titled,
    top_chart,
    trend_chart,
)
from llm_cost_ops.server.reports.booked import of_books
from llm_cost_ops.server.reports.compared import (
    change_to,
    cost_cell,
    difference,
    remarks,
    unfinished_remark,
)
from llm_cost_ops.server.reports.material import (
    Earlier,
    Grouped,
    Material,
    period_text,
    total_of,
)

MODELS = ("provider", "model")
_UNKNOWN = (
    "Of a model no call of which has a price in a period the change is not known; the total then "
    "has what is known as not split, new or gone."
)
_COMPARED = {PREVIOUS: "Previous period", MONTH: "A month earlier", YEAR: "A year earlier"}


def totals(material: Material, options: Options) -> Section:
    """The key figures."""
    whole, query = material.overview, material.query("/costs/summary")
    before = material.earlier(())
    ago = None if before is None else before.totals
    average = whole.average
    figures = (
        cost_figure(material, before),
        Figure(
            "Calls", "count", whole.requests, None,
            change_to(material, before, whole.requests, ago and ago.requests), query,
        ),
        Figure(
            "Tokens", "count", whole.total_tokens, None,
            change_to(material, before, whole.total_tokens, ago and ago.total_tokens), query,
        ),
        Figure(
            "Cost per call", "money",
            None if average is None else int(average.scaleb(PLACES)),
            material.currency, None, query,
        ),
        Figure("Unpriced calls", "count", whole.unpriced, None, None, query),
    )  # fmt: skip
    blocks = (Figures(figures), *against(material, before), *of_books(material))
    return Section(titled(options, "Totals"), blocks)


def trend(material: Material, options: Options) -> Section:
    """The cost over time."""
    names = layers(options, material)
    told = f" by {title_of(names[0]).lower()}" if names else ""
    chart, table = trend_chart(material, f"Cost over time{told}", names)
    return Section(titled(options, "Trend"), (chart, table))


def breakdown(material: Material, options: Options) -> Section:
    """The cost by groups: those asked for, else by model, by provider and by project."""
    asked = named(options, "group_by", material.wanted.group_by)
    sets = [asked] if asked else [MODELS, ("provider",), ("project_id",)]
    blocks: list[Block] = []
    for names in sets:
        groups = material.groups(names)
        told = ", ".join(title_of(name).lower() for name in names)
        blocks.append(top_chart(material, f"Highest cost by {told}", names, groups))
        blocks.append(group_table(material, f"By {told}", names, groups))
    return Section(titled(options, "Breakdown"), tuple(blocks))


def comparison(material: Material, options: Options) -> Section:
    """The period beside the previous one, the same a month and a year earlier."""
    wanted = material.wanted
    window, zone = wanted.selection.window, wanted.selection.zone
    rows = [_this(material)]
    queries = [material.query("/costs/summary", window)]
    said = unfinished_remark(material)
    for how, label in _COMPARED.items():
        other = earlier(window, zone, how)
        if other is not None:
            found = material.of((), other)
            rows.append(_compared(material, label, found))
            queries.append(material.query("/costs/summary", other))
            said += remarks(material, found)
    columns = (
        Column("Compared"), Column("Period"), Column("Calls", "count"), Column("Tokens", "count"),
        Column("Cost", "money", material.currency),
        Column("Change to this period", "money", material.currency), Column("Change", "ratio"),
        Column("Unpriced calls", "count"),
    )  # fmt: skip
    note = " ".join(dict.fromkeys(said)) if len(rows) > 1 else None
    table = Table("Period comparison", columns, tuple(rows), None, note or None, "\n".join(queries))
    blocks: tuple[Block, ...] = (table,)
    if len(rows) == 1:
        blocks = (table, Text("A period without a start or an end has no earlier one."))
    return Section(titled(options, "Comparison"), blocks)


def _this(material: Material) -> tuple[Cell, ...]:
    whole = material.overview
    cost = cost_cell(whole)
    none = (None, None) if cost is None else (0, Decimal())
    text = period_text(material.wanted.selection.window, material.wanted)
    return (
        "This period", text, whole.requests, whole.total_tokens, cost, *none, whole.unpriced,
    )  # fmt: skip


def _compared(material: Material, label: str, other: Earlier) -> tuple[Cell, ...]:
    found = other.totals
    cost = cost_cell(found)
    change = change_to(material, other, cost_cell(material.overview), cost)
    return (
        label, period_text(other.window, material.wanted), found.requests, found.total_tokens,
        cost, difference(material, other), change, found.unpriced,
    )  # fmt: skip


def drivers(material: Material, options: Options) -> Section:
    """What volume, mix and price did to the cost since the period compared with."""
    title = titled(options, "Why the cost changed")
    before = material.earlier(MODELS)
    if before is None:
        return Section(title, (Text("There is no earlier period to compare with."),))
    after = material.groups(MODELS)
    effects = decompose(spent_by(before.groups), spent_by(after))
    ordered = sorted(effects.items(), key=lambda item: (-abs(item[1].change), str(item[0])))
    shown = ordered[:MAX_ROWS]
    rows: list[tuple[Cell, ...]] = [
        (label_of(key), *_effect(each, before.groups.get(key), after.get(key)))
        for key, each in shown
    ]
    rest = together(each for _, each in ordered[MAX_ROWS:])
    if len(ordered) > len(shown):
        rows.append((f"{len(ordered) - len(shown)} others", *_effect(rest)))
    whole = together(effects.values())
    names = ("Before", "Now", "Volume", "Mix", "Price", "New", "Gone", "Not split", "Change")
    queries = [material.query("/costs/aggregate", window, group_by=MODELS)
               for window in (before.window, None)]  # fmt: skip
    table = Table(
        "Price, volume and mix",
        (Column("Model"), *(Column(name, "money", material.currency) for name in names)),
        tuple(rows),
        ("Total", *_effect(whole, before.totals, material.overview)),
        f"{FORMULA}. Not split: models with unpriced calls, and those that use no tokens. Against "
        f"{period_text(before.window, material.wanted)}; the parts sum to the change. {_UNKNOWN}",
        "\n".join(queries),
    )
    said = [*remarks(material, before), *unfinished_remark(material)]
    return Section(title, (table, *([Text(" ".join(said))] if said else [])))


def _effect(
    effect: Effect, before: Totals | None = None, now: Totals | None = None
) -> tuple[Cell, ...]:
    """The cells of an effect; unknown ones where no call of a period has a price."""
    lacks = [each is not None and each.is_unpriced for each in (before, now)]
    ends = [
        None if lack else end for lack, end in zip(lacks, (effect.before, effect.now), strict=True)
    ]
    if any(lacks):
        return (*ends, *(None for _ in effect.parts), None)
    return (*ends, *effect.parts, effect.change)


def spent_by(groups: Grouped) -> dict[tuple[str | None, ...], Spent]:
    """What models cost; one of whose calls none has a price has no units."""
    return {
        key: Spent(totals.cost, totals.priced_tokens)
        for key, totals in groups.items()
        if totals.cost or not totals.unpriced or totals.low is not None
    } | {key: Spent(0, None) for key, totals in groups.items() if totals.is_unpriced}


def unpriced(material: Material, options: Options) -> Section:
    """What the totals do not hold: calls without a price, and other currencies."""
    title = titled(options, "What is not in the totals")
    blocks: list[Block] = []
    if material.overview.unpriced or material.overview.partially_priced:
        blocks.append(_without_price(material))
    for currency, found in sorted(material.elsewhere.items()):
        blocks.append(
            Text(
                f"{calls(found.requests, 'was', 'were')} paid in {currency}, which no rate "
                f"converts: {found.total_cost} {currency} are in no total of this report."
            )
        )
    if not blocks:
        blocks.append(Text("Every call of the period has a price and is in the totals."))
    return Section(title, tuple(blocks))


def _without_price(material: Material) -> Table:
    groups = material.groups(MODELS)
    lacking = {k: t for k, t in groups.items() if t.unpriced or t.partially_priced}
    ordered = sorted(lacking.items(), key=lambda item: (-item[1].unpriced, str(item[0])))
    rows: list[tuple[Cell, ...]] = [
        (label_of(key), t.requests, t.unpriced, t.partially_priced) for key, t in ordered[:MAX_ROWS]
    ]
    if len(ordered) > MAX_ROWS:
        rest = total_of(dict(ordered[MAX_ROWS:]))
        rows.append((f"{len(ordered) - MAX_ROWS} others", rest.requests, rest.unpriced,
                     rest.partially_priced))  # fmt: skip
    whole = total_of(lacking)
    return Table(
        "Calls without a price",
        (
            Column("Model"), Column("Calls", "count"), Column("Unpriced", "count"),
            Column("Partially priced", "count"),
        ),
        tuple(rows),
        ("Total", whole.requests, whole.unpriced, whole.partially_priced),
        "An unpriced call has no cost yet and adds nothing; of a partially priced one the known "
        "part is in the totals.",
        material.query("/costs/aggregate", group_by=MODELS),
    )  # fmt: skip
