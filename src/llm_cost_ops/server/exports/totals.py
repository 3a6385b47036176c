"""What the rows of an exported table add up to, per currency: counted while they are written, so
that the file says the sum of its own rows."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.core.money import from_e10
from llm_cost_ops.server.exports.columns import Batch, Column, Exported, Kind

WORD = "TOTAL"


class Totals:
    """Sums of amounts and counts by currency. What has no price is not in them: a sum of nothing
    else is None, because unknown is not 0."""

    def __init__(self, table: Exported) -> None:
        self._columns = table.columns
        self._currency = table.place_of("currency")
        self._adds_up = table.adds_up
        columns = enumerate(table.columns) if table.adds_up else ()
        self._summed = [n for n, column in columns if _adds_up(column)]
        self._sums: dict[str | None, list[int | None]] = {}
        self.rows_written = 0

    def add(self, batch: Batch) -> None:
        """Count rows."""
        self.rows_written += len(batch)
        if not self._adds_up:
            return
        for row in batch:
            currency = None if self._currency is None else row[self._currency]
            sums = self._sums.get(currency)
            if sums is None:
                sums = self._sums[currency] = [None] * len(self._summed)
            for n, place in enumerate(self._summed):
                value = row[place]
                if value is not None:
                    sums[n] = value + (sums[n] or 0)

    def rows(self) -> list[list[Any]]:
        """A row per currency in the columns of the table."""
        text = next((n for n, c in enumerate(self._columns) if c.kind is Kind.TEXT), None)
        rows: list[list[Any]] = []
        for currency, sums in self._in_order():
            row: list[Any] = [None] * len(self._columns)
            for place, value in zip(self._summed, sums, strict=True):
                row[place] = value
            seen = self._currency is not None and self._currency < len(row)
            if text is not None:
                row[text] = WORD if seen or currency is None else f"{WORD} {currency}"
            if self._currency is not None and seen:
                row[self._currency] = currency
            rows.append(row)
        return rows

    def wire(self) -> list[dict[str, object]]:
        """The sums by name, amounts as money."""
        found: list[dict[str, object]] = []
        for currency, sums in self._in_order():
            row: dict[str, object] = {} if self._currency is None else {"currency": currency}
            for place, value in zip(self._summed, sums, strict=True):
                column = self._columns[place]
                row[column.name] = (
                    value if value is None or column.kind is Kind.COUNT else from_e10(value)
                )
            found.append(row)
        return found

    def _in_order(self) -> list[tuple[str | None, list[int | None]]]:
        return sorted(self._sums.items(), key=lambda item: item[0] or "")


def _adds_up(column: Column) -> bool:
    if column.kind is Kind.MONEY:
        return column.name not in ("min", "max")
    counts = column.name in ("requests", "count")
    return column.kind is Kind.COUNT and (
        counts or column.name.endswith(("tokens", "_count", "_requests"))
    )
