"""What the calls of one model in one context have in common, found once for a whole batch."""

from __future__ import annotations

from datetime import datetime

from llm_cost_ops.core.pricing.rate import CompiledRate
from llm_cost_ops.server.ledger.entry import Entry, copy_of
from llm_cost_ops.server.pricing.resolve import OrganizationPrices

Start = tuple[Entry, CompiledRate | None]


class Context:
    """Entries that already name the model, its context and its price at a time.

    `steady` is the start of all calls once it is known that the price never changes.
    """

    __slots__ = ("_blank", "_prices", "_series", "_starts", "steady")

    def __init__(self, blank: Entry, prices: OrganizationPrices) -> None:
        self._blank = blank
        self._prices = prices
        self._series = prices.book.resolve_series(
            blank.provider, blank.model_name, blank.service_tier, blank.processing, blank.region
        )
        self._starts: dict[int, Start] = {}
        self.steady: Start | None = None

    def start(self, at: datetime) -> Start:
        """An entry to copy for a call at this time, and the rate of its price, if it has one."""
        span = 0 if self._series is None else self._series.span(at)
        if span is None:
            return self._start(at)
        start = self._starts.get(span)
        if start is None:
            start = self._starts[span] = self._start(at)
            if self._series is None or self._series.is_steady:
                self.steady = start
        return start

    def _start(self, at: datetime) -> Start:
        entry = copy_of(self._blank)
        found = self._prices.find(
            entry.provider,
            entry.model_name,
            at,
            service_tier=entry.service_tier,
            processing=entry.processing,
            region=entry.region,
        )
        if found is None:
            return entry, None
        compiled, entry.price_version, entry.price_rule = found
        entry.currency = compiled.card.currency
        return entry, compiled
