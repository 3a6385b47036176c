"""One page for who decides: what was spent, where to, and why it changed."""

from __future__ import annotations

from llm_cost_ops.core.report.decompose import Effect, decompose, together
from llm_cost_ops.core.report.document import Block, Section, Text
from llm_cost_ops.core.wording import calls
from llm_cost_ops.server.reports import cost_summary
from llm_cost_ops.server.reports.blocks import Options, group_table, titled, trend_chart
from llm_cost_ops.server.reports.compared import difference
from llm_cost_ops.server.reports.drawing.values import places_alone, shown
from llm_cost_ops.server.reports.material import Material

TOP = 5
_PARTS = ("volume", "mix", "price", "new models", "models gone", "what cannot be split")


def executive(material: Material, options: Options) -> Section:
    """Figures, a trend, the dearest models, and the change in one sentence."""
    chart, _ = trend_chart(material, "Cost over time by provider", ("provider",))
    groups = material.groups(cost_summary.MODELS)
    table = group_table(
        material, "Models of the highest cost", cost_summary.MODELS, groups, most=TOP + 1
    )
    blocks: list[Block] = [*cost_summary.totals(material, {}).blocks]
    told = _change(material)
    blocks += [chart, *([Text(told)] if told else []), table]
    if material.overview.unpriced:
        blocks.append(
            Text(
                f"{calls(material.overview.unpriced, 'has', 'have')} no price yet: that cost is "
                "not known and is in no figure."
            )
        )
    for currency, found in sorted(material.elsewhere.items()):
        blocks.append(Text(f"Beside it {found.total_cost} {currency}, which no rate converts."))
    return Section(titled(options, "Summary"), tuple(blocks))


def _change(material: Material) -> str:
    before = material.earlier(cost_summary.MODELS)
    if before is None or difference(material, before) is None:
        return ""
    now = material.groups(cost_summary.MODELS)
    effects = decompose(cost_summary.spent_by(before.groups), cost_summary.spent_by(now))
    whole: Effect = together(effects.values())
    if not whole.change:
        return ""
    money = material.currency
    places = places_alone("money", money, abs(whole.change))
    parts = [
        f"{name} {_signed(units, money, places)}"
        for name, units in zip(_PARTS, whole.parts, strict=True)
        if units
    ]
    return (
        f"The cost changed by {_signed(whole.change, money, places)} {money}: {', '.join(parts)}."
    )


def _signed(units: int, currency: str, places: int) -> str:
    """As a reader wants it in a sentence; the tables have the digits."""
    text = shown("money", units, currency=currency, places=places)
    return f"+{text}" if units > 0 and text[0].isdigit() else text
