"""Exact money: Decimal at the doors, whole units of 1e-10 inside tables.

An amount is rounded once per record, half-even, to ten places (PRICING rule 5). Tables
hold the amount times 10**10 as an integer, so every database sums it exactly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

from llm_cost_ops.core.errors import AmountError

PLACES = 10
E10 = 10**PLACES
MAX_AMOUNT_E10 = 10**18
"""Largest amount of one record: 100 million of its currency, inside a signed 64-bit integer."""

EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_QUANTUM = Decimal(1).scaleb(-PLACES)
_AMOUNT = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


def parse_decimal(value: object, field: str) -> Decimal:
    """A bounded Decimal from a JSON number (int, Decimal) or a decimal string.

    Raises AmountError for NaN, infinities, huge exponents, underscores and non-ASCII digits:
    `int(Decimal("1E+999999"))` alone would cost half a minute of CPU.
    """
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise AmountError("must be a number or a decimal string", field=field)
    text = str(value)
    if len(text) > 60 or not _AMOUNT.fullmatch(text):
        raise AmountError("must be a decimal number with at most 18 whole digits", field=field)
    number = Decimal(text)
    if number and not -40 <= number.adjusted() <= 17:
        raise AmountError("must be a decimal number with at most 18 whole digits", field=field)
    return number


def parse_e10(value: object, field: str) -> int:
    """Units of 1e-10 of what is given with at most ten decimal places. Raises AmountError."""
    amount = parse_decimal(value, field)
    units = to_e10(amount, field)
    if from_e10(units) != amount:
        raise AmountError(f"must have at most {PLACES} decimal places", field=field)
    return units


def to_e10(amount: Decimal, field: str = "amount") -> int:
    """Units of 1e-10, rounded half-even. Raises AmountError when out of range."""
    units = int(amount.quantize(_QUANTUM, context=EXACT).scaleb(PLACES))
    if abs(units) > MAX_AMOUNT_E10:
        raise AmountError("must be at most 100000000", field=field)
    return units


def round_ratio_e10(numerator: int, denominator: int) -> int:
    """numerator / denominator in units of 1e-10, rounded half-even; denominator > 0."""
    return round_ratio(numerator * E10, denominator)


def round_ratio(numerator: int, denominator: int) -> int:
    """numerator / denominator rounded half-even to a whole number; denominator > 0."""
    quotient, remainder = divmod(numerator, denominator)
    twice = remainder * 2
    if twice > denominator or (twice == denominator and quotient & 1):
        quotient += 1
    return quotient


def from_e10(units: int) -> Decimal:
    """Units of 1e-10 as a Decimal with exactly ten places."""
    return Decimal(units).scaleb(-PLACES, EXACT)


def format_e10(units: int) -> str:
    """Units of 1e-10 as plain digits with ten places, the form used on the wire: 0.0012345678."""
    sign = "-" if units < 0 else ""
    whole, fraction = divmod(abs(units), E10)
    return f"{sign}{whole}.{fraction:010d}"


def plain_e10(units: int) -> str:
    """Units of 1e-10 as plain digits without trailing zeros: 0.0012345678, 1.5, 0."""
    return format_e10(units).rstrip("0").rstrip(".")


def plain(number: Decimal) -> str:
    """Decimal digits without an exponent and without trailing zeros."""
    text = str(number)
    if "E" in text:
        text = f"{number:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def decimal_from_fraction(value: Fraction, places: int = 20) -> Decimal:
    """The fraction as a Decimal, exact where it ends within `places`, else half-even."""
    units = round_ratio(value.numerator * 10**places, value.denominator)
    return Decimal(units).scaleb(-places, EXACT)


def check_currency(value: object, field: str = "currency") -> str:
    """An ISO 4217 shaped code. Raises AmountError otherwise."""
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise AmountError("must be a three-letter ISO 4217 code", field=field)
    return value


def split(total_e10: int, weights: Sequence[int]) -> list[int]:
    """Split an amount by weights so that the parts sum to the whole (largest remainder).

    Ties go to the earlier part. Raises AmountError when no weight is positive or one is negative.
    """
    whole = sum(weights)
    if whole <= 0 or any(weight < 0 for weight in weights):
        raise AmountError("weights must be non-negative and not all zero", field="weights")
    sign = -1 if total_e10 < 0 else 1
    shares = [divmod(abs(total_e10) * weight, whole) for weight in weights]
    parts = [quotient for quotient, _ in shares]
    missing = abs(total_e10) - sum(parts)
    by_remainder = sorted(range(len(shares)), key=lambda i: (-shares[i][1], i))
    for index in by_remainder[:missing]:
        parts[index] += 1
    return [sign * part for part in parts]
