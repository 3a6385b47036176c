"""Regions and adjustments: which reported regions change a price, and by which factor.

A region of the provider never falls back to the base price in silence: it has cards of its own, an
adjustment, or a stated reason (`base`, `neutral`) to mean the base price. Otherwise the call is
unpriced. A text that no region of the provider can be (`known`) is the caller's own label: where an
application runs says nothing about where the model does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from llm_cost_ops.core.pricing.card import Adjustment

_WILD = {"*": ".*", "?": ".", "#": "[0-9]+"}


@dataclass(frozen=True, slots=True)
class Patterns:
    """Lower-case names in which `*` stands for any text, `?` for a character, `#` for a number."""

    texts: tuple[str, ...]
    _regex: re.Pattern[str]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Patterns:
        lowered = tuple(text.lower() for text in texts)
        parts = ("".join(_WILD.get(char) or re.escape(char) for char in text) for text in lowered)
        return cls(lowered, re.compile("|".join(parts) if lowered else r"(?!)"))

    def match(self, name: str) -> bool:
        return self._regex.fullmatch(name) is not None


EVERYTHING = Patterns.of(["*"])


@dataclass(frozen=True, slots=True)
class RegionPolicy:
    """`base` regions have the base price. `neutral` ones have it too, for the `models` named and
    as long as a model has no card of its own in one of them. `known` has the form of every region
    that the provider has or may come to have."""

    base: Patterns
    neutral: Patterns
    models: Patterns = EVERYTHING
    known: Patterns = EVERYTHING

    def knows(self, region: str) -> bool:
        """Whether the text can be a region of the provider."""
        return any(names.match(region) for names in (self.base, self.neutral, self.known))


@dataclass(frozen=True, slots=True)
class AdjustmentRule:
    """An adjustment and where it applies. Rules apply in the order in which they are given.

    `provider` None is every provider; `regions` None is every call, with or without a region.
    Validity is [valid_from, valid_to). `own_prices` extends a rule to the prices that the
    organization itself entered, which otherwise are taken to be what it pays.
    """

    adjustment: Adjustment
    provider: str | None = None
    models: Patterns = EVERYTHING
    regions: Patterns | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    own_prices: bool = False

    def concerns(self, provider: str, names: Iterable[str], region: str | None) -> bool:
        """Whether the rule can apply to calls of this model in this region, at some time."""
        if self.provider is not None and self.provider != provider:
            return False
        if self.regions is not None and (region is None or not self.regions.match(region)):
            return False
        return any(self.models.match(name) for name in names)

    def active(self, at: datetime) -> bool:
        return (self.valid_from is None or self.valid_from <= at) and (
            self.valid_to is None or at < self.valid_to
        )
