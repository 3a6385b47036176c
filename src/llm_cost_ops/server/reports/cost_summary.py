"""What was spent: totals, trend, breakdowns, and why it changed."""

from __future__ import annotations

from decimal import Decimal

from llm_cost_ops.core.money import PLACES
from llm_cost_ops.core.period import Window
from llm_cost_ops.core.report.compare import MONTH, PREVIOUS, YEAR, earlier
from llm_cost_ops.core.report.decompose import FORMULA, Spent, decompose, together
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
from llm_cost_ops.server.analytics.totals import Totals
from llm_cost_ops.server.reports.blocks import (
    MAX_ROWS,
    Options,
    change_of,
    cost_cell,
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
from llm_cost_ops.server.reports.material import (
    Grouped,
    Material,
    period_text,
    total_of,
)

MODELS = ("provider", "model")
_COMPARED = {PREVIOUS: "Previous period", MONTH: "A month earlier", YEAR: "A year earlier"}


def totals(material: Material, options: Options) -> Section:
    """The key figures."""
    whole, query = material.overview, material.query("/costs/summary")
    before = material.earlier(())
    ago = None if before is None else total_of(before)
    average = whole.average
    figures = (
        cost_figure(material),
        Figure(
            "Calls", "count", whole.requests, None,
            None if ago is None else change_of(whole.requests, ago.requests), query,
        ),
        Figure(
            "Tokens", "count", whole.total_tokens, None,
            None if ago is None else change_of(whole.total_tokens, ago.total_tokens), query,
        ),
        Figure(
            "Cost per call", "money",
            None if average is None else int(average.scaleb(PLACES)),
            material.currency, None, query,
        ),
        Figure("Unpriced calls", "count", whole.unpriced, None, None, query),
    )  # fmt: skip
    blocks: list[Block] = [Figures(figures)]
    if material.wanted.before is not None:
        text = period_text(material.wanted.before, material.wanted)
        blocks.append(Text(f"Changes are against {text}."))
    return Section(titled(options, "Totals"), tuple(blocks))


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
        blocks.append(top_chart(material, f"Dearest by {told}", names, groups))
        blocks.append(group_table(material, f"By {told}", names, groups))
    return Section(titled(options, "Breakdown"), tuple(blocks))


def comparison(material: Material, options: Options) -> Section:
    """The period beside the previous one, the same a month and a year earlier."""
    wanted = material.wanted
    window, zone = wanted.selection.window, wanted.selection.zone
    rows: list[tuple[Cell, ...]] = []
    queries: list[str] = []
    for how, label in ((None, "This period"), *_COMPARED.items()):
        other = window if how is None else earlier(window, zone, how)
        if other is not None:
            found = material.overview if how is None else total_of(material.groups((), other))
            rows.append(_compared(material, label, other, found))
            queries.append(material.query("/costs/summary", other))
    columns = (
        Column("Compared"), Column("Period"), Column("Calls", "count"), Column("Tokens", "count"),
        Column("Cost", "money", material.currency),
        Column("Change to this period", "money", material.currency), Column("Change", "ratio"),
    )  # fmt: skip
    table = Table("Period comparison", columns, tuple(rows), query="\n".join(queries))
    blocks: tuple[Block, ...] = (table,)
    if len(rows) == 1:
        blocks = (table, Text("A period without a start or an end has no earlier one."))
    return Section(titled(options, "Comparison"), blocks)


def _compared(material: Material, label: str, window: Window, found: Totals) -> tuple[Cell, ...]:
    now, cost = cost_cell(material.overview), cost_cell(found)
    this = window == material.wanted.selection.window
    difference = None if now is None or cost is None else now - cost
    change = Decimal() if this and now is not None else change_of(now, cost)
    text = period_text(window, material.wanted)
    return label, text, found.requests, found.total_tokens, cost, difference, change


def drivers(material: Material, options: Options) -> Section:
    """What volume, mix and price did to the cost since the period compared with."""
    title = titled(options, "Why the cost changed")
    before = material.earlier(MODELS)
    if before is None or material.wanted.before is None:
        return Section(title, (Text("There is no earlier period to compare with."),))
    effects = decompose(spent_by(before), spent_by(material.groups(MODELS)))
    ordered = sorted(effects.items(), key=lambda item: (-abs(item[1].change), str(item[0])))
    shown = ordered[:MAX_ROWS]
    rows: list[tuple[Cell, ...]] = [
        (label_of(key), each.before, each.now, *each.parts, each.change) for key, each in shown
    ]
    rest = together(each for _, each in ordered[MAX_ROWS:])
    if len(ordered) > len(shown):
        rows.append((f"{len(ordered) - len(shown)} others", rest.before, rest.now,
                     *rest.parts, rest.change))  # fmt: skip
    whole = together(effects.values())
    names = ("Before", "Now", "Volume", "Mix", "Price", "New", "Gone", "Not split", "Change")
    queries = [material.query("/costs/aggregate", window, group_by=MODELS)
               for window in (material.wanted.before, None)]  # fmt: skip
    table = Table(
        "Price, volume and mix",
        (Column("Model"), *(Column(name, "money", material.currency) for name in names)),
        tuple(rows),
        ("Total", whole.before, whole.now, *whole.parts, whole.change),
        f"{FORMULA}. Not split: models with unpriced calls, and those that use no tokens. Against "
        f"{period_text(material.wanted.before, material.wanted)}; the parts sum to the change.",
        "\n".join(queries),
    )
    return Section(title, (table,))


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
                f"{found.requests} calls were paid in {currency}, and no rate converts them: "
                f"{found.total_cost} {currency} are in no total of this report."
            )
        )
    if not blocks:
        blocks.append(Text("Every call has a price, and all are in the totals."))
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
