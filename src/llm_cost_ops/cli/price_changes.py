"""`pricing diff`: what differs between two price books, or between two days of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from llm_cost_ops.cli.output import Column, Listing, Row, show_rows
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.core.instant import format_instant, parse_instant
from llm_cost_ops.core.pricing.book import STALE_AFTER_DAYS, PriceBook
from llm_cost_ops.core.pricing.card import KindPrice, RateCard
from llm_cost_ops.core.pricing.diff import diff
from llm_cost_ops.core.providers.names import provider_id

FIELDS = (
    "action", "provider", "model", "kind", "old_price", "new_price", "per", "region",
    "service_tier", "processing", "effective_date", "end_date",
)  # fmt: skip
COLUMNS = (
    Column("action"),
    Column("provider"),
    Column("model"),
    Column("kind"),
    Column("old_price", "old", "number"),
    Column("new_price", "new", "number"),
    Column("per", kind="count"),
    Column("region", optional=True),
    Column("terms", optional=True, read=lambda row: _terms(row)),
    Column("effective_date", "from", "time", optional=True),
    Column("end_date", "until", "time", optional=True),
)


def show_changes(
    profile: Profile, file: Path | None, since: str | None, provider: str | None
) -> None:
    """Print the changes. Raises PricingError for a file that is no price book."""
    from llm_cost_ops.client.clock import utc_now

    packaged = PriceBook.packaged()
    now = utc_now()
    age_days = packaged.age_days(now.date())
    if age_days > STALE_AFTER_DAYS:
        profile.note(f"The packaged price book is {age_days} days old.")
    if file is not None:
        other = PriceBook.load(file.read_text(encoding="utf-8"))
        rows = _between_books(packaged, other)
        compared = {"old": packaged.version, "new": other.version}
    else:
        then = parse_instant(since, "since")
        rows = _between_days(packaged, then, now)
        compared = {"old": format_instant(then), "new": format_instant(now)}
    wanted = None if provider is None else provider_id(provider) or provider
    kept = [row for row in rows if wanted is None or row["provider"] == wanted]
    listing = Listing(COLUMNS, FIELDS, {"compared": compared}, _count, empty="No price changes.")
    show_rows(profile, kept, listing)


def _count(rows: Any) -> Iterator[str]:
    actions = [row["action"] for row in rows]
    yield ", ".join(
        f"{actions.count(action):,} {action}" for action in ("added", "changed", "removed")
    )


def _between_books(old: PriceBook, new: PriceBook) -> list[Row]:
    return [
        _row(
            _Place(c.provider, c.model, c.region, c.service_tier, c.processing),
            c.kind, c.old, c.new, c.valid_from, c.valid_to,
        )
        for c in diff(old, new)
    ]  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """What a price is for, but for its validity."""

    provider: str
    model: str
    region: str | None
    service_tier: str
    processing: str


def _between_days(book: PriceBook, then: datetime, now: datetime) -> list[Row]:
    """Prices in force at two times, by what they are for; windows of the day are part of that."""
    rows: list[Row] = []
    for entry in book.models():
        old, new = _in_force(entry.cards, then), _in_force(entry.cards, now)
        for key in dict.fromkeys([*old, *new]):
            before, after = old.get(key), new.get(key)
            if before is not after:
                rows += _card_changes(before, after)
    return rows


def _in_force(cards: tuple[RateCard, ...], at: datetime) -> dict[tuple[Any, ...], RateCard]:
    return {
        (c.region, c.service_tier, c.processing, c.windows): c
        for c in cards
        if (c.valid_from is None or c.valid_from <= at) and (c.valid_to is None or at < c.valid_to)
    }


def _card_changes(before: RateCard | None, after: RateCard | None) -> Iterator[Row]:
    card = after or before
    if card is None:
        return
    place = _Place(card.provider, card.model, card.region, card.service_tier, card.processing)
    old: Mapping[str, KindPrice] = before.prices if before else {}
    new: Mapping[str, KindPrice] = after.prices if after else {}
    for kind in sorted(old.keys() | new.keys()):
        was, is_now = old.get(kind), new.get(kind)
        if was != is_now:
            yield _row(place, kind, was, is_now, card.valid_from, card.valid_to)


def _row(
    place: _Place,
    kind: str,
    old: KindPrice | None,
    new: KindPrice | None,
    valid_from: datetime | None,
    valid_to: datetime | None,
) -> Row:
    either = new or old
    return {
        "action": "added" if old is None else "removed" if new is None else "changed",
        "provider": place.provider,
        "model": place.model,
        "kind": kind,
        "old_price": _price(old, either),
        "new_price": _price(new, either),
        "per": either.per if either else None,
        "region": place.region,
        "service_tier": place.service_tier,
        "processing": place.processing,
        "effective_date": None if valid_from is None else format_instant(valid_from),
        "end_date": None if valid_to is None else format_instant(valid_to),
    }


def _price(price: KindPrice | None, unit: KindPrice | None) -> Any:
    """The price per the unit of the row; prices by tiers as text."""
    if price is None or unit is None:
        return None
    value = price.price * Decimal(unit.per) / Decimal(price.per)
    if not price.tiers:
        return value
    steps = (f"{tier.price:f} above {tier.above_input_tokens:,}" for tier in price.tiers)
    return "; ".join([f"{value:f}", *steps])


def _terms(row: Row) -> str:
    usual = {"service_tier": "standard", "processing": "realtime"}
    return ", ".join(str(row[name]) for name, value in usual.items() if row[name] != value)
