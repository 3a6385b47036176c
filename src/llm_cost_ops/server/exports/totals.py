"""What the rows of an exported table add up to, per currency: counted while they are written, so
that the file says the sum of its own rows."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.core.money import from_e10
from llm_cost_ops.server.exports.columns import Batch, Exported, Kind

WORD = "TOTAL"


class Totals:
    """Sums of amounts and counts by currency. What has no price is counted, not taken for 0."""

    def __init__(self, table: Exported) -> None:
        self._columns = table.columns
        self._currency = table.place_of("currency")
        self._summed = [
            place
            for place, column in enumerate(table.columns)
            if column.kind is Kind.MONEY or (column.kind is Kind.COUNT and _adds_up(column.name))
        ]
        self._sums: dict[str | None, list[int]] = {}
        self.rows_written = 0

    def add(self, batch: Batch) -> None:
        """Count rows."""
        self.rows_written += len(batch)
        if self._currency is None:
            columns = list(zip(*batch, strict=True))
            sums = self._sums.setdefault(None, [0] * len(self._summed))
            for n, place in enumerate(self._summed):
                sums[n] += sum(value for value in columns[place] if value is not None)
            return
        for row in batch:
            sums = self._sums.get(row[self._currency])
            if sums is None:
                sums = self._sums[row[self._currency]] = [0] * len(self._summed)
            for n, place in enumerate(self._summed):
                value = row[place]
                if value is not None:
                    sums[n] += value

    def rows(self) -> list[list[Any]]:
        """A row per currency in the columns of the table."""
        rows: list[list[Any]] = []
        for currency, sums in sorted(self._sums.items(), key=lambda item: item[0] or ""):
            row: list[Any] = [None] * len(self._columns)
            for place, value in zip(self._summed, sums, strict=True):
                row[place] = value
            if self._currency is not None:
                row[self._currency] = currency
            text = next((n for n, c in enumerate(self._columns) if c.kind is Kind.TEXT), None)
            if text is not None and text != self._currency:
                row[text] = WORD
            rows.append(row)
        return rows

    def wire(self) -> list[dict[str, object]]:
        """The sums by name, amounts as money."""
        found: list[dict[str, object]] = []
        for currency, sums in sorted(self._sums.items(), key=lambda item: item[0] or ""):
            row: dict[str, object] = {} if self._currency is None else {"currency": currency}
            for place, value in zip(self._summed, sums, strict=True):
                column = self._columns[place]
                row[column.name] = from_e10(value) if column.kind is Kind.MONEY else value
            found.append(row)
        return found


def _adds_up(name: str) -> bool:
    return name == "requests" or name == "count" or name.endswith(("tokens", "_count", "_requests"))
