"""Prices for calls of the past, each at the place in its month that it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.pricing.structures import volume_metric
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger import store
from llm_cost_ops.server.ledger.volume import PastVolumes
from llm_cost_ops.server.pricing.cards import stored_card
from llm_cost_ops.server.pricing.resolve import OrganizationPrices, Quote, quote_of


class Requoting:
    """Quotes of one transaction, asked for in the order of the calls' times and ids.

    A call that was priced at a volume keeps it while the price counts the same thing. One that
    never was takes its place in the month by its time.
    """

    def __init__(self, session: ReadSession, prices: OrganizationPrices) -> None:
        self._session = session
        self._prices = prices
        self._volumes = PastVolumes(session)
        self._metrics: dict[str | None, str | None] = {None: None}

    def quote(self, call: Mapping[str, Any], usage: Mapping[str, Any]) -> Quote:
        """The price of a stored call, net of its corrections, with this usage."""
        quote = self._prices.quote(
            call["provider"],
            call["model_name"],
            from_micros(call["timestamp"]),
            usage,
            service_tier=call["service_tier"],
            processing=call["processing"],
            region=call["region"],
        )
        metric, version = quote.volume, quote.version
        if metric is None or version is None:
            return quote
        volume = call["volume"] if metric == self._known_metric(call) else None
        if volume is None:
            volume = self._volumes.before(call, metric)
        return quote_of(self._prices.compiled(version), usage, version, quote.rule or "", volume)

    def _known_metric(self, call: Mapping[str, Any]) -> str | None:
        """What the volume counts at which the call was priced, if it was at one."""
        if call["volume"] is None:
            return None
        version = call.get(store.VOLUME_VERSION, call["price_version"])
        if version not in self._metrics:
            card = stored_card(self._session, version)
            self._metrics[version] = None if card is None else volume_metric(card.card.structure)
        return self._metrics[version]
