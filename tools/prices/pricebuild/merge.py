"""Merge of the two public books: genai-prices first, LiteLLM for what it lacks.

A LiteLLM row that belongs to a genai-prices model (same name, or a name that their matching gives
to that model and the same prices) supplements it: kinds and price contexts that it lacks, each
with its own source mark. A row with the same name and other prices loses and is reported. Rows of
a region become cards of that region. Everything else becomes a model of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from llm_cost_ops.core.pricing.match import match_model

from .litellm import Row
from .rows import LITELLM, Card, Catalogue, Model, Price

STANDARD = (None, "standard", "realtime")
_CACHE = frozenset({"cache_read_tokens", "cache_write_tokens"})
COMPARED = ("input_tokens", "output_tokens", "audio_seconds", "input_characters")

Finder = Callable[[str, str], str | None]
FlatTest = Callable[[str, str], bool]

_GEO_PROFILE = re.compile(r"^(?:us|us-gov|eu|apac|jp|au|in|ca)\.")
OTHER_METERS = frozenset(
    {"audio_seconds", "input_audio_seconds", "output_audio_seconds", "input_characters",
     "output_images"}
)  # fmt: skip
"""Kinds that measure again what token prices already bill."""


@dataclass
class Report:
    """What the merge decided, for the person who updates the pins."""

    conflicts: list[str] = field(default_factory=list)
    added_kinds: list[str] = field(default_factory=list)
    tiers: list[str] = field(default_factory=list)


class Merge:
    def __init__(
        self, catalogue: Catalogue, at: datetime, find: Finder, keep_flat: FlatTest
    ) -> None:
        self._catalogue = catalogue
        self._at = at
        self._find = find
        self._keep_flat = keep_flat
        self._names = _name_index(catalogue.values())
        self.report = Report()

    def add(self, rows: Iterable[Row]) -> Catalogue:
        ordered = sorted(rows, key=lambda row: (row.rank, row.provider, row.id))
        for row in sorted(ordered, key=lambda row: not self._is_primary(row)):
            if row.region is None:
                self._add_model(row)
        for row in ordered:
            if row.region is not None:
                self._add_region(row)
        return self._catalogue

    def _is_primary(self, row: Row) -> bool:
        return (row.provider, row.key) in self._catalogue

    def _target(self, row: Row) -> tuple[Model | None, bool]:
        """(model that the row describes, whether its very name says so)."""
        named = self._names.get((row.provider, row.key)) or self._versioned(row)
        if named is not None:
            return named, True
        found = self._find(row.provider, row.id)
        if found and row.key.startswith("ft:") and not found.startswith("ft:"):
            return None, False
        return (self._catalogue.get((row.provider, found.lower())) if found else None), False

    def _versioned(self, row: Row) -> Model | None:
        """The model whose name this is with a Bedrock version behind it, as calls are matched."""
        if _GEO_PROFILE.match(row.key):
            return None
        match = match_model(row.provider, row.id, self._lookup)
        if match is None or match.rule != "bedrock_id" or match.region is not None:
            return None
        return self._names[(match.provider, match.model)]

    def _lookup(self, provider: str, name: str) -> tuple[str, bool] | None:
        return (name, False) if (provider, name) in self._names else None

    def _add_model(self, row: Row) -> None:
        target, by_name = self._target(row)
        if target is None:
            self._insert(row)
        elif self._agree(row, target, by_name=by_name):
            self._supplement(row, target)
            if not by_name:
                target.aliases.add(row.key)
                self._names[(row.provider, row.key)] = target
        elif by_name:
            difference = self._difference(row, target)
            self.report.conflicts.append(f"{row.provider}/{row.id}: {difference}")
            target.accepts |= row.accepts
        else:
            self._insert(row)

    def _insert(self, row: Row) -> None:
        model = Model(row.provider, row.id, set(), row.cards, row.mode, row.accepts)
        self._catalogue[(model.provider, model.key)] = model
        self._names[(model.provider, model.key)] = model

    def _agree(self, row: Row, target: Model, *, by_name: bool) -> bool:
        """Whether all prices that both state are equal; without the name there must be some."""
        mine, theirs = self._pair(row, target)
        if mine is None or theirs is None:
            return by_name
        shared = [kind for kind in COMPARED if kind in mine.prices and kind in theirs.prices]
        equal = all(_equal(mine.prices[kind], theirs.prices[kind]) for kind in shared)
        return equal and (by_name or bool(shared))

    def _pair(self, row: Row, target: Model) -> tuple[Card | None, Card | None]:
        return row.current(self._at, STANDARD), target.current(self._at, STANDARD)

    def _difference(self, row: Row, target: Model) -> str:
        mine, theirs = self._pair(row, target)
        if mine is None or theirs is None:
            return "no common card"
        return "; ".join(
            f"{kind} {mine.prices[kind].price.normalize():f}, kept {theirs.prices[kind].price:f}"
            for kind in COMPARED
            if kind in mine.prices
            and kind in theirs.prices
            and not _equal(mine.prices[kind], theirs.prices[kind])
        )

    def _supplement(self, row: Row, target: Model) -> None:
        target.accepts |= row.accepts
        target.mode = target.mode or row.mode
        base = target.current(self._at, STANDARD)
        for card in row.cards:
            own = target.current(self._at, card.context)
            if own is not None:
                self._add_kinds(card, own, target)
            elif base is not None or card.context == STANDARD:
                start = base.valid_from if base else None
                target.cards.append(card.span(start, base.valid_to if base else None))

    def _add_kinds(self, card: Card, own: Card, target: Model) -> None:
        for kind, price in card.prices.items():
            known = own.prices.get(kind)
            where = f"{target.provider}/{target.id} {card.context} {kind}"
            if known is None and not _says_nothing_new(kind, price, own):
                own.supplement(kind, _as_kept(kind, price, card, own), LITELLM)
                self.report.added_kinds.append(where)
            elif known and price.tiers and not known.tiers and _equal(known, price):
                flat = self._keep_flat(target.provider, target.id)
                self.report.tiers.append(f"{'kept flat' if flat else 'taken'}: {where}")
                if not flat:
                    own.supplement(kind, _with_tiers(known, price), LITELLM)

    def _add_region(self, row: Row) -> None:
        target, _ = self._target(row)
        if target is None:
            target = Model(row.provider, row.id, mode=row.mode, accepts=row.accepts)
            self._catalogue[(target.provider, target.key)] = target
            self._names[(target.provider, target.key)] = target
        known = {card.context for card in target.cards}
        target.cards += [card for card in row.cards if card.context not in known]


def _equal(left: Price, right: Price) -> bool:
    """Equal, or equal but for the rounding of a published price to a per-token float."""
    return left.price * right.per == right.price * left.per or round(left.unit, 10) == round(
        right.unit, 10
    )


def _as_kept(kind: str, price: Price, card: Card, own: Card) -> Price:
    """A cache price that repeats the row's input price means the kept one, rounded elsewhere."""
    kept = own.prices.get("input_tokens")
    repeats = kind in _CACHE and price == card.prices.get("input_tokens")
    return kept if repeats and kept is not None else price


def _with_tiers(known: Price, price: Price) -> Price:
    scale = Decimal(known.per) / price.per
    tiers = tuple((above, value * scale, inclusive) for above, value, inclusive in price.tiers)
    return Price(known.price, known.per, tiers)


def _says_nothing_new(kind: str, price: Price, own: Card) -> bool:
    """A reasoning price equal to the output price is what an absent one means anyway."""
    if kind in OTHER_METERS:
        return "input_tokens" in own.prices or "output_tokens" in own.prices
    parent = own.prices.get("output_tokens")
    return kind == "output_reasoning_tokens" and parent is not None and _equal(price, parent)


def _name_index(models: Iterable[Model]) -> dict[tuple[str, str], Model]:
    """Names to models; ids before aliases, earlier models before later ones."""
    ordered = list(models)
    index = {(model.provider, model.key): model for model in ordered}
    for model in ordered:
        for alias in sorted(model.aliases):
            index.setdefault((model.provider, alias), model)
    return index
