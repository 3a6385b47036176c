"""Pages of rows: plain lists that know whether there is more."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any, Generic, Self, TypeVar

from llm_cost_ops.client.amount import Amount, parse
from llm_cost_ops.client.rows import Row
from llm_cost_ops.exceptions import ValidationError

RowT = TypeVar("RowT", bound=Row)


class Page(list[RowT], Generic[RowT]):
    """A list of rows with `.data` (itself), `.has_more`, `.next_cursor` and `.pagination`.

    A page can be awaited, giving itself: code that awaits the synchronous client's lists works.
    """

    def __init__(
        self,
        rows: Iterable[RowT] = (),
        *,
        has_more: bool = False,
        next_cursor: str | None = None,
        pagination: dict[str, Any] | None = None,
        total_cost: Any = None,
    ) -> None:
        super().__init__(rows)
        self.has_more = has_more
        self.next_cursor = next_cursor
        self.pagination = Row(pagination or {})
        self._stated_total = parse(total_cost)

    @property
    def data(self) -> Self:
        return self

    @property
    def items(self) -> Self:
        return self

    @property
    def has_next(self) -> bool:
        return self.has_more

    @property
    def total_cost(self) -> Amount:
        """What the server stated for the whole result, else the sum of this page's priced rows.

        Raises ValueError when rows carry several currencies: see `totals`.
        """
        if self._stated_total is not None:
            return self._stated_total
        totals = self.totals
        if len(totals) > 1:
            raise ValueError(f"rows are in {', '.join(sorted(totals))}: see .totals for each")
        return next(iter(totals.values()), Amount(0))

    @property
    def totals(self) -> dict[str, Amount]:
        """The sum of the page's priced rows per currency. Unpriced rows are in none of them."""
        totals: dict[str, Amount] = {}
        for row in self:
            cost = row.get("total_cost")
            if cost is not None:
                currency = row.get("currency") or "USD"
                totals[currency] = totals.get(currency, Amount(0)) + cost
        return totals

    def __await__(self) -> Generator[None, None, Self]:
        yield from ()
        return self


class BatchResult(list[RowT], Generic[RowT]):
    """One row per item that was sent, in order, with `id`, `event_id`, `status` and any `error`.

    `status` is created, duplicate (stored before, with its first id), conflict or invalid.
    """

    @property
    def data(self) -> Self:
        return self

    @property
    def results(self) -> Self:
        return self

    @property
    def submitted(self) -> int:
        return len(self)

    @property
    def created(self) -> int:
        return self._count("created")

    @property
    def duplicates(self) -> int:
        return self._count("duplicate")

    @property
    def failures(self) -> list[RowT]:
        return [row for row in self if row.get("status") not in ("created", "duplicate")]

    @property
    def failed(self) -> int:
        return len(self.failures)

    def _count(self, status: str) -> int:
        return sum(row.get("status") == status for row in self)

    def raise_for_failures(self) -> Self:
        """This result, or ValidationError when an item was refused; `.completed` then holds it."""
        failures = self.failures
        if not failures:
            return self
        texts = {f"records[{row.get('index')}]": _reason(row) for row in failures[:100]}
        first = next(iter(texts.items()))
        error = ValidationError(
            f"{len(failures)} of {len(self)} records were refused, first {first[0]}: {first[1]}",
            field_errors=texts,
            status_code=422,
        )
        error.completed = self
        raise error


def _reason(row: Row) -> str:
    error = row.get("error")
    if isinstance(error, Row):
        fields = error.get("field_errors")
        if isinstance(fields, Row) and fields:
            return "; ".join(f"{name} {text}" for name, text in fields.items())
        return str(error.get("message") or error.get("code") or "refused")
    return str(error or row.get("status") or "refused")
