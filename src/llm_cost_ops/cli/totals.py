"""Sums under a table: per currency, never across, and what has no price counted beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from llm_cost_ops.cli.output import Row
from llm_cost_ops.cli.tables import amount
from llm_cost_ops.core.money import EXACT


def total_lines(rows: Sequence[Row], *, counted: str | None = None) -> Iterator[str]:
    """A line per currency; `counted` names the field that says how many calls a row stands for."""
    totals: dict[str, Decimal] = {}
    unpriced = partial = 0
    for row in rows:
        cost: Any = row.get("total_cost")
        currency = str(row.get("currency") or "USD")
        if cost is not None:
            totals[currency] = EXACT.add(totals.get(currency, Decimal(0)), Decimal(cost))
        if counted is None:
            unpriced += cost is None
            partial += row.get("cost_status") == "partially_priced"
        else:
            unpriced += int(row.get("unpriced_count") or 0)
            partial += int(row.get("partially_priced_count") or 0)
    for currency, total in sorted(totals.items()):
        yield f"Total {currency} {amount(total)}"
    yield from remarks(unpriced, partial)


def remarks(unpriced: int, partial: int) -> Iterator[str]:
    """What a total does not hold."""
    if unpriced:
        yield f"{unpriced:,} unpriced, not in the total"
    if partial:
        yield f"{partial:,} partially priced: some of what they used has no price"
