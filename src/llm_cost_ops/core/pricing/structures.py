"""Pricing structures of the documented API: per_token, per_request, tiered and formula.

`per_token` becomes ordinary kind prices. The other three keep their parameters on the card and are
computed here. `per_request` and `tiered` depend on the volume that the organization already used
in the calendar month (UTC) of the call: requests for per_request, tokens for tiered.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import cast

from llm_cost_ops.core.errors import PricingError
from llm_cost_ops.core.money import parse_decimal
from llm_cost_ops.core.pricing.card import KindPrice, Tier
from llm_cost_ops.core.pricing.formula import Formula
from llm_cost_ops.core.usage import KINDS, Quantity

MILLION = 1_000_000
MAX_TIERS = 32
TYPES = ("per_token", "per_request", "tiered", "formula")

FAR = 10**18
"""A monthly volume beyond every tier."""

_PER_TOKEN_KINDS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cached_input": "cache_read_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "reasoning": "output_reasoning_tokens",
}
_formulas: dict[str, Formula] = {}


def parse_structure(
    structure: Mapping[str, object],
) -> tuple[dict[str, KindPrice], dict[str, object] | None]:
    """Kind prices for `per_token`, else the checked parameters to keep on the card.

    Raises PricingError naming the field.
    """
    kind = structure.get("type", "per_token")
    if kind == "per_token":
        return _per_token(structure), None
    if kind == "per_request":
        return {}, _per_request(structure)
    if kind == "tiered":
        return {}, _tiered(structure)
    if kind == "formula":
        return {}, _formula(structure)
    raise PricingError(f"must be one of: {', '.join(TYPES)}", field="pricing_structure.type")


def parse_prices(prices: Mapping[str, object], field: str = "prices") -> dict[str, KindPrice]:
    """The `prices{kind:{price, per, tiers?}}` shape of INTERFACES. Raises PricingError."""
    return {kind: _kind_price(kind, value, field) for kind, value in prices.items()}


def structure_cost(
    structure: Mapping[str, object], usage: Mapping[str, Quantity], volume: Quantity
) -> Fraction:
    """The unrounded cost of one call under a structure kept on a card.

    Raises FormulaError when a formula cannot be computed for this usage.
    """
    if structure["type"] == "per_request":
        return _per_request_cost(structure, Fraction(usage.get("requests", 1)), Fraction(volume))
    if structure["type"] == "tiered":
        return _tiered_cost(structure, usage, Fraction(volume))
    return Fraction(formula_of(structure).evaluate(usage))


def formula_of(structure: Mapping[str, object]) -> Formula:
    """The formula of a structure of that type, parsed once."""
    text = cast("str", structure["expression"])
    formula = _formulas.get(text)
    if formula is None:
        formula = Formula(text)
        if len(_formulas) < 1_000:
            _formulas[text] = formula
    return formula


def dearest_volumes(
    structure: Mapping[str, object], input_tokens: Quantity, output_tokens: Quantity
) -> list[Quantity]:
    """Monthly volumes before a call of which one makes it dearest, whatever the volume is: none,
    one beyond every tier, and those with which the call's input or output begins or ends where a
    tier does. Between these the cost is a line, or that of the tier which the next of them is in.
    """
    edges = [
        bound - part
        for bound in tier_bounds(structure)
        for part in (0, input_tokens, input_tokens + output_tokens)
    ]
    return [0, *(edge for edge in edges if edge > 0), FAR]


def tier_bounds(structure: Mapping[str, object]) -> list[int]:
    """Where tiers of volume end."""
    tiers = cast("list[dict[str, int | None]]", structure.get("tiers", []))
    return [bound for tier in tiers if (bound := tier["up_to"]) is not None]


def volume_metric(structure: Mapping[str, object] | None) -> str | None:
    """Which monthly volume the structure needs: `requests`, `total_tokens` or None."""
    if structure is None or structure["type"] == "formula":
        return None
    if structure["type"] == "per_request":
        return "requests" if structure.get("included_requests") is not None else None
    return "total_tokens"


def _refuse_unknown(structure: Mapping[str, object], known: set[str]) -> None:
    for name in structure:
        if name not in known:
            raise PricingError("is not a known field", field=f"pricing_structure.{name}")


def _price(structure: Mapping[str, object], name: str) -> Decimal | None:
    """A non-negative price per million from `<name>_per_million`, `<name>_per_1m` or `_per_1k`."""
    found: Decimal | None = None
    for suffix, factor in (("_per_million", 1), ("_per_1m", 1), ("_per_1k", 1_000)):
        value = structure.get(f"{name}{suffix}")
        if value is None:
            continue
        if found is not None:
            raise PricingError("is given twice", field=f"pricing_structure.{name}{suffix}")
        found = _non_negative(value, f"pricing_structure.{name}{suffix}") * factor
    return found


def _non_negative(value: object, field: str) -> Decimal:
    number = parse_decimal(value, field)
    if number < 0:
        raise PricingError("must be greater than or equal to 0", field=field)
    return number


def _per_token(structure: Mapping[str, object]) -> dict[str, KindPrice]:
    suffixes = ("_per_million", "_per_1m", "_per_1k")
    known = {f"{name}_price{s}" for name in _PER_TOKEN_KINDS for s in suffixes}
    _refuse_unknown(structure, known | {"type", "cached_input_discount"})
    prices: dict[str, KindPrice] = {}
    for name, kind in _PER_TOKEN_KINDS.items():
        price = _price(structure, f"{name}_price")
        if price is not None:
            prices[kind] = KindPrice(price, MILLION)
    if "input_tokens" not in prices and "output_tokens" not in prices:
        raise PricingError("is required", field="pricing_structure.input_price_per_million")
    discount = structure.get("cached_input_discount")
    if discount is not None:
        share = _non_negative(discount, "pricing_structure.cached_input_discount")
        if share > 1:
            raise PricingError(
                "must be between 0 and 1", field="pricing_structure.cached_input_discount"
            )
        if "cache_read_tokens" in prices or "input_tokens" not in prices:
            raise PricingError(
                "needs an input price and no cached input price",
                field="pricing_structure.cached_input_discount",
            )
        prices["cache_read_tokens"] = KindPrice(prices["input_tokens"].price * (1 - share), MILLION)
    return prices


def _per_request(structure: Mapping[str, object]) -> dict[str, object]:
    _refuse_unknown(
        structure,
        {"type", "price_per_request", "included_requests", "overage_price_per_request"},
    )
    price = structure.get("price_per_request")
    if price is None:
        raise PricingError("is required", field="pricing_structure.price_per_request")
    kept: dict[str, object] = {
        "type": "per_request",
        "price_per_request": str(_non_negative(price, "pricing_structure.price_per_request")),
    }
    included = structure.get("included_requests")
    if included is not None:
        if isinstance(included, bool) or not isinstance(included, int) or included < 0:
            raise PricingError(
                "must be an integer of at least 0", field="pricing_structure.included_requests"
            )
        kept["included_requests"] = included
    overage = structure.get("overage_price_per_request")
    if overage is not None:
        if included is None:
            raise PricingError(
                "needs included_requests", field="pricing_structure.overage_price_per_request"
            )
        kept["overage_price_per_request"] = str(
            _non_negative(overage, "pricing_structure.overage_price_per_request")
        )
    return kept


def _per_request_cost(
    structure: Mapping[str, object], requests: Fraction, volume: Fraction
) -> Fraction:
    """Without `included_requests` every request costs the price. With it the first ones of the
    month cost the price when an overage price is given (else nothing) and later ones the overage
    price (else the price)."""
    price = Fraction(cast("str", structure["price_per_request"]))
    included = structure.get("included_requests")
    if included is None:
        return requests * price
    overage = structure.get("overage_price_per_request")
    inside = price if overage is not None else Fraction(0)
    beyond = Fraction(cast("str", overage)) if overage is not None else price
    covered = min(requests, max(Fraction(0), Fraction(cast("int", included)) - volume))
    return covered * inside + (requests - covered) * beyond


def _tiered(structure: Mapping[str, object]) -> dict[str, object]:
    _refuse_unknown(structure, {"type", "mode", "tiers"})
    mode = structure.get("mode", "graduated")
    if mode not in ("graduated", "volume"):
        raise PricingError("must be one of: graduated, volume", field="pricing_structure.mode")
    tiers = structure.get("tiers")
    if not isinstance(tiers, list) or not 1 <= len(cast("list[object]", tiers)) <= MAX_TIERS:
        raise PricingError(
            f"must be a list of 1 to {MAX_TIERS} tiers", field="pricing_structure.tiers"
        )
    kept: list[dict[str, object]] = []
    last = 0
    for index, tier in enumerate(cast("list[object]", tiers)):
        checked = _tier(tier, f"pricing_structure.tiers[{index}]", last)
        bound = checked["up_to"]
        final = index == len(cast("list[object]", tiers)) - 1
        if (bound is None) != final:
            raise PricingError(
                "only the last tier, and it always, has no up_to",
                field=f"pricing_structure.tiers[{index}].up_to",
            )
        last = cast("int", bound) if bound is not None else last
        kept.append(checked)
    return {"type": "tiered", "mode": mode, "tiers": kept}


def _tier(tier: object, field: str, last: int) -> dict[str, object]:
    if not isinstance(tier, Mapping):
        raise PricingError("must be an object", field=field)
    row = cast("Mapping[str, object]", tier)
    suffixes = ("_per_million", "_per_1m", "_per_1k")
    known = {f"{name}price{s}" for name in ("", "input_", "output_") for s in suffixes}
    for name in row:
        if name not in known and name != "up_to":
            raise PricingError("is not a known field", field=f"{field}.{name}")
    bound = row.get("up_to")
    if bound is not None and (
        isinstance(bound, bool) or not isinstance(bound, int) or bound <= last
    ):
        raise PricingError("must be an integer above the tier before", field=f"{field}.up_to")
    flat = _price(row, "price")
    price_in = _price(row, "input_price") if flat is None else flat
    price_out = _price(row, "output_price") if flat is None else flat
    if price_in is None or price_out is None:
        raise PricingError("needs a price, or an input and an output price", field=field)
    return {"up_to": bound, "input": str(price_in), "output": str(price_out)}


def _tiered_cost(
    structure: Mapping[str, object], usage: Mapping[str, Quantity], volume: Fraction
) -> Fraction:
    """Graduated: each token at the price of the tier it falls into, input before output. Volume:
    all tokens of the call at the tier that the month's volume reaches with this call."""
    tiers = cast("list[dict[str, object]]", structure["tiers"])
    amounts = [
        ("input", Fraction(usage.get("input_tokens", 0))),
        ("output", Fraction(usage.get("output_tokens", 0))),
    ]
    if structure["mode"] == "volume":
        reached = volume + sum(amount for _, amount in amounts)
        tier = next(t for t in tiers if t["up_to"] is None or reached <= cast("int", t["up_to"]))
        return sum(
            (amount * Fraction(cast("str", tier[side])) / MILLION for side, amount in amounts),
            Fraction(0),
        )
    total = Fraction(0)
    position = volume
    for side, amount in amounts:
        left = amount
        for tier in tiers:
            bound = tier["up_to"]
            room = (
                left if bound is None else max(Fraction(0), Fraction(cast("int", bound)) - position)
            )
            taken = min(left, room)
            total += taken * Fraction(cast("str", tier[side])) / MILLION
            position += taken
            left -= taken
    return total


