"""Root cause: how much of the change of cost between two windows came from what.

The cost of a window is a product of factors, added up over models m and kinds of usage k:

    calls x share of m x attempts per call of m x quantity per attempt of k x mix of input x price

A driver is one factor: `volume` (calls, retries left out), `mix` (shares of the models), `retries`
(attempts per call), `tokens_per_call` (input tokens, and every other quantity, per attempt),
`cache` (which parts of the input were read from or written to a cache) and `price` (per unit). Its
amount is the Shapley value of the factor: the mean, over all orders in which the factors can be
changed from one window's to the other's, of what changing it adds. So the amounts have no
remainder, do not depend on an order, change sign when the windows are swapped, and are zero for a
factor that did not change.

Sources: L. S. Shapley, "A value for n-person games" (1953); J. Albrecht, D. Francois, K. Schoors,
"A Shapley decomposition of carbon emissions without residuals", Energy Policy 30 (2002), 727-736.

A model that is new or gone has the missing window's factors from the other window, so its cost is
`mix` (and `volume`); so has a kind of usage. Cost without calls (an imported bill) is `other`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from itertools import product
from math import factorial

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.money import E10, EXACT, from_e10
from llm_cost_ops.core.usage import INPUT_TOKEN_KINDS, Quantity

DIMENSIONS = ("provider", "model", "project", "user", "api_key", "feature")
FACTORS = ("volume", "mix", "retries", "tokens_per_call", "cache", "price")
OTHER = "other"
TOP = 10
_COUNT = len(FACTORS)
_ORDERS = factorial(_COUNT)
_WEIGHTS = [factorial(size) * factorial(_COUNT - size - 1) for size in range(_COUNT)]
_PER_CALL = ""
"""The kind of what is charged by the call: no quantity of usage explains it."""
_ZERO = Decimal(0)


class AttributionError(DomainError):
    """Usage that cannot be true: more retries than requests, or a negative count."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The usage of one combination of dimensions in one window.

    `requests` are attempts, of which `retries` repeat another. `usage` holds quantities that do not
    overlap (input tokens read from a cache are not also in `input_tokens`), `cost` their cost, and
    `lines` what of it belongs to each kind, where that is known: without it the price of a call's
    tokens is a mean, and a change of the cache hit rate is part of `price`. An unpriced cell has no
    cost and is stated apart.
    """

    dimensions: Mapping[str, str | None]
    requests: int
    cost: Decimal = _ZERO
    retries: int = 0
    usage: Mapping[str, Quantity] = field(default_factory=dict[str, Quantity])
    lines: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    priced: bool = True


@dataclass(frozen=True, slots=True)
class Driver:
    """A cause, its part of the change, and that part divided by the change (None of no change)."""

    name: str
    amount: Decimal
    share: Decimal | None


@dataclass(frozen=True, slots=True)
class Member:
    """One value of a dimension (None: usage without one) in both windows."""

    name: str | None
    baseline: Decimal
    actual: Decimal
    change: Decimal
    share: Decimal | None


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Requests without a price: they are in no amount. Of the baseline as it was, not scaled."""

    baseline_requests: int
    actual_requests: int


@dataclass(frozen=True, slots=True)
class Attribution:
    """`change` is `actual - baseline`, and the sum of `drivers` to the last of ten places; so is
    the sum of each dimension's members together with its `rest`."""

    baseline: Decimal
    actual: Decimal
    change: Decimal
    drivers: tuple[Driver, ...]
    members: Mapping[str, tuple[Member, ...]]
    rest: Mapping[str, Decimal]
    unpriced: Unpriced


def attribute(
    baseline: Iterable[Cell],
    actual: Iterable[Cell],
    *,
    baseline_share: Fraction = Fraction(1),
    top: int = TOP,
) -> Attribution:
    """Split the change of cost from a baseline to what happened, in one currency.

    `baseline_share` is the length of the window over that of the baseline: 1/4 where the baseline
    holds four like periods. Drivers are ordered by the size of their amounts; each dimension lists
    the `top` members by the size of their change, and `rest` is what the others changed.

    Raises AttributionError for counts that cannot be true, and for a share that is not positive.
    """
    if baseline_share <= 0:
        raise AttributionError("must be greater than 0", field="baseline_share")
    before, after = list(baseline), list(actual)
    for cell in (*before, *after):
        _check(cell)
    priced = ([c for c in before if c.priced], [c for c in after if c.priced])
    totals = (_units(priced[0], baseline_share), _units(priced[1], Fraction(1)))
    change = totals[1] - totals[0]
    members: dict[str, tuple[Member, ...]] = {}
    rest: dict[str, Decimal] = {}
    for dimension in DIMENSIONS:
        found = _members(dimension, priced, baseline_share, totals)
        members[dimension] = tuple(found[:top])
        rest[dimension] = sum((member.change for member in found[top:]), from_e10(0))
    return Attribution(
        from_e10(totals[0]),
        from_e10(totals[1]),
        from_e10(change),
        _drivers(priced, baseline_share, change),
        members,
        rest,
        Unpriced(*(sum(c.requests for c in cells if not c.priced) for cells in (before, after))),
    )


