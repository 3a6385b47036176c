"""What is known that could cost less. Nothing is guessed: no other model is proposed, because what
it would answer is not known."""

from __future__ import annotations

from decimal import Decimal

from llm_cost_ops.core.report.document import Cell, Column, Figure, Figures, Section, Table, Text
from llm_cost_ops.server.analytics.totals import Totals
from llm_cost_ops.server.reports.blocks import (
    MAX_ROWS,
    NONE_OF,
    Options,
    Ranked,
    group_table,
    label_of,
    titled,
)
from llm_cost_ops.server.reports.commitments import commitments
from llm_cost_ops.server.reports.compared import cost_cell
from llm_cost_ops.server.reports.material import Material, ratio

MODELS = ("provider", "model")
MOST = 20
_HUNDREDTH = Decimal("0.01")


def optimization(material: Material, options: Options) -> Section:
    """Where the money goes, how much of the input was cached, what list prices would cost, and what
    is left of commitments."""
    whole, query = material.overview, material.query("/costs/summary")
    listed = None if whole.is_unpriced else whole.list_cost
    cost = cost_cell(whole)
    saved = None if listed is None or cost is None else listed - cost
    money = material.currency
    figures = (
        Figure("Cost", "money", cost, money, None, query),
        Figure("At list prices", "money", listed, money, None, query),
        Figure("Less than list", "money", saved, money, None, query),
        Figure(
            "Cached share of input", "ratio",
            ratio(whole.of_kind("cached_tokens"), whole.of_kind("input_tokens")), None, None, query,
        ),
        Figure("Unpriced calls", "count", whole.unpriced, None, None, query),
    )  # fmt: skip
    groups = material.groups(MODELS)
    text = Text(
        "These are facts of the ledger. Whether another model, a batch or a cache would do is for "
        "those to judge who know what the calls are for."
    )
    table = group_table(material, "Where the money goes", MODELS, groups, most=MOST)
    blocks = (Figures(figures), text, table, *commitments(material))
    return Section(titled(options, "What is known"), blocks)


def cache(material: Material, options: Options) -> Section:
    """What each model read from and wrote to caches."""
    used = material.groups(MODELS)
    ranked = Ranked.of(used, MAX_ROWS)

    def row(label: str, totals: Totals) -> tuple[Cell, ...]:
        given, cached = totals.of_kind("input_tokens"), totals.of_kind("cached_tokens")
        written = totals.of_kind("cache_write_tokens")
        return (
            label, given, cached, written, ratio(cached, given) if given else NONE_OF,
            (Decimal(cached) / written).quantize(_HUNDREDTH) if written else NONE_OF,
            cost_cell(totals),
        )  # fmt: skip

    rows = [row(label_of(key), totals) for key, totals in ranked.rows]
    if ranked.others:
        rows.append(row(f"{ranked.others} others", ranked.other))
    table = Table(
        "Caches by model",
        (
            Column("Model"), Column("Input tokens", "count"), Column("Cached", "count"),
            Column("Written", "count"), Column("Cached share", "ratio"),
            Column("Reads per write", "number"), Column("Cost", "money", material.currency),
        ),
        tuple(rows),
        row("Total", material.overview),
        "Cached and written tokens are part of the input. Models without a cache have none.",
        material.query("/costs/aggregate", group_by=MODELS),
    )  # fmt: skip
    return Section(titled(options, "Caches"), (table,))