def _formula(structure: Mapping[str, object]) -> dict[str, object]:
    _refuse_unknown(structure, {"type", "expression", "formula"})
    text = structure.get("expression", structure.get("formula"))
    if not isinstance(text, str):
        raise PricingError("is required", field="pricing_structure.expression")
    return {"type": "formula", "expression": Formula(text).text}


def _kind_price(kind: str, value: object, field: str) -> KindPrice:
    if kind not in KINDS:
        raise PricingError("is not a known usage kind", field=f"{field}.{kind}")
    if not isinstance(value, Mapping):
        raise PricingError("must be an object with price and per", field=f"{field}.{kind}")
    row = cast("Mapping[str, object]", value)
    for name in row:
        if name not in ("price", "per", "tiers"):
            raise PricingError("is not a known field", field=f"{field}.{kind}.{name}")
    price = _non_negative(row.get("price"), f"{field}.{kind}.price")
    per = row.get("per", MILLION)
    if isinstance(per, bool) or not isinstance(per, int) or not 1 <= per <= 10**12:
        raise PricingError("must be an integer from 1 to 10**12", field=f"{field}.{kind}.per")
    return KindPrice(price, per, _tiers(row.get("tiers"), f"{field}.{kind}.tiers"))


def _tiers(value: object, field: str) -> tuple[Tier, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(cast("list[object]", value)) > MAX_TIERS:
        raise PricingError(f"must be a list of at most {MAX_TIERS} tiers", field=field)
    tiers: list[Tier] = []
    for index, entry in enumerate(cast("list[object]", value)):
        if not isinstance(entry, Mapping):
            raise PricingError("must be an object", field=f"{field}[{index}]")
        row = cast("Mapping[str, object]", entry)
        above = row.get("above_input_tokens")
        if isinstance(above, bool) or not isinstance(above, int) or above < 0:
            raise PricingError(
                "must be an integer of at least 0", field=f"{field}[{index}].above_input_tokens"
            )
        inclusive = row.get("inclusive", False)
        if not isinstance(inclusive, bool):
            raise PricingError("must be true or false", field=f"{field}[{index}].inclusive")
        price = _non_negative(row.get("price"), f"{field}[{index}].price")
        tiers.append(Tier(above, price, inclusive))
    return tuple(sorted(tiers, key=lambda tier: (tier.above_input_tokens, not tier.inclusive)))
