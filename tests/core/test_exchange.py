"""Rates by day: the last one on or before, rounded once, and unknown rather than guessed."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.errors import AmountError
from llm_cost_ops.core.exchange import (
    Converted,
    ExchangeRate,
    ExchangeRateError,
    ExchangeRates,
    converted,
    converted_parts,
    parse_rate,
)

OCTOBER, NOVEMBER = date(2026, 10, 31), date(2026, 11, 30)
FIRST = ExchangeRate("USD", "EUR", OCTOBER, Decimal("0.9"), "ECB")
SECOND = ExchangeRate("USD", "EUR", NOVEMBER, Decimal("0.8"), "ECB")
RATES = ExchangeRates([SECOND, FIRST])
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("day", "rate"),
    [
        (OCTOBER - DAY, None),
        (OCTOBER, FIRST),
        (NOVEMBER - DAY, FIRST),
        (NOVEMBER, SECOND),
        (date(2099, 1, 1), SECOND),
    ],
)
def test_the_rate_of_a_day_is_the_last_one_given_for_it_or_before(
    day: date, rate: ExchangeRate | None
) -> None:
    assert RATES.on("USD", "EUR", day) is rate
    made = RATES.convert(10, "USD", "EUR", day)
    assert made == (None if rate is None else Converted(int(10 * rate.rate), rate))


def test_no_rate_is_turned_round_or_made_of_others() -> None:
    rates = ExchangeRates([FIRST, ExchangeRate("EUR", "GBP", OCTOBER, Decimal(2), "ECB")])
    assert rates.convert(1, "EUR", "USD", NOVEMBER) is None
    assert rates.convert(1, "USD", "GBP", NOVEMBER) is None
    assert rates.convert(1, "JPY", "EUR", NOVEMBER) is None


def test_one_currency_needs_no_rate() -> None:
    assert ExchangeRates([]).convert(7, "CHF", "CHF", OCTOBER) == Converted(7, None)


def test_of_two_rates_of_a_day_the_later_given_one_stands() -> None:
    other = ExchangeRate("USD", "EUR", OCTOBER, Decimal("0.7"), "bank")
    assert ExchangeRates([FIRST, other]).on("USD", "EUR", OCTOBER) is other


@pytest.mark.parametrize(
    ("units", "rate", "made"),
    [(1, "0.5", 0), (3, "0.5", 2), (-1, "0.5", 0), (-3, "0.5", -2), (1, "0.5000000001", 1)],
)
def test_half_a_unit_goes_to_the_even_one(units: int, rate: str, made: int) -> None:
    assert converted(units, Decimal(rate)) == made


@given(
    st.integers(-(10**18), 10**18),
    st.decimals(min_value=Decimal("0.00000000000000000001"), max_value=10**9, places=20),
)
def test_an_amount_is_rounded_once_and_half_even(units: int, rate: Decimal) -> None:
    with localcontext() as context:
        context.prec = 80
        exact = (units * rate).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
    assert converted(units, rate) == int(exact)


@pytest.mark.parametrize(
    "value",
    ["0", "-1", "NaN", "", True, 0.5, "1e13", "1000000000000", "0.000000000000000000001", "1,5"],
)
def test_what_is_no_rate_is_refused(value: object) -> None:
    with pytest.raises((AmountError, ExchangeRateError)) as refused:
        parse_rate(value)
    assert refused.value.field == "rate"


@pytest.mark.parametrize("value", ["999999999999", "0.00000000000000000001", 1, "1.50000000000"])
def test_a_rate_is_kept_with_all_its_digits(value: object) -> None:
    assert parse_rate(value) == Decimal(str(value))


@pytest.mark.parametrize("whole", ["0", "1", "999999999999"])
def test_a_rate_of_forty_places_is_refused_unless_they_are_zeros(whole: str) -> None:
    for places in (f"{'1' * 40}", f"{'0' * 39}1", f"{'1' * 21}", f"{'1' * 20}{'0' * 19}1"):
        with pytest.raises((AmountError, ExchangeRateError)):
            parse_rate(f"{whole}.{places}")
    exact = f"{whole}.{'3' * 20}"
    assert f"{parse_rate(exact + '0' * 20):f}" == exact, "it fits its column of 40"


@pytest.mark.parametrize(("value", "text"), [("100", "100"), ("1e2", "100"), ("1.50", "1.5")])
def test_a_rate_is_written_without_what_says_nothing(value: str, text: str) -> None:
    assert str(parse_rate(value)) == text


@pytest.mark.parametrize(
    ("pair", "field"),
    [
        (("usd", "EUR"), "from_currency"),
        (("USD", "EURO"), "to_currency"),
        (("USD", "USD"), "to_currency"),
    ],
)
def test_a_rate_is_between_two_currencies(pair: tuple[str, str], field: str) -> None:
    with pytest.raises((AmountError, ExchangeRateError)) as refused:
        ExchangeRate(*pair, OCTOBER, Decimal(1), "x")
    assert refused.value.field == field


@given(
    st.lists(st.integers(min_value=-(10**18), max_value=10**18)),
    st.decimals(min_value="0.0001", max_value="10000", places=6),
)
def test_parts_sum_to_their_converted_sum(amounts: list[int], number: Decimal) -> None:
    parts = converted_parts(amounts, number)
    assert sum(parts) == converted(sum(amounts), number)
    pairs = zip(parts, amounts, strict=True)
    assert all(abs(part - amount * number) <= 1 for part, amount in pairs)
