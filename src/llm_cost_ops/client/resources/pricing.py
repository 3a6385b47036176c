"""Prices: what is in force, the organization's own, and re-rating after a change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack, cast

from llm_cost_ops.client.caller import Caller, many, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.fields import Day, EstimateFields, PriceFields
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.estimates import ask_estimates
from llm_cost_ops.client.resources.lists import listed
from llm_cost_ops.client.rows import Estimate, Price, Row
from llm_cost_ops.client.wire import unfit
from llm_cost_ops.exceptions import NotFoundError

PRICE_FIELDS = frozenset(PriceFields.__annotations__)


class PricingCalls:
    _caller: Caller

    @endpoint
    def create(
        self, data: Mapping[str, Any] | None = None, /, **fields: Unpack[PriceFields]
    ) -> Flow[Price]:
        """Add a price of your organization, in force from `effective_date` on."""
        body = yield from self._caller.write("POST", "/pricing", {**(data or {}), **fields})
        return one(body, Price)

    @endpoint
    def update(self, pricing_id: str, **fields: Any) -> Flow[Price]:
        """A new version from `effective_date` on; the old one stays in force for earlier calls.

        The terms of its structure may be given as they are (`input_price_per_million=9`); with
        other than prices per token, give `type` too.
        """
        terms = {name: fields.pop(name) for name in fields.keys() - PRICE_FIELDS}
        if terms:
            given: dict[str, Any] = fields.pop("pricing_structure", None) or {}
            fields["pricing_structure"] = {"type": "per_token", **given, **terms}
        body = yield from self._caller.write("PUT", f"/pricing/{segment(pricing_id)}", fields)
        return one(body, Price)

    @endpoint
    def list(self, **query: Any) -> Flow[Page[Price]]:
        """Prices by `provider`, `model`, `active` (in force today) or `date`."""
        return listed(self._caller, "/pricing", query, Price)

    @endpoint
    def get(
        self,
        pricing_id: str | None = None,
        /,
        *,
        provider: str | None = None,
        model: str | None = None,
        date: Day | None = None,
        **query: Any,
    ) -> Flow[Price]:
        """One price by id, or the one in force for a provider and model (today, or on `date`).

        Where a model has several, the standard one in real time comes first. Raises NotFoundError.
        """
        if pricing_id is not None:
            return one((yield from self._caller.get(f"/pricing/{segment(pricing_id)}")), Price)
        if provider is None or model is None:
            raise unfit("model", "and provider are required, or a price id")
        asked = {"provider": provider, "model": model, "date": date, **query}
        if date is None:
            asked["active"] = True
        found = many((yield from self._caller.get("/pricing", asked)), Price)
        if not found:
            raise NotFoundError(
                f"Pricing table not found for {provider}/{model}", status_code=404, code="COST_001"
            )
        return min(found, key=_specialty)

    @endpoint
    def delete(self, pricing_id: str, /) -> Flow[None]:
        """End a price today; calls of earlier days keep it."""
        yield from self._caller.write("DELETE", f"/pricing/{segment(pricing_id)}")

    @endpoint
    def unpriced(self, **query: Any) -> Flow[Page[Row]]:
        """Models with recorded calls that have no price, or not for every kind of usage."""
        return many((yield from self._caller.get("/pricing/unpriced", query)), Row)

    @endpoint
    def rerate(
        self,
        *,
        start_date: Day,
        end_date: Day,
        provider: str | None = None,
        model: str | None = None,
        dry_run: bool = True,
    ) -> Flow[Row]:
        """Price recorded calls again by today's prices. With `dry_run` only the difference is told;
        without it corrections are added to the ledger."""
        body = {
            "start_date": start_date,
            "end_date": end_date,
            "provider": provider,
            "model": model,
            "dry_run": dry_run,
        }
        return one((yield from self._caller.write("POST", "/pricing/rerate", body)), Row)

    @endpoint
    def estimate_cost(
        self,
        items: Mapping[str, Any] | None = None,
        /,
        **item: Unpack[EstimateFields],
    ) -> Flow[Estimate]:
        """What one call would cost by the server's prices; nothing is stored."""
        page = yield from ask_estimates(self._caller, items, item)
        return page[0]

    list_pricing = list
    get_model_pricing = get
    update_pricing = update


class Pricing(PricingCalls, SyncResource):
    """`client.pricing`"""


class AsyncPricing(PricingCalls, AsyncResource):
    """`client.pricing` of the asynchronous client"""


def _specialty(price: Price) -> int:
    """How far a price is from the standard one, in real time, for all regions."""
    ordinary = {"service_tier": "standard", "processing": "realtime", "region": None}
    return sum(
        cast("object", price.get(name, usual)) not in (usual, None)
        for name, usual in ordinary.items()
    )