def _check(cell: Cell) -> None:
    if not 0 <= cell.retries <= cell.requests:
        raise AttributionError("must be between 0 and the requests", field="retries")
    if any(quantity < 0 for quantity in cell.usage.values()):
        raise AttributionError("must not be negative", field="usage")


def _units(cells: Iterable[Cell], share: Fraction) -> int:
    """The cost in units of 1e-10, rounded half-even."""
    return round(Fraction(sum((cell.cost for cell in cells), _ZERO)) * share * E10)


def _share(part: int, change: int) -> Decimal | None:
    return EXACT.divide(Decimal(part), Decimal(change)) if change else None


def whole_parts(parts: Sequence[Fraction | Decimal], total: int) -> list[int]:
    """The parts as integers with this sum: each rounded half-even, and the few units that are then
    missing go to the part of the largest size, the first of equals."""
    rounded = [round(part) for part in parts]
    missing = total - sum(rounded)
    if missing:
        largest = max(range(len(parts)), key=lambda index: (abs(parts[index]), -index))
        rounded[largest] += missing
    return rounded


# --- members ---------------------------------------------------------------------------------


def _members(
    dimension: str,
    windows: tuple[list[Cell], list[Cell]],
    share: Fraction,
    totals: tuple[int, int],
) -> list[Member]:
    """Every member of the dimension, those that changed most first."""
    sums: dict[str | None, list[Decimal]] = defaultdict(lambda: [_ZERO, _ZERO])
    for window, cells in enumerate(windows):
        for cell in cells:
            sums[cell.dimensions.get(dimension)][window] += cell.cost
    names = sorted(sums, key=lambda name: (name is None, name or ""))
    columns = [
        whole_parts([Fraction(sums[name][window]) * scale * E10 for name in names], totals[window])
        for window, scale in enumerate((share, Fraction(1)))
    ]
    change = totals[1] - totals[0]
    found = [
        Member(name, from_e10(old), from_e10(new), from_e10(new - old), _share(new - old, change))
        for name, old, new in zip(names, *columns, strict=True)
    ]
    return sorted(found, key=lambda member: -abs(member.change))


# --- drivers ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Group:
    """A model in one window: its calls, attempts, quantities and amounts by kind."""

    calls: int
    attempts: int
    usage: Mapping[str, Quantity]
    amounts: Mapping[str, Decimal]

    @property
    def cost(self) -> Decimal:
        return sum(self.amounts.values(), _ZERO)


@dataclass(frozen=True, slots=True)
class _Factors:
    """The factors of a model in one window; those that have no value there are None."""

    volume: Decimal
    mix: Decimal
    retries: Decimal | None
    quantities: Mapping[str, Decimal | None]
    parts: Mapping[str, Decimal | None]
    prices: Mapping[str, Decimal | None]


def _drivers(
    windows: tuple[list[Cell], list[Cell]], share: Fraction, change: int
) -> tuple[Driver, ...]:
    sides = tuple(_groups(cells) for cells in windows)
    names = sorted(sides[0].keys() | sides[1].keys())
    calls = [sum(group.calls for group in side.values()) for side in sides]
    scales = [EXACT.divide(Decimal(share.numerator), Decimal(share.denominator)), Decimal(1)]
    parts = dict.fromkeys((*FACTORS, OTHER), _ZERO)
    empty = _Group(0, 0, {}, {})
    for name in names:
        pair = [side.get(name, empty) for side in sides]
        counted: list[_Group] = []
        for sign, scale, group in zip((-1, 1), scales, pair, strict=True):
            if group.attempts:
                counted.append(group)
                continue
            counted.append(empty)
            parts[OTHER] = EXACT.add(parts[OTHER], sign * EXACT.multiply(scale, group.cost))
        if counted == [empty, empty]:
            continue
        kinds = _kinds(counted)
        factors = [
            _factors(group, kinds, count, scale)
            for group, count, scale in zip(counted, calls, scales, strict=True)
        ]
        for factor, value in zip(FACTORS, _shapley(factors[0], factors[1]), strict=True):
            parts[factor] = EXACT.add(parts[factor], value)
    units = whole_parts([EXACT.multiply(part, Decimal(E10)) for part in parts.values()], change)
    found = [
        Driver(name, from_e10(part), _share(part, change))
        for name, part in zip(parts, units, strict=True)
        if name != OTHER or part
    ]
    return tuple(sorted(found, key=lambda driver: -abs(driver.amount)))


def _groups(cells: Iterable[Cell]) -> dict[tuple[str, str], _Group]:
    """The cells by provider and model."""
    gathered: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        at = cell.dimensions
        gathered[at.get("provider") or "", at.get("model") or ""].append(cell)
    return {key: _group(of) for key, of in gathered.items()}


