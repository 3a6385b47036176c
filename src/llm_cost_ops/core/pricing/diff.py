"""What an update of the price book would change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from llm_cost_ops.core.pricing.book import PriceBook
from llm_cost_ops.core.pricing.card import KindPrice, RateCard, TimeWindow
from llm_cost_ops.core.pricing.catalog import Entry

_Context = tuple[str | None, str, str, datetime | None, datetime | None, tuple[TimeWindow, ...]]


@dataclass(frozen=True, slots=True)
class Change:
    """One price that appears (`old` None), disappears (`new` None) or differs.

    `kind` is the usage kind; `action` is added, removed or changed. A model that is new or gone
    as a whole gives one change per price.
    """

    action: str
    provider: str
    model: str
    kind: str
    region: str | None
    service_tier: str
    processing: str
    valid_from: datetime | None
    valid_to: datetime | None
    old: KindPrice | None
    new: KindPrice | None


def diff(old: PriceBook, new: PriceBook) -> list[Change]:
    """Changes between two packaged books, in provider, model and card order."""
    before = {(entry.provider, entry.key): entry for entry in old.models()}
    after = {(entry.provider, entry.key): entry for entry in new.models()}
    changes: list[Change] = []
    for key in sorted(before.keys() | after.keys()):
        left, right = before.get(key), after.get(key)
        if left is not None and right is not None and left.raw == right.raw:
            continue
        changes += _model_changes(left, right)
    return changes


def _model_changes(left: Entry | None, right: Entry | None) -> list[Change]:
    old = _by_context(left)
    new = _by_context(right)
    changes: list[Change] = []
    for context, card in (old | new).items():
        changes += _card_changes(card, old.get(context), new.get(context))
    return changes


def _by_context(entry: Entry | None) -> dict[_Context, RateCard]:
    cards = entry.cards if entry else ()
    return {
        (c.region, c.service_tier, c.processing, c.valid_from, c.valid_to, c.windows): c
        for c in cards
    }


def _card_changes(card: RateCard, before: RateCard | None, after: RateCard | None) -> list[Change]:
    old: Mapping[str, KindPrice] = before.prices if before else {}
    new: Mapping[str, KindPrice] = after.prices if after else {}
    changes: list[Change] = []
    for kind in sorted(old.keys() | new.keys()):
        was, is_now = old.get(kind), new.get(kind)
        if was == is_now:
            continue
        action = "added" if was is None else "removed" if is_now is None else "changed"
        changes.append(
            Change(
                action,
                card.provider,
                card.model,
                kind,
                card.region,
                card.service_tier,
                card.processing,
                card.valid_from,
                card.valid_to,
                was,
                is_now,
            )
        )
    return changes
