"""What the rows of an exported table add up to, per currency, and how many of them have no price:
counted while they are written, so that the file says the sum of its own rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any

from llm_cost_ops.core.money import from_e10
from llm_cost_ops.server.exports.columns import Batch, Column, Exported, Kind, values_at

WORD = "TOTAL"
UNKNOWN = {"unpriced": "unpriced_count", "partially_priced": "partially_priced_count"}
"""Under which name rows of a `cost_status` are counted: what is not, or not all, in the sums."""


class Totals:
    """Sums of amounts and counts by currency. What has no price is not in them: a sum of nothing
    else is None, because unknown is not 0."""

    def __init__(self, table: Exported) -> None:
        self._columns = table.columns
        self._currency = table.place_of("currency")
        self._status = status_of(table)
        self._unknown: dict[str | None, dict[str, int]] = {}
        self._adds_up = table.adds_up
        columns = enumerate(table.columns) if table.adds_up else ()
        self._summed = [n for n, column in columns if _adds_up(column)]
        self._sums: dict[str | None, list[int | None]] = {}
        self.rows_written = 0

    def add(self, batch: Batch) -> None:
        """Count rows."""
        self.rows_written += len(batch)
        if not self._adds_up or not batch:
            return
        currencies = self._of(batch, self._currency)
        statuses = self._of(batch, self._status)
        columns = values_at(batch, self._summed)
        for currency in set(currencies):
            chosen = [each == currency for each in currencies]
            self._count(
                currency,
                [list(compress(column, chosen)) for column in columns],
                Counter(compress(statuses, chosen)),
            )

    def _of(self, batch: Batch, place: int | None) -> Sequence[Any]:
        return [None] * len(batch) if place is None else values_at(batch, [place])[0]

    def _count(
        self, currency: str | None, columns: Sequence[Sequence[Any]], statuses: Mapping[Any, int]
    ) -> None:
        sums = self._sums.setdefault(currency, [None] * len(self._summed))
        unknown = self._unknown.setdefault(currency, dict.fromkeys(UNKNOWN, 0))
        for n, column in enumerate(columns):
            known = [value for value in column if value is not None]
            if known:
                sums[n] = sum(known, sums[n] or 0)
        for status in UNKNOWN:
            unknown[status] += statuses.get(status, 0)

    def rows(self) -> list[list[Any]]:
        """A row per currency in the columns of the table, marked in the first text that is not the
        currency, or else beside it. `mark_of` is None where there is no such column."""
        mark = mark_of(self._columns)
        rows: list[list[Any]] = []
        for currency, sums in self._in_order():
            row: list[Any] = [None] * len(self._columns)
            for place, value in zip(self._summed, sums, strict=True):
                row[place] = value
            apart = self._currency is not None and self._currency < len(row)
            if self._currency is not None and apart:
                row[self._currency] = currency
            if mark is not None:
                named = currency is not None and (not apart or mark == self._currency)
                row[mark] = self._mark(currency, named=named)
            rows.append(row)
        return rows

    def _mark(self, currency: str | None, *, named: bool) -> str:
        words = [f"{WORD} {currency}" if named else WORD]
        unknown = self._unknown[currency] if self._status is not None else self._counted(currency)
        words += [f"{n} {status.replace('_', ' ')}" for status, n in unknown.items() if n]
        return ", ".join(words)

    def _counted(self, currency: str | None) -> dict[str, int]:
        """How many calls of groups are not, or not all, in the sums."""
        sums = zip(self._summed, self._sums[currency], strict=True)
        named = {self._columns[place].name: count or 0 for place, count in sums}
        return {status: named.get(name, 0) for status, name in UNKNOWN.items()}

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
            if self._status is not None:
                row |= {UNKNOWN[each]: n for each, n in self._unknown[currency].items()}
            found.append(row)
        return found

    def _in_order(self) -> list[tuple[str | None, list[int | None]]]:
        return sorted(self._sums.items(), key=lambda item: item[0] or "")


def status_of(table: Exported) -> int | None:
    """Where rows say whether they have a price; None where they count their calls that have none,
    even if their calls are grouped by that."""
    counted = any(table.place_of(name) is not None for name in UNKNOWN.values())
    return None if counted else table.place_of("cost_status")


def mark_of(columns: Sequence[Column]) -> int | None:
    """Where a row of totals says that it is one."""
    texts = [n for n, column in enumerate(columns) if column.kind is Kind.TEXT]
    return next((n for n in texts if columns[n].name != "currency"), texts[0] if texts else None)


def _adds_up(column: Column) -> bool:
    if column.kind is Kind.MONEY:
        return column.name not in ("min", "max")
    counts = column.name in ("requests", "count", "tokens_used", *UNKNOWN)
    return column.kind is Kind.COUNT and (
        counts or column.name.endswith(("tokens", "_count", "_requests"))
    )