def _group(cells: Sequence[Cell]) -> _Group:
    attempts = sum(cell.requests for cell in cells)
    calls = attempts - sum(cell.retries for cell in cells)
    usage: dict[str, Quantity] = defaultdict(int)
    amounts: dict[str, Decimal] = defaultdict(Decimal)
    itemized = all(cell.lines or not cell.cost for cell in cells)
    for cell in cells:
        for kind, quantity in cell.usage.items():
            usage[kind if itemized else "tokens"] += quantity
        if itemized:
            for kind, amount in cell.lines.items():
                amounts[kind] += amount
            # Cost is rounded once a call and lines are not: the difference is nobody's usage.
            amounts[_PER_CALL] += cell.cost - sum(cell.lines.values(), _ZERO)
        else:
            amounts["tokens"] += cell.cost
    # Where every attempt is said to repeat another, there is no telling which came first.
    return _Group(calls or attempts, attempts, usage, amounts)


def _kinds(pair: Sequence[_Group]) -> list[str]:
    """The kinds of usage and cost of either window, in a fixed order."""
    return sorted({kind for group in pair for kind in (*group.usage, *group.amounts)})


def _factors(group: _Group, kinds: Sequence[str], calls: int, scale: Decimal) -> _Factors:
    """Input kinds share one quantity, the input tokens of an attempt, and have a part of it each;
    any other kind has its own quantity. A kind with an amount and no quantity goes by the call."""
    attempts = Decimal(group.attempts)
    given = {kind: Decimal(group.usage.get(kind, 0)) for kind in kinds}
    for kind in kinds:
        if not given[kind] and group.amounts.get(kind):
            given[kind] = attempts
    inputs = sum((given[kind] for kind in kinds if kind in INPUT_TOKEN_KINDS), _ZERO)
    quantities: dict[str, Decimal | None] = {}
    parts: dict[str, Decimal | None] = {}
    for kind in kinds:
        is_input = kind in INPUT_TOKEN_KINDS
        quantities[kind] = _ratio(inputs if is_input else given[kind], attempts)
        parts[kind] = _ratio(given[kind], inputs) if is_input else Decimal(1)
    return _Factors(
        EXACT.multiply(Decimal(calls), scale),
        _ratio(Decimal(group.calls), Decimal(calls)) or _ZERO,
        _ratio(attempts, Decimal(group.calls)),
        quantities,
        parts,
        {kind: _ratio(group.amounts.get(kind, _ZERO), given[kind]) for kind in kinds},
    )


def _ratio(part: Decimal, whole: Decimal) -> Decimal | None:
    return EXACT.divide(part, whole) if whole else None


def _either(one: Decimal | None, other: Decimal | None) -> tuple[Decimal, Decimal]:
    """Both values; what one window cannot tell is as in the other, zero if in neither."""
    first = one if one is not None else other
    second = other if other is not None else one
    return first or _ZERO, second or _ZERO


def _shapley(old: _Factors, new: _Factors) -> list[Decimal]:
    """The part of each of FACTORS in the change of this model's cost, at 60 digits."""
    values = _values(old, new)
    found: list[Decimal] = []
    for index in range(_COUNT):
        total = _ZERO
        for mask in range(1 << _COUNT):
            if mask >> index & 1:
                continue
            gain = EXACT.subtract(values[mask | 1 << index], values[mask])
            total = EXACT.add(total, _WEIGHTS[mask.bit_count()] * gain)
        found.append(EXACT.divide(total, Decimal(_ORDERS)))
    return found


def _values(old: _Factors, new: _Factors) -> list[Decimal]:
    """The cost with each subset of the factors already changed; bit i is FACTORS[i]."""
    volumes, mixes = (old.volume, new.volume), _mix(old, new)
    retries = _either(old.retries, new.retries)
    kinds = [
        (
            _either(old.quantities[kind], new.quantities[kind]),
            _either(old.parts[kind], new.parts[kind]),
            _either(old.prices[kind], new.prices[kind]),
        )
        for kind in old.quantities
    ]
    attempts = [
        EXACT.multiply(EXACT.multiply(volumes[volume], mixes[mix]), retries[retry])
        for retry, mix, volume in product((0, 1), repeat=3)
    ]
    values: list[Decimal] = []
    for price, cache, tokens in product((0, 1), repeat=3):
        amount = _ZERO
        for quantities, parts, prices in kinds:
            quantity = EXACT.multiply(quantities[tokens], parts[cache])
            amount = EXACT.add(amount, EXACT.multiply(quantity, prices[price]))
        values += [EXACT.multiply(count, amount) for count in attempts]
    return values


def _mix(old: _Factors, new: _Factors) -> tuple[Decimal, Decimal]:
    """The shares; a window without any call is like the other, only without volume."""
    return (old.mix if old.volume else new.mix, new.mix if new.volume else old.mix)
