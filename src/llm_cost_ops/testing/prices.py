"""Prices of the fake server: its organization's own over the packaged price book."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from llm_cost_ops.client.estimate import packaged_book
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import format_instant, parse_end, parse_instant
from llm_cost_ops.core.pricing.card import RateCard
from llm_cost_ops.core.pricing.rate import NOT_PRICED, RatedUsage, rate
from llm_cost_ops.core.pricing.structures import parse_prices, parse_structure
from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.testing.refusal import Refusal, not_found

if TYPE_CHECKING:
    from llm_cost_ops.core.pricing.book import PriceBook

FIELDS = {
    "provider", "model", "currency", "effective_date", "end_date", "region", "service_tier",
    "processing", "pricing_structure", "prices",
}  # fmt: skip


FIRST = datetime(2000, 1, 1, tzinfo=UTC)


class FakePrices:
    """Own prices win over the book's. Monthly volumes are not counted: a tier starts at its first
    step with each call."""

    def __init__(self, book: PriceBook | None) -> None:
        self._book = book
        self._rows: list[dict[str, Any]] = []
        self._view: PriceBook | None = None

    @property
    def book(self) -> PriceBook:
        if self._book is None:
            self._book = packaged_book()
        return self._book

    @property
    def view(self) -> PriceBook:
        """The book with the own prices over it; of two of one start the later added stands."""
        if self._view is None:
            cards = [
                _card(row, FIRST + timedelta(seconds=place)) for place, row in enumerate(self._rows)
            ]
            self._view = self.book.with_overrides(cards)
        return self._view

    def add(self, body: Mapping[str, Any], price_id: str, now: datetime) -> dict[str, Any]:
        """A first version. Raises Refusal."""
        return self._append(body, price_id, 1, now)

    def replace(self, price_id: str, body: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """A new version; what the body does not name is as in the last one. Raises Refusal."""
        last = self._last(price_id)
        changes: dict[str, Any] = dict(body)
        structure: dict[str, Any] | None = changes.get("pricing_structure")
        kept: dict[str, Any] | None = last.get("pricing_structure")
        if structure and kept and kept.get("type") == structure.get("type"):
            changes["pricing_structure"] = {**kept, **structure}
        merged = {name: value for name, value in {**last, **changes}.items() if name in FIELDS}
        # A row shows both; what a version was made from is its structure, where it has one.
        of_prices = "prices" in changes or "pricing_structure" not in merged
        merged.pop("pricing_structure" if of_prices else "prices", None)
        return self._append(merged, price_id, last["version"] + 1, now)

    def _append(
        self, body: Mapping[str, Any], price_id: str, version: int, now: datetime
    ) -> dict[str, Any]:
        for name in body:
            if name not in FIELDS:
                raise _unfit(name, "is not a known field")
        if ("prices" in body) == ("pricing_structure" in body):
            raise _unfit("pricing_structure", "is required, or prices, but not both")
        for name in ("provider", "model", "effective_date"):
            if not isinstance(body.get(name), str):
                raise _unfit(name, "is required")
        provider = str(body["provider"])
        row = {"currency": "USD", **body, "id": price_id, "version": version}
        row["provider"] = provider_id(provider) or provider
        card = _card(row, now)
        row.update(_row(card), id=price_id, version=version)
        self._rows.append(row)
        self._view = None
        return row

    def _last(self, price_id: str) -> dict[str, Any]:
        versions = [row for row in self._rows if row["id"] == price_id]
        if not versions:
            raise not_found("Pricing")
        return versions[-1]

    def get(self, price_id: str) -> dict[str, Any]:
        """The last version, or the book's card of this id. Raises Refusal."""
        card = self.book.card(price_id)
        return _row(card) if card is not None else self._last(price_id)

    def end(self, price_id: str, now: datetime) -> dict[str, Any]:
        """The price ends now. Raises Refusal."""
        row = self._last(price_id)
        row["end_date"] = format_instant(now)
        self._view = None
        return row

    def list(self, query: Mapping[str, str], now: datetime) -> list[dict[str, Any]]:
        """Own prices by provider and model, the book's too for a named model; those in force today,
        or on `date`, unless `active` is false."""
        provider = query.get("provider")
        provider = provider and (provider_id(provider) or provider)
        model = query.get("model")
        rows = [row for row in self._rows if provider in (None, row["provider"])]
        rows = [row for row in rows if model in (None, row["model"])]
        at = parse_instant(query["date"], "date") if "date" in query else now
        if query.get("active") != "false":
            rows = [row for row in rows if _in_force(row, at)]
            # Of the versions of one price in force the one with the latest start stands.
            rows.sort(key=lambda row: (row["effective_date"], row["version"]))
            rows = list({row["id"]: row for row in rows}.values())
        if provider and model and not rows:
            found = self.view.resolve(provider, model, at=at)
            rows = [_row(found.card)] if found else []
        return rows

    def rate(self, call: Mapping[str, Any]) -> tuple[RatedUsage, str | None, str]:
        """(cost, price version, currency) of a call."""
        found = self.view.resolve(
            call["provider"],
            call["model"],
            at=parse_instant(call["timestamp"]),
            service_tier=call["service_tier"],
            processing=call["processing"],
            region=call["region"],
        )
        if found is None:
            return NOT_PRICED, None, "USD"
        card = found.card
        return rate(call["usage"], card, found.adjustments), card.id, card.currency


def _unfit(field: str, text: str) -> Refusal:
    return Refusal(422, "INVALID_PRICING", f"{field} {text}", {field: text})


def _in_force(row: Mapping[str, Any], at: datetime) -> bool:
    end = row.get("end_date")
    start = row["effective_date"]
    if start is not None and at < parse_instant(start, "effective_date"):
        return False
    return end is None or at < parse_end(end)


def _row(card: RateCard) -> dict[str, Any]:
    return {
        "id": card.id,
        "version": 1,
        "provider": card.provider,
        "model": card.model,
        "currency": card.currency,
        "effective_date": format_instant(card.valid_from) if card.valid_from else None,
        "end_date": format_instant(card.valid_to) if card.valid_to else None,
        "service_tier": card.service_tier,
        "processing": card.processing,
        "region": card.region,
        "prices": {kind: {"price": p.price, "per": p.per} for kind, p in card.prices.items()},
    }


def _card(row: Mapping[str, Any], recorded_at: datetime) -> RateCard:
    try:
        since = parse_instant(row["effective_date"], "effective_date")
        end = row.get("end_date")
        until = parse_end(end) if end else None
        structure: dict[str, object] | None = None
        if "pricing_structure" not in row:
            prices = parse_prices(cast("Mapping[str, object]", row["prices"]))
        else:
            prices, structure = parse_structure(
                cast("Mapping[str, object]", row["pricing_structure"])
            )
    except DomainError as error:
        raise _unfit(error.field or "pricing_structure", error.message) from None
    return RateCard(
        f"{row['id']}.{row['version']}",
        row["provider"],
        row["model"],
        prices,
        currency=row["currency"],
        region=row.get("region"),
        service_tier=row.get("service_tier") or "standard",
        processing=row.get("processing") or "realtime",
        valid_from=since,
        valid_to=until,
        structure=structure,
        recorded_at=recorded_at,
    )
