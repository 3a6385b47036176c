from __future__ import annotations

import copy
import json
import math
import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.client.amount import Amount, as_json, for_tokens, parse

money = st.integers(-(10**27), 10**27).map(lambda units: Decimal(units).scaleb(-10))
floats = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12)


def test_a_float_meets_an_amount_as_the_number_it_prints_as() -> None:
    assert 0.0 + Amount("0.045") == Decimal("0.045")
    assert Amount("0.1") + 0.2 == Decimal("0.3")
    assert Amount("0.1") == 0.1
    assert Amount("0.1") >= 0.1
    assert not Amount("0.1") > 0.1
    assert 0.09 < Amount("0.1") < 0.11
    assert Amount("0.3") / 0.1 == 3
    assert 2 * Amount("0.045") == Decimal("0.09")
    assert 1 - Amount("0.25") == Decimal("0.75")


def test_the_documented_idioms_work() -> None:
    costs = [Amount("0.0450000000"), Amount("0.0000000001")]
    assert sum(costs) == Decimal("0.0450000001")
    assert f"${sum(costs):.2f}" == "$0.05"
    assert round(costs[0], 2) == Decimal("0.04")
    assert round(Amount("0.055"), 2) == Decimal("0.06")
    assert round(Amount("2.5")) == 2
    assert math.isclose(costs[0], 0.045)
    assert max(costs) is costs[0]


def test_results_stay_amounts_so_that_they_meet_floats_again() -> None:
    amount = Amount("1.5")
    for result in (
        amount + 1, 1 + amount, amount - 1, 1 - amount, amount * 2, 2 * amount, amount / 2,
        3 / amount, amount // 1, amount % 1, -amount, +amount, abs(-amount), round(amount, 1),
    ):  # fmt: skip
        assert type(result) is Amount
    assert -amount == -1.5
    assert abs(-amount) == 1.5
    assert amount % 1 == 0.5
    assert amount // 1 == 1


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError):
        Amount(1) + "1"  # type: ignore[operator]
    with pytest.raises(TypeError):
        Amount(1) < "1"  # type: ignore[operator]  # noqa: B015
    assert Amount(1) != "1"


@given(st.lists(money, max_size=50))
def test_sums_lose_no_digit(values: list[Decimal]) -> None:
    units = sum(int(value.scaleb(10)) for value in values)
    assert sum((Amount(value) for value in values), Amount(0)) == Decimal(units).scaleb(-10)


@given(money, floats)
def test_comparison_with_a_float_is_that_of_the_printed_numbers(
    value: Decimal, other: float
) -> None:
    amount, printed = Amount(value), Decimal(repr(other))
    assert (amount < other) == (value < printed)
    assert (amount <= other) == (value <= printed)
    assert (amount > other) == (value > printed)
    assert (amount >= other) == (value >= printed)
    assert (amount == other) == (value == printed)
    assert (other == amount) == (value == printed)


@given(money)
def test_copies_and_pickles_are_equal(value: Decimal) -> None:
    amount = Amount(value)
    for same in (copy.deepcopy(amount), pickle.loads(pickle.dumps(amount))):  # noqa: S301
        assert same == amount
        assert type(same) is Amount
    assert hash(amount) == hash(value)


@given(money)
def test_the_json_form_is_lossless(value: Decimal) -> None:
    text = json.dumps(as_json(value))
    back = json.loads(text, parse_float=Decimal)
    assert Decimal(back) == value


@pytest.mark.parametrize(
    ("amount", "form"),
    [
        ("0.0450000000", 0.045),
        ("3.0000000000", 3),
        ("99999.9999999999", 99999.9999999999),
        ("12345678901.1234567891", "12345678901.1234567891"),
        ("9007199254740991", 9007199254740991),
        ("9007199254740993", "9007199254740993"),
    ],
)
def test_the_json_form_is_a_number_where_a_double_holds_the_digits(
    amount: str, form: object
) -> None:
    assert as_json(Decimal(amount)) == form
    assert type(as_json(Decimal(amount))) is type(form)


@given(st.integers(0, 10**9), st.decimals(0, 100, places=6))
def test_cost_of_tokens_is_exact_and_rounded_once(tokens: int, rate: Decimal) -> None:
    exact = tokens * rate / 1000
    cost = for_tokens(tokens, rate)
    assert abs(cost - exact) <= Decimal("0.5E-10")
    assert cost == cost.quantize(Decimal("1E-10"))


def test_cost_of_tokens_takes_floats_as_printed() -> None:
    assert for_tokens(1000, 0.03) == Decimal("0.03")
    assert for_tokens(1, 0.0000005) == Decimal("0.0000000005")
    assert for_tokens(1, 0.00000005) == 0


@pytest.mark.parametrize("junk", [None, True, "abc", "NaN", float("nan"), float("inf"), [], "1_0x"])
def test_what_is_no_amount_is_none(junk: object) -> None:
    assert parse(junk) is None
