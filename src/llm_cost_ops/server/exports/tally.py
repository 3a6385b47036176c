"""How far the making of a file is: its rows and their totals, counted as they pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.focus.columns import COLUMNS
from llm_cost_ops.core.money import EXACT
from llm_cost_ops.server.exports.columns import Batch, Exported
from llm_cost_ops.server.exports.totals import Totals

_CURRENCY, _BILLED = (list(COLUMNS).index(name) for name in ("BillingCurrency", "BilledCost"))


class Tally:
    """`rows` that have passed. `totals` are those of a table, per currency; of FOCUS what is
    `billed`."""

    def __init__(self) -> None:
        self.rows = 0
        self.names: frozenset[str] = frozenset()
        """The columns of a table that may have sums."""
        self.billed: dict[str, Decimal] = {}
        self._totals: Totals | None = None

    def of(self, table: Exported) -> Exported:
        """The same table, counted."""
        totals = self._totals = Totals(table)
        self.names = frozenset(c.name for c in table.columns if table.adds_up)

        def counted() -> Iterator[Batch]:
            for batch in table.batches:
                totals.add(batch)
                self.rows += len(batch)
                yield batch

        return replace(table, batches=counted())

    def of_pages(self, pages: Iterator[list[Any]]) -> Iterator[list[Any]]:
        """The same pages of rows, counted."""
        for page in pages:
            self.rows += len(page)
            for row in page:
                currency, billed = row[_CURRENCY], row[_BILLED]
                self.billed[currency] = EXACT.add(self.billed.get(currency, Decimal(0)), billed)
            yield page

    def totals(self) -> list[dict[str, object]]:
        """The sums by name."""
        if self._totals is not None:
            return self._totals.wire()
        return [{"currency": c, "BilledCost": sum_} for c, sum_ in sorted(self.billed.items())]
