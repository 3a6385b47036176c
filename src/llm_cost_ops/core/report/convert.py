"""Amounts in another currency, by dated rates that the organization gave (never by a guess)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Rate:
    """One unit of `currency` is `rate` units of the currency converted to, from a day on; `source`
    tells where that was read."""

    currency: str
    day: date
    rate: Decimal
    source: str


def rate_on(rates: Iterable[Rate], currency: str, day: date) -> Rate | None:
    """The latest rate of a currency that is not of a later day."""
    known = [each for each in rates if each.currency == currency and each.day <= day]
    return max(known, key=lambda each: each.day, default=None)


def converted(amount_e10: int, rate: Rate) -> int:
    """An amount in units of 1e-10, rounded half-even once."""
    return round(amount_e10 * Fraction(rate.rate))


def converted_parts(amounts_e10: Sequence[int], rate: Rate) -> list[int]:
    """Amounts that sum to their converted sum: each is the converted sum up to it less that before
    it, which is within 1e-10 of its own conversion."""
    found: list[int] = []
    total = before = 0
    for amount in amounts_e10:
        total += amount
        now = converted(total, rate)
        found.append(now - before)
        before = now
    return found
