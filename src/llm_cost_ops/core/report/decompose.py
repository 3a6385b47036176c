"""Why a cost changed: volume, price and mix of each model, with parts that sum to the change.

The split is that of sales-quantity, sales-mix and price variances with the earlier period in the
place of the budget (C. T. Horngren, S. M. Datar, M. V. Rajan, "Cost Accounting: A Managerial
Emphasis", the chapter on sales-variance analysis). With the units `q` and the unit cost `p` of a
model and its share `s` of all units `Q`, 0 before and 1 now:

    volume = (Q1 - Q0) * s0 * p0      as if every model had grown as all did
    mix    = (s1 - s0) * Q1 * p0      what the model's share changed
    price  = (p1 - p0) * q1           what the unit became dearer

Their sum is q1 * p1 - q0 * p0. Models of one period alone have no price to compare: their whole
cost is `new` or `gone`, and they are no part of Q. `unsplit` is the change of a model whose units
are not known or are none, though it costs something.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from llm_cost_ops.core.attribution import whole_parts

FORMULA = (
    "volume = (Q1 - Q0) x s0 x p0; mix = (s1 - s0) x Q1 x p0; price = (p1 - p0) x q1, with the "
    "tokens q, the cost per token p and the share of all tokens s of a model, 0 before and 1 now "
    "(sales-quantity, sales-mix and price variances: Horngren, Datar and Rajan, Cost Accounting)"
)
Key = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Spent:
    """What a model cost in a period, in units of 1e-10; `units` None where they are not known."""

    cost_e10: int
    units: int | None


@dataclass(frozen=True, slots=True)
class Effect:
    """The parts of a model's change, or of a sum of such, in units of 1e-10."""

    before: int = 0
    now: int = 0
    volume: int = 0
    mix: int = 0
    price: int = 0
    new: int = 0
    gone: int = 0
    unsplit: int = 0

    @property
    def change(self) -> int:
        return self.now - self.before

    @property
    def parts(self) -> tuple[int, ...]:
        """Volume, mix, price, new, gone and unsplit: they sum to the change."""
        return self.volume, self.mix, self.price, self.new, self.gone, self.unsplit


def decompose(before: Mapping[Key, Spent], now: Mapping[Key, Spent]) -> dict[Key, Effect]:
    """The effects of each model of either period; those of continuing models are exact fractions
    rounded half-even to 1e-10, what is then missing in the largest part."""
    both = [
        key
        for key in before.keys() & now.keys()
        if (before[key].units or 0) > 0 and (now[key].units or 0) > 0
    ]
    units = [sum(each[key].units or 0 for key in both) for each in (before, now)]
    found: dict[Key, Effect] = {}
    for key in sorted({*before, *now}, key=str):
        old, new = before.get(key), now.get(key)
        if old is None:
            cost = now[key].cost_e10
            found[key] = Effect(now=cost, new=cost)
        elif new is None:
            found[key] = Effect(before=old.cost_e10, gone=-old.cost_e10)
        elif (old.units or 0) > 0 and (new.units or 0) > 0:
            found[key] = _split(old, new, units[0], units[1])
        else:
            change = new.cost_e10 - old.cost_e10
            found[key] = Effect(old.cost_e10, new.cost_e10, unsplit=change)
    return found


def together(effects: Iterable[Effect]) -> Effect:
    """The sum of effects, part by part."""
    each = list(effects)
    return Effect(
        sum(e.before for e in each),
        sum(e.now for e in each),
        *(sum(column) for column in zip(*(e.parts for e in each), strict=True)),
    )


def _split(old: Spent, new: Spent, all_before: int, all_now: int) -> Effect:
    old_units, new_units = old.units or 0, new.units or 0
    price = Fraction(old.cost_e10, old_units)
    volume = Fraction(old.cost_e10 * (all_now - all_before), all_before)
    mix = (new_units - Fraction(old_units * all_now, all_before)) * price
    dearer = new.cost_e10 - new_units * price
    parts = whole_parts([volume, mix, dearer], new.cost_e10 - old.cost_e10)
    return Effect(old.cost_e10, new.cost_e10, *parts)
