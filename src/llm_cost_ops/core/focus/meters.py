"""Usage kinds as meters: the name of the meter, its units, and what the 1.5 draft says of tokens.

Units are those of the specification's UnitFormat; a kind has one PricingUnit for ever, whatever
number of units a price list quotes a price for, so that rows of one SKU price can be added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from llm_cost_ops.core.money import EXACT, decimal_from_fraction
from llm_cost_ops.core.usage import KINDS, Quantity

_TOKEN_NAMES = {
    None: {"input": "Input Tokens", "output": "Output Tokens"},
    "cache_read": {"input": "Cache Read Input Tokens"},
    "cache_write": {"input": "Cache Write Input Tokens"},
    "tool": {"input": "Tool Input Tokens"},
    "reasoning": {"output": "Reasoning Output Tokens"},
    "citation": {"output": "Citation Output Tokens"},
}
_CACHE_ACTIONS = {"cache_read": "Read", "cache_write": "Write"}

_MILLION = 1_000_000
_UNITS: Mapping[str, tuple[str, int]] = {
    "tokens": ("Tokens", _MILLION),
    "token_hours": ("Token-Hours", _MILLION),
    "characters": ("Characters", _MILLION),
    "pixels": ("Pixels", _MILLION),
    "messages": ("Messages", 1),
    "durations": ("Seconds", 1),
    "images": ("Images", 1),
    "document_pages": ("Pages", 1000),
    "rerank": ("Searches", 1000),
    "tool_calls": ("Searches", 1000),
    "requests": ("Requests", 1),
}
"""Family -> unit, and how many of it make a PricingUnit."""

_EXECUTIONS = "code_executions"


@dataclass(frozen=True, slots=True)
class Meter:
    """What one kind of usage is called and measured in. `scale` units make a PricingUnit."""

    kind: str
    slug: str
    name: str
    unit: str
    scale: int
    direction: str | None = None
    cache_action: str | None = None
    cache_lifetime: str | None = None
    modality: str | None = None

    @property
    def pricing_unit(self) -> str:
        return self.unit if self.scale == 1 else f"{self.scale} {self.unit}"

    def counted(self, quantity: Quantity) -> tuple[Decimal, Decimal]:
        """The quantity, and the same in PricingUnits."""
        return _counted(quantity, self.scale)

    def pricing_quantity(self, quantity: Quantity) -> Decimal:
        """The quantity in PricingUnits, exact: scales are powers of ten."""
        return self.counted(quantity)[1]

    def unit_price(self, price: Decimal, per: int) -> Decimal:
        """The price of a PricingUnit from one of `per` units; half-even at twenty places."""
        if per == self.scale:
            return price
        return decimal_from_fraction(Fraction(price) * self.scale / per)


@lru_cache(maxsize=8192)  # counts of tokens are mostly small, and each is needed twice
def _counted(quantity: Quantity, scale: int) -> tuple[Decimal, Decimal]:
    """A quantity, and the same in PricingUnits of `scale` each."""
    number = Decimal(quantity)
    return number, EXACT.divide(number, scale)


CALL = Meter("", "call", "Call", "Requests", 1)
"""The meter of a cost that is known for the call as a whole."""


@lru_cache(maxsize=1024)
def meter_of(kind: str) -> Meter:
    """The meter of a usage kind. A kind that is not in the lattice, as a pricing structure has,
    counts requests; no kind at all is `CALL`."""
    if not kind:
        return CALL
    slug = kind.removesuffix("_tokens").replace("_", "-")
    dims = KINDS.get(kind)
    if dims is None:
        return Meter(kind, slug, kind.replace("_", " ").title(), "Requests", 1)
    unit, scale = _UNITS[dims["family"]]
    if kind == _EXECUTIONS:
        unit = "Executions"
    if dims["family"] == "tokens":
        return _token_meter(kind, slug, dims)
    name = kind.replace("_", " ").title()
    return Meter(kind, slug, name, unit, scale, modality=dims.get("modality"))


def _token_meter(kind: str, slug: str, dims: Mapping[str, str]) -> Meter:
    direction, token_type = dims["direction"], dims.get("token_type")
    name = _TOKEN_NAMES[token_type][direction]
    modality, lifetime = dims.get("modality"), dims.get("cache_ttl")
    if modality:
        name = f"{modality.title()} {name}"
    if lifetime:
        name = f"{name} ({lifetime})"
    return Meter(
        kind,
        slug,
        name,
        "Tokens",
        _MILLION,
        direction=direction.title(),
        cache_action=_CACHE_ACTIONS.get(token_type or ""),
        cache_lifetime=lifetime,
        modality=modality,
    )
