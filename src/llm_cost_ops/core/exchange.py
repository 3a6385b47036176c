"""Exchange rates that an organization gave: which one counts on a day, and what it makes of an
amount.

A rate is used as it was given, in its own direction: none is turned round, none is made of two
others, and before the first one there is none. What cannot be converted stays unknown.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.money import (
    EXACT,
    check_currency,
    parse_decimal,
    round_ratio,
    round_ratio_e10,
)

MAX_WHOLE_DIGITS = 12
MAX_RATE_PLACES = 20


class ExchangeRateError(DomainError):
    """A rate that cannot be used."""


@dataclass(frozen=True, slots=True)
class ExchangeRate:
    """One unit of `from_currency` was worth `rate` units of `to_currency` on `day`, as `source`
    says."""

    from_currency: str
    to_currency: str
    day: date
    rate: Decimal
    source: str

    def __post_init__(self) -> None:
        check_currency(self.from_currency, "from_currency")
        check_currency(self.to_currency, "to_currency")
        if self.from_currency == self.to_currency:
            raise ExchangeRateError("must differ from from_currency", field="to_currency")


@dataclass(frozen=True, slots=True)
class Converted:
    """An amount in units of 1e-10, and the rate that made it; None where both currencies are one,
    because nothing was converted."""

    amount_e10: int
    rate: ExchangeRate | None


def parse_rate(value: object, field: str = "rate") -> Decimal:
    """A positive Decimal of at most 12 whole digits and 20 places; a rate is never rounded.

    Raises AmountError, ExchangeRateError.
    """
    number = parse_decimal(value, field)
    if number <= 0:
        raise ExchangeRateError("must be greater than 0", field=field)
    number = Decimal(f"{number.normalize(EXACT):f}")  # what was typed beyond it is zeros
    exponent = number.as_tuple().exponent
    too_fine = isinstance(exponent, int) and exponent < -MAX_RATE_PLACES
    if too_fine or number.adjusted() >= MAX_WHOLE_DIGITS:
        raise ExchangeRateError(
            f"must have at most {MAX_WHOLE_DIGITS} whole digits and {MAX_RATE_PLACES} places",
            field=field,
        )
    return number


class ExchangeRates:
    """Rates by pair and day. Of two for one pair and day the later given one stands."""

    def __init__(self, rates: Iterable[ExchangeRate]) -> None:
        pairs: dict[tuple[str, str], dict[date, ExchangeRate]] = {}
        for rate in rates:
            pairs.setdefault((rate.from_currency, rate.to_currency), {})[rate.day] = rate
        self._pairs = {
            pair: (sorted(by_day), [by_day[day] for day in sorted(by_day)])
            for pair, by_day in pairs.items()
        }

    def on(self, from_currency: str, to_currency: str, day: date) -> ExchangeRate | None:
        """The last rate on or before the day."""
        days, rates = self._pairs.get((from_currency, to_currency), ([], []))
        place = bisect_right(days, day)
        return rates[place - 1] if place else None

    def convert(
        self, amount_e10: int, from_currency: str, to_currency: str, day: date
    ) -> Converted | None:
        """An amount at the rate of a day; None where there is none."""
        if from_currency == to_currency:
            return Converted(amount_e10, None)
        rate = self.on(from_currency, to_currency, day)
        return None if rate is None else Converted(converted(amount_e10, rate.rate), rate)


def converted(amount_e10: int, rate: Decimal) -> int:
    """An amount in units of 1e-10 times a rate, rounded once, half-even."""
    numerator, denominator = rate.as_integer_ratio()
    return round_ratio(amount_e10 * numerator, denominator)


def converted_exactly(amount: Decimal, rate: Decimal) -> int:
    """An amount of any number of places times a rate, in units of 1e-10, rounded once, half-even:
    rounded before as well, it could be off by as much as the rate."""
    numerator, denominator = amount.as_integer_ratio()
    times, per = rate.as_integer_ratio()
    return round_ratio_e10(numerator * times, denominator * per)


def converted_parts(amounts_e10: Iterable[int], rate: Decimal) -> list[int]:
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
