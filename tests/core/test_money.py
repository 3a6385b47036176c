"""Amounts: parsing is bounded, rounding is half-even once, splitting loses nothing."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core import money
from llm_cost_ops.core.errors import AmountError
from llm_cost_ops.core.money import E10, MAX_AMOUNT_E10


@pytest.mark.parametrize(
    "given_value",
    [
        "1E+999999",
        "NaN",
        "Infinity",
        "1_000",
        "１２",
        "",
        "-",
        "0x10",
        " 1",
        "1" * 19,
        True,
        1.5,
        None,
    ],
)
def test_refuses_what_is_not_a_bounded_amount(given_value: object) -> None:
    with pytest.raises(AmountError) as refused:
        money.parse_decimal(given_value, "cost")
    assert refused.value.field == "cost"


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        (0, "0"),
        ("0.020999999999999998", "0.020999999999999998"),
        (Decimal("1e-05"), "0.00001"),
        ("-12.5", "-12.5"),
        ("9" * 18, "9" * 18),
    ],
)
def test_reads_numbers_and_decimal_text_exactly(given_value: object, expected: str) -> None:
    assert money.parse_decimal(given_value, "cost") == Decimal(expected)


def test_a_tiny_exponent_is_refused_and_zero_with_one_is_not() -> None:
    with pytest.raises(AmountError):
        money.parse_decimal("1e-41", "cost")
    assert money.parse_decimal("0e-41", "cost") == 0


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("0.03317125245", 331712524),
        ("0.00000000005", 0),
        ("0.00000000015", 2),
        ("0.000000000050000000001", 1),
        ("-0.00000000015", -2),
        ("100000000", MAX_AMOUNT_E10),
    ],
)
def test_rounds_half_even_to_ten_places(text: str, units: int) -> None:
    assert money.to_e10(Decimal(text)) == units


def test_the_largest_amount_and_the_next_one() -> None:
    with pytest.raises(AmountError):
        money.to_e10(Decimal("100000000.0000000001"))


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**15))
def test_ratio_rounding_equals_decimal_rounding(numerator: int, denominator: int) -> None:
    with localcontext() as context:
        context.prec = 200
        exact = Fraction(numerator, denominator) * E10
        floor = exact.numerator // exact.denominator
        rest = exact - floor
        expected = floor + (
            1 if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and floor % 2) else 0
        )
    assert money.round_ratio_e10(numerator, denominator) == expected


@given(st.integers(-MAX_AMOUNT_E10, MAX_AMOUNT_E10))
def test_units_survive_the_way_out_and_back(units: int) -> None:
    assert Decimal(money.format_e10(units)) == money.from_e10(units)
    assert money.to_e10(money.from_e10(units)) == units
    assert "E" not in money.format_e10(units)
    assert money.plain_e10(units) == money.plain(money.from_e10(units))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-10, max_value=10))
def test_plain_is_the_same_number_without_exponent(number: Decimal) -> None:
    assert Decimal(money.plain(number)) == number
    assert "E" not in money.plain(number)


def test_plain_knows_zero_and_trailing_zeros() -> None:
    assert money.plain(Decimal("0E-10")) == "0"
    assert money.plain(Decimal("-0.0")) == "0"
    assert money.plain(Decimal("1.50")) == "1.5"
    assert money.plain(Decimal("100")) == "100"


@given(st.fractions(min_value=-1000, max_value=1000))
def test_fraction_to_decimal_is_within_half_a_unit(value: Fraction) -> None:
    shown = Fraction(money.decimal_from_fraction(value, 20))
    assert abs(shown - value) <= Fraction(1, 2 * 10**20)


def test_fraction_to_decimal_rounds_half_even() -> None:
    assert money.decimal_from_fraction(Fraction(1, 8), 2) == Decimal("0.12")
    assert money.decimal_from_fraction(Fraction(3, 8), 2) == Decimal("0.38")
    assert money.decimal_from_fraction(Fraction(2, 3), 2) == Decimal("0.67")


@given(
    st.integers(-MAX_AMOUNT_E10, MAX_AMOUNT_E10),
    st.lists(st.integers(0, 10**9), min_size=1, max_size=30).filter(any),
)
def test_parts_of_a_split_sum_to_the_whole(total: int, weights: list[int]) -> None:
    parts = money.split(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(Fraction(part) - Fraction(total * weight, sum(weights))) < 1


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1]])
def test_split_refuses_weights_that_cannot_split(weights: list[int]) -> None:
    with pytest.raises(AmountError):
        money.split(100, weights)


def test_split_gives_the_remainder_to_the_earlier_of_equals() -> None:
    assert money.split(10, [1, 1, 1]) == [4, 3, 3]


@pytest.mark.parametrize("value", ["usd", "US", "EURO", 5, None, "ÜSD"])
def test_currency_must_be_three_capital_letters(value: object) -> None:
    with pytest.raises(AmountError):
        money.check_currency(value)


def test_currency_passes() -> None:
    assert money.check_currency("EUR") == "EUR"
    assert ROUND_HALF_EVEN == money.EXACT.rounding


def test_an_amount_that_is_given_has_ten_places_at_most() -> None:
    assert money.parse_e10("1.00000000010", "amount") == 10_000_000_001
    with pytest.raises(AmountError) as refused:
        money.parse_e10("0.00000000001", "amount")
    assert (refused.value.field, refused.value.message) == (
        "amount",
        "must have at most 10 decimal places",
    )
