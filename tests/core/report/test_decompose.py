"""Price, volume and mix: parts that sum to the change, for each model and for all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.report.decompose import Effect, Key, Spent, decompose, together

SPENT = st.builds(
    Spent,
    st.integers(min_value=-(10**15), max_value=10**20),
    st.none() | st.integers(min_value=0, max_value=10**14),
)
MODELS = st.dictionaries(st.tuples(st.sampled_from("ab"), st.sampled_from("mnop")), SPENT)


@given(MODELS, MODELS)
def test_the_parts_sum_to_the_change(before: dict[Key, Spent], now: dict[Key, Spent]) -> None:
    found = decompose(before, now)
    assert found.keys() == before.keys() | now.keys()
    for key, effect in found.items():
        assert effect.before == (before[key].cost_e10 if key in before else 0)
        assert effect.now == (now[key].cost_e10 if key in now else 0)
        assert sum(effect.parts) == effect.change
    whole = together(found.values())
    change = sum(s.cost_e10 for s in now.values()) - sum(s.cost_e10 for s in before.values())
    assert sum(whole.parts) == whole.change == change


def test_each_effect_alone() -> None:
    one: dict[Key, Spent] = {("a",): Spent(1000, 10), ("b",): Spent(100, 10)}
    doubled = decompose(one, {("a",): Spent(2000, 20), ("b",): Spent(200, 20)})
    assert together(doubled.values()) == Effect(1100, 2200, volume=1100)
    dearer = decompose(one, {("a",): Spent(1500, 10), ("b",): Spent(100, 10)})
    assert dearer[("a",)] == Effect(1000, 1500, price=500)
    assert dearer[("b",)] == Effect(100, 100)
    shifted = decompose(one, {("a",): Spent(500, 5), ("b",): Spent(150, 15)})
    assert shifted[("a",)] == Effect(1000, 500, mix=-500)
    assert shifted[("b",)] == Effect(100, 150, mix=50)


def test_models_of_one_period_and_models_without_units_stand_apart() -> None:
    before: dict[Key, Spent] = {
        ("old",): Spent(70, 7),
        ("image",): Spent(5, 0),
        ("same",): Spent(10, 10),
    }
    now: dict[Key, Spent] = {
        ("new",): Spent(80, 8),
        ("image",): Spent(9, 0),
        ("same",): Spent(10, 10),
    }
    found = decompose(before, now)
    assert found[("old",)] == Effect(70, 0, gone=-70)
    assert found[("new",)] == Effect(0, 80, new=80)
    assert found[("image",)] == Effect(5, 9, unsplit=4)
    # They are no part of all units: the one that stayed as it was has no effect.
    assert found[("same",)] == Effect(10, 10)


def test_a_rounded_third_goes_to_the_largest_part() -> None:
    before: dict[Key, Spent] = {("a",): Spent(1, 3), ("b",): Spent(0, 1)}
    effect = decompose(before, {("a",): Spent(5, 4), ("b",): Spent(0, 1)})[("a",)]
    assert sum(effect.parts) == 4
    assert effect.price == 4
