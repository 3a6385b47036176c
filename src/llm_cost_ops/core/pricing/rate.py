"""Rating: usage and a rate card in, an exact cost out. Pure, and exact rational arithmetic inside.

Prices become integers over one common denominator per card, so that even per-hour prices, which
do not terminate in decimal, are summed exactly and rounded once per record (PRICING rule 5).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from math import gcd, lcm
from typing import NamedTuple

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.money import (
    E10,
    EXACT,
    MAX_AMOUNT_E10,
    decimal_from_fraction,
    from_e10,
    round_ratio,
    round_ratio_e10,
)
from llm_cost_ops.core.pricing.card import Adjustment, KindPrice, RateCard
from llm_cost_ops.core.pricing.plan import Plan, make_plan
from llm_cost_ops.core.pricing.structures import structure_cost
from llm_cost_ops.core.pricing.weights import (
    USUAL_KINDS,
    UsualWeights,
    Weights,
    usual_weights,
    weights_of,
)
from llm_cost_ops.core.usage import TOKEN_KINDS, Quantity, total_input_tokens

PRICED = "priced"
PARTIALLY_PRICED = "partially_priced"
UNPRICED = "unpriced"

_MAX_PLANS = 512
_AMOUNT_PLACES = 20


class Line(NamedTuple):
    """One billed kind. `amount` is not rounded to ten places; a non-terminating one has twenty."""

    kind: str
    quantity: Quantity
    price: Decimal
    per: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class RatedUsage:
    """The result of rating one call; costs in units of 1e-10 of the card's currency. `warnings` say
    in words what is missing and why."""

    status: str
    cost_e10: int | None
    list_cost_e10: int | None
    missing: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def cost(self) -> Decimal | None:
        return None if self.cost_e10 is None else from_e10(self.cost_e10)

    @property
    def list_cost(self) -> Decimal | None:
        return None if self.list_cost_e10 is None else from_e10(self.list_cost_e10)


class Itemized(NamedTuple):
    """A call's lines; and the kinds that no line counts, with quantities that do not overlap with
    those of the lines or with each other: all kinds where a structure prices the whole call."""

    lines: tuple[Line, ...]
    uncounted: tuple[tuple[str, Quantity], ...]


NOT_PRICED = RatedUsage(UNPRICED, None, None)


class CompiledRate:
    """A rate card with its adjustments, prepared for many calls; threads may share it.

    `is_plain` when prices of kinds alone make the cost, and the list cost is no other.
    """

    def __init__(self, card: RateCard, adjustments: Sequence[Adjustment] = ()) -> None:
        self.card = card
        self.adjustments = tuple(adjustments)
        self.has_contract = any(a.scope == "contract" for a in adjustments)
        self.is_plain = card.structure is None and not self.has_contract
        self._bounds = _tier_bounds(card)
        rates = [
            {
                kind: self._unit_rate(kind, price, step, effective=True)
                for kind, price in card.prices.items()
            }
            for step in range(len(self._bounds) + 1)
        ]
        lists = [
            {
                kind: self._unit_rate(kind, price, step, effective=False)
                for kind, price in card.prices.items()
            }
            for step in range(len(self._bounds) + 1)
        ]
        denominators = [rate.denominator for table in (*rates, *lists) for rate in table.values()]
        self._denominator = lcm(1, *denominators)
        self._effective = [self._scaled(table) for table in rates]
        self._list = [self._scaled(table) for table in lists]
        # In units of 1e-10 most cards need no fraction, and their costs no rounding.
        self._unit = gcd(E10, self._denominator)
        self._divisor = self._denominator // self._unit
        self._plans: dict[tuple[str, ...], Plan] = {}
        self._weights: dict[tuple[str, ...], tuple[Weights | None, ...]] = {}

    @property
    def bounds(self) -> Sequence[int]:
        """Input tokens above which prices change, ascending: step n begins above bound n - 1."""
        return self._bounds

    def unit_prices(self, step: int) -> dict[str, Fraction]:
        """Effective prices of one unit by kind at a step, in units of the card's currency."""
        table = self._effective[step]
        return {kind: Fraction(units, self._denominator) for kind, units in table.items()}

    def structure_factor(self) -> Fraction:
        """What adjustments make of the cost of a structure."""
        return self._factor_of_structure(effective=True)

    def _scaled(self, table: Mapping[str, Fraction]) -> dict[str, int]:
        return {kind: int(rate * self._denominator) for kind, rate in table.items()}

    def _unit_rate(self, kind: str, price: KindPrice, step: int, *, effective: bool) -> Fraction:
        rate = Fraction(self._step_price(price, step)) / price.per
        return rate * self._factor(kind, effective=effective)

    def _step_price(self, price: KindPrice, step: int) -> Decimal:
        """The kind's price once the first `step` bounds of the card are exceeded."""
        chosen = price.price
        for tier in price.tiers:
            if step and _bound(tier.above_input_tokens, tier.inclusive) <= self._bounds[step - 1]:
                chosen = tier.price
        return chosen

    def _factor(self, kind: str, *, effective: bool) -> Fraction:
        factor = Fraction(1)
        for adjustment in self.adjustments:
            applies = kind in TOKEN_KINDS if adjustment.kinds is None else kind in adjustment.kinds
            if applies and (effective or adjustment.scope == "list"):
                factor *= Fraction(adjustment.factor)
        return factor

    def _plan(self, kinds: tuple[str, ...]) -> Plan:
        plan = self._plans.get(kinds)
        if plan is None:
            plan = make_plan(kinds, self.card)
            if len(self._plans) < _MAX_PLANS:
                self._plans[kinds] = plan
        return plan

    def cost(
        self, usage: Mapping[str, Quantity], volume: Quantity = 0
    ) -> tuple[str, int | None, tuple[str, ...]]:
        """(status, cost in 1e-10 or None, kinds without a price): the hot path of `rate`."""
        if self.card.structure is not None:
            fraction = structure_cost(self.card.structure, usage, volume)
            fraction *= self._factor_of_structure(effective=True)
            return PRICED, _bounded(round_ratio_e10(fraction.numerator, fraction.denominator)), ()
        kinds = tuple(usage)
        step = bisect_left(self._bounds, total_input_tokens(usage)) if self._bounds else 0
        weights = (self._weights.get(kinds) or self._weigh(kinds))[step]
        if weights is not None:
            units = weights.cost(tuple(usage.values()))
            if isinstance(units, int):
                return PRICED, self._rounded(units), ()
        table = self._effective[step]
        total: int | Fraction = 0
        priced = False
        missing: tuple[str, ...] = ()
        for kind, leaf, has_price in self._plan(kinds).leaves(usage):
            if has_price:
                priced = True
                total += leaf * table[kind]
            elif leaf:
                missing = (*missing, kind)
        return self._result(total, priced=priced, missing=missing)

    def usual_cost(
        self, input_tokens: int, output_tokens: int, read: int, written: int, reasoning: int
    ) -> tuple[str, int | None]:
        """Status and cost in 1e-10 of a report of USUAL_KINDS, as `cost` has them. The caller has
        seen to it that cached tokens do not exceed the input, nor reasoning tokens the output."""
        usual = self._usual[bisect_left(self._bounds, input_tokens) if self._bounds else 0]
        if usual is not None:
            units = usual.cost(input_tokens, output_tokens, read, written, reasoning)
            if units is not None:
                if self._divisor == 1 and 0 <= units <= MAX_AMOUNT_E10:
                    return PRICED, units
                return PRICED, self._rounded(units)
        counts = zip(
            USUAL_KINDS, (input_tokens, output_tokens, read, written, reasoning), strict=True
        )
        status, cost, _missing = self.cost({kind: count for kind, count in counts if count})
        return status, cost

    @cached_property
    def _usual(self) -> tuple[UsualWeights | None, ...]:
        if self.card.structure is not None:
            return (None,)
        return tuple(usual_weights(found) for found in self._weigh(USUAL_KINDS))

    def _weigh(self, kinds: tuple[str, ...]) -> tuple[Weights | None, ...]:
        """Weights for each step, in units of 1e-10 over `_divisor`."""
        plan = self._plan(kinds)
        scale = E10 // self._unit
        tables = [{k: p * scale for k, p in table.items()} for table in self._effective]
        weights = tuple(weights_of(plan, kinds, table) for table in tables)
        if len(self._weights) < _MAX_PLANS:
            self._weights[kinds] = weights
        return weights

    def _rounded(self, units: int) -> int:
        rounded = units if self._divisor == 1 else round_ratio(units, self._divisor)
        return rounded if 0 <= rounded <= MAX_AMOUNT_E10 else _bounded(rounded)

    def _result(
        self, total: int | Fraction, *, priced: bool, missing: tuple[str, ...]
    ) -> tuple[str, int | None, tuple[str, ...]]:
        if missing and not (priced and total):
            return UNPRICED, None, missing
        if isinstance(total, int):
            units = round_ratio_e10(total, self._denominator)
        else:
            units = round_ratio_e10(total.numerator, total.denominator * self._denominator)
        return (PARTIALLY_PRICED if missing else PRICED), _bounded(units), missing

    def _factor_of_structure(self, *, effective: bool) -> Fraction:
        factor = Fraction(1)
        for adjustment in self.adjustments:
            if adjustment.kinds is None and (effective or adjustment.scope == "list"):
                factor *= Fraction(adjustment.factor)
        return factor

    def rate(self, usage: Mapping[str, Quantity], volume: Quantity = 0) -> RatedUsage:
        """The cost with its lines. Raises UsageError when the usage cannot be true."""
        status, cost_e10, missing = self.cost(usage, volume)
        if self.card.structure is not None:
            line = Line(
                str(self.card.structure["type"]),
                usage.get("requests", 1),
                from_e10(cost_e10 or 0),
                1,
                from_e10(cost_e10 or 0),
            )
            list_cost = self.list_cost(usage, volume) if self.has_contract else cost_e10
            return RatedUsage(status, cost_e10, list_cost, missing, (line,))
        lines, _ = self.itemized(usage)
        discounted = cost_e10 is not None and self.has_contract
        list_cost = self.list_cost(usage) if discounted else cost_e10
        warnings = tuple(self._warning(kind) for kind in missing)
        return RatedUsage(status, cost_e10, list_cost, missing, lines, warnings)

    def itemized(self, usage: Mapping[str, Quantity]) -> Itemized:
        """The lines that `rate` has, and what they do not count. Raises UsageError when the usage
        cannot be true."""
        has_structure = self.card.structure is not None
        step = bisect_left(self._bounds, total_input_tokens(usage)) if self._bounds else 0
        lines: list[Line] = []
        uncounted: list[tuple[str, Quantity]] = []
        for kind, leaf, has_price in self._plan(tuple(usage)).leaves(usage):
            if not leaf:
                continue
            if has_price:
                lines.append(self._line(kind, leaf, step))
            else:
                uncounted.append((kind, _quantity(leaf)))
        return Itemized(self.rate(usage).lines if has_structure else tuple(lines), tuple(uncounted))

    def _warning(self, kind: str) -> str:
        if kind in self.card.prices:
            return f"{kind} overlaps with other reported kinds by a count that was not reported"
        return f"no price for {kind}"

    def list_cost(self, usage: Mapping[str, Quantity], volume: Quantity = 0) -> int:
        """The cost before negotiated discounts, in 1e-10."""
        if self.card.structure is not None:
            cost = structure_cost(self.card.structure, usage, volume)
            exact = cost * self._factor_of_structure(effective=False)
            return _bounded(round_ratio_e10(exact.numerator, exact.denominator))
        step = bisect_left(self._bounds, total_input_tokens(usage)) if self._bounds else 0
        total: int | Fraction = 0
        for kind, leaf, has_price in self._plan(tuple(usage)).leaves(usage):
            if has_price:
                total += leaf * self._list[step][kind]
        exact = Fraction(total) / self._denominator
        return _bounded(round_ratio_e10(exact.numerator, exact.denominator))

    def _line(self, kind: str, leaf: int | Fraction, step: int) -> Line:
        price, per, units, divisor = self._paid[step][kind]
        if divisor == 1 and isinstance(leaf, int):
            return Line(
                kind, leaf, price, per, Decimal(units * leaf).scaleb(-_AMOUNT_PLACES, EXACT)
            )
        amount = Fraction(units * leaf, divisor * 10**_AMOUNT_PLACES)
        return Line(kind, _quantity(leaf), price, per, decimal_from_fraction(amount))

    @cached_property
    def _paid(self) -> list[dict[str, tuple[Decimal, int, int, int]]]:
        """By step and kind: the price after factors, of how many units it is, and a unit's price
        as units of 1e-20 over a divisor."""
        tables = [self.unit_prices(step) for step in range(len(self._effective))]
        per = {kind: price.per for kind, price in self.card.prices.items()}
        return [
            {
                kind: (
                    decimal_from_fraction(unit * per[kind]),
                    per[kind],
                    *(unit * 10**_AMOUNT_PLACES).as_integer_ratio(),
                )
                for kind, unit in table.items()
            }
            for table in tables
        ]


def _quantity(leaf: int | Fraction) -> Quantity:
    return leaf if isinstance(leaf, int) else decimal_from_fraction(leaf).normalize()


def rate(
    usage: Mapping[str, Quantity], card: RateCard | None, adjustments: Sequence[Adjustment] = ()
) -> RatedUsage:
    """Rate one call. Without a card the call is unpriced, never free.

    Raises UsageError when more specific counts exceed the count that contains them.
    """
    return NOT_PRICED if card is None else CompiledRate(card, adjustments).rate(usage)


def _bound(threshold: int, inclusive: bool) -> int:
    return threshold - 1 if inclusive else threshold


def _tier_bounds(card: RateCard) -> list[int]:
    """Strict thresholds of all kinds, ascending: a step begins above each."""
    bounds = {
        _bound(t.above_input_tokens, t.inclusive) for p in card.prices.values() for t in p.tiers
    }
    return sorted(bounds)


def _bounded(units: int) -> int:
    if abs(units) > MAX_AMOUNT_E10:
        raise UsageError("usage", "costs more than 100000000, the largest amount of one record")
    return units
