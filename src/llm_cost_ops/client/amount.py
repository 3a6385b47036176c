"""Amounts of money: exact decimals that also meet a float without an error.

`0.0 + cost.amount`, `sum(...)`, `cost.amount > 0.1` and `f"{x:.2f}"` all work. A float is read as
the decimal number it prints as, so `Amount("0.1") == 0.1` holds. The price of that is the hash: an
amount hashes like the equal Decimal, not like the float, so do not mix the two as keys of one dict.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any, SupportsIndex, cast, overload

Number = int | float | Decimal
PLACES = Decimal("1E-10")
# The default context cuts results to 28 digits: 18 whole ones and 10 places fill it.
WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)
RATIO = Context(prec=28, rounding=ROUND_HALF_EVEN)


def exact(value: Number) -> Decimal:
    """The decimal number that `value` prints as."""
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


class Amount(Decimal):
    """A Decimal that adds to, subtracts from and compares with int, Decimal and float."""

    __slots__ = ()

    def __new__(cls, value: Number | str = 0) -> Amount:
        return super().__new__(cls, repr(value) if isinstance(value, float) else value)

    def __add__(self, other: Any, /) -> Amount:
        return _apply(WIDE.add, self, other)

    def __radd__(self, other: Any, /) -> Amount:
        return _apply(WIDE.add, other, self)

    def __sub__(self, other: Any, /) -> Amount:
        return _apply(WIDE.subtract, self, other)

    def __rsub__(self, other: Any, /) -> Amount:
        return _apply(WIDE.subtract, other, self)

    def __mul__(self, other: Any, /) -> Amount:
        return _apply(WIDE.multiply, self, other)

    def __rmul__(self, other: Any, /) -> Amount:
        return _apply(WIDE.multiply, other, self)

    def __truediv__(self, other: Any, /) -> Amount:
        return _apply(RATIO.divide, self, other)

    def __rtruediv__(self, other: Any, /) -> Amount:
        return _apply(RATIO.divide, other, self)

    def __floordiv__(self, other: Any, /) -> Amount:
        return _apply(WIDE.divide_int, self, other)

    def __mod__(self, other: Any, /) -> Amount:
        return _apply(WIDE.remainder, self, other)

    def __neg__(self) -> Amount:
        return Amount(WIDE.minus(self))

    def __pos__(self) -> Amount:
        return self

    def __abs__(self) -> Amount:
        return Amount(WIDE.abs(self))

    @overload
    def __round__(self, /) -> int: ...
    @overload
    def __round__(self, ndigits: SupportsIndex, /) -> Amount: ...
    def __round__(self, ndigits: SupportsIndex | None = None, /) -> int | Amount:
        if ndigits is None:
            return super().__round__()
        return Amount(self.quantize(Decimal(1).scaleb(-ndigits.__index__()), context=WIDE))

    def __eq__(self, other: object, /) -> bool:
        return Decimal.__eq__(self, _seen(other))

    def __lt__(self, other: Any, /) -> bool:
        return Decimal.__lt__(self, _seen(other))

    def __le__(self, other: Any, /) -> bool:
        return Decimal.__le__(self, _seen(other))

    def __gt__(self, other: Any, /) -> bool:
        return Decimal.__gt__(self, _seen(other))

    def __ge__(self, other: Any, /) -> bool:
        return Decimal.__ge__(self, _seen(other))

    __hash__ = Decimal.__hash__

    def __repr__(self) -> str:
        return f"Amount('{self}')"


def _seen(other: object) -> Any:
    return exact(other) if isinstance(other, float) else other


def _apply(operation: Any, left: object, right: object) -> Amount:
    if not isinstance(left, Number) or not isinstance(right, Number):
        return cast("Amount", NotImplemented)
    return Amount(operation(exact(left), exact(right)))


def parse(value: object) -> Amount | None:
    """An amount from a JSON number or decimal string; None when it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        amount = Amount(value)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def for_tokens(tokens: Number, rate_per_1k: Number) -> Amount:
    """tokens / 1000 * rate, rounded half-even to ten places."""
    cost = WIDE.divide(WIDE.multiply(exact(tokens), exact(rate_per_1k)), Decimal(1000))
    return Amount(cost.quantize(PLACES, context=WIDE))


def as_json(amount: Decimal) -> int | float | str:
    """A lossless JSON-safe form: a number where a double holds the very digits, else a string.

    Every amount of up to 15 significant digits (ten places up to 99,999.99) is a number.
    """
    if amount == amount.to_integral_value() and abs(amount) < 2**53:
        return int(amount)
    near = float(amount)
    return near if Decimal(repr(near)) == amount else f"{amount:f}"
