"""What calls draw from commitments, in which order, and what is left."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.focus.columns import FocusError
from llm_cost_ops.core.focus.commitments import Account, Commitment, Drawdown

ACCOUNT = Account(organization_id="org_1", currency="USD", provider="openai")


def _commitment(name: str = "a", **changes: Any) -> Commitment:
    values: dict[str, Any] = {
        "id": name, "name": name, "type": "Prepaid Credits", "account": ACCOUNT,
        "granted_e10": 100, "paid_e10": 70, "start_us": 0, "end_us": 1_000,
    }  # fmt: skip
    return Commitment(**{**values, **changes})


def _draw(drawdown: Drawdown, at_us: int, cost_e10: int) -> list[tuple[str, int, int]]:
    drawn = drawdown.draw("openai", "USD", at_us, cost_e10)
    return [(each.commitment.id, each.amount_e10, each.value_e10) for each in drawn]


def test_calls_draw_until_nothing_is_left() -> None:
    drawdown = Drawdown([_commitment()])
    assert _draw(drawdown, 5, 60) == [("a", 60, 42)]
    assert _draw(drawdown, 5, 0) == []
    assert _draw(drawdown, 6, 60) == [("a", 40, 28)]
    assert _draw(drawdown, 7, 60) == []
    assert drawdown.drawn == {"a": 100}
    assert drawdown.of(_commitment()) == 100


def test_a_commitment_that_is_drawn_to_its_last_part_gives_way_to_the_next() -> None:
    drawdown = Drawdown([_commitment(), _commitment("next", end_us=2_000)])
    assert _draw(drawdown, 5, 100) == [("a", 100, 70)]
    assert _draw(drawdown, 6, 5) == [("next", 5, 4)]
    assert _draw(drawdown, 7, 95) == [("next", 95, 66)]
    assert _draw(drawdown, 8, 1) == _draw(drawdown, 9, 1) == []


def test_the_values_of_what_is_drawn_sum_to_what_was_paid() -> None:
    drawdown = Drawdown([_commitment(granted_e10=7, paid_e10=3)])
    values = [_draw(drawdown, 5, 1)[0][2] for _ in range(7)]
    assert (sum(values), set(values)) == (3, {0, 1})


def test_a_commitment_is_of_one_provider_and_currency_and_runs_from_start_to_end() -> None:
    drawdown = Drawdown([_commitment(start_us=10, end_us=20)])
    assert drawdown.draw("anthropic", "USD", 15, 5) == ()
    assert drawdown.draw("openai", "EUR", 15, 5) == ()
    assert [bool(_draw(drawdown, at, 1)) for at in (9, 10, 19, 20)] == [False, True, True, False]
    forever = Drawdown([_commitment(end_us=None)])
    assert _draw(forever, 2**60, 5) == [("a", 5, 4)]


def test_the_one_that_ends_first_pays_first_and_the_next_one_the_rest() -> None:
    drawdown = Drawdown(
        [_commitment("never", end_us=None), _commitment("b", start_us=1), _commitment("c"),
         _commitment("soon", end_us=900)]
    )  # fmt: skip
    assert [name for name, *_ in _draw(drawdown, 5, 350)] == ["soon", "c", "b", "never"]
    assert drawdown.drawn == {"never": 50, "b": 100, "c": 100, "soon": 100}


def test_it_goes_on_where_it_was_left_and_what_is_over_is_over() -> None:
    left = {"a": 95, "gone": 5}
    drawdown = Drawdown([_commitment(), _commitment("over", end_us=500)], left, since_us=500)
    assert _draw(drawdown, 499, 50) == [("a", 5, 4)]
    assert drawdown.drawn == {"a": 100, "over": 0}


def test_edges_are_where_what_can_be_drawn_changes() -> None:
    drawdown = Drawdown([_commitment(start_us=10, end_us=20), _commitment("b", end_us=None)])
    assert drawdown.edges(5, 30) == [5, 10, 20, 30]
    assert drawdown.edges(10, 20) == [10, 20]
    assert drawdown.edges(-30, -20) == []
    assert Drawdown([_commitment(end_us=20)]).edges(20, 30) == []
    assert Drawdown([]).edges(0, 30) == []


@given(
    st.lists(st.tuples(st.integers(0, 59), st.integers(0, 60)), max_size=30),
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 30), st.integers(1, 200)),
        min_size=1, max_size=4,
    ),
)  # fmt: skip
def test_sums_between_edges_draw_what_single_calls_do(
    calls: list[tuple[int, int]], bought: list[tuple[int, int, int]]
) -> None:
    commitments = [
        _commitment(str(place), start_us=start, end_us=start + length, granted_e10=granted)
        for place, (start, length, granted) in enumerate(bought)
    ]
    one_by_one, together = Drawdown(commitments), Drawdown(commitments)
    for at, cost in sorted(calls):
        one_by_one.draw("openai", "USD", at, cost)
    edges = together.edges(0, 60)
    for start, end in pairwise(edges):
        cost = sum(cost for at, cost in calls if start <= at < end)
        together.draw("openai", "USD", start, cost)
    assert one_by_one.drawn == together.drawn


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"granted_e10": 0}, "granted"),
        ({"paid_e10": -1}, "amount"),
        ({"end_us": 0}, "end_date"),
    ],
)
def test_refuses_a_commitment_that_cannot_be(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(FocusError) as refused:
        _commitment(**changes)
    assert refused.value.field == field
