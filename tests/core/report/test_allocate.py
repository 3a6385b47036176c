"""Chargeback: whatever the rules, what is charged is what was spent."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.report.allocate import (
    AllocationError,
    Line,
    Rule,
    allocate,
    check_rules,
)

NAMES = ("web", "data", "ops", "idle")
LINES = st.dictionaries(
    st.none() | st.sampled_from((*NAMES, "platform", "support")),
    st.builds(
        Line,
        st.integers(min_value=-(10**12), max_value=10**18),
        st.integers(min_value=0, max_value=10**12),
        st.integers(min_value=0, max_value=10**9),
    ),
)
FIXED = {"web": Decimal("0.5"), "data": Decimal("0.333"), "new": Decimal("0.167")}


def rule(name: str, shared: str | None, by: str) -> Rule:
    return Rule(name, frozenset({shared}), by, FIXED if by == "fixed" else {})  # type: ignore[arg-type]


RULES = st.tuples(
    *(
        st.builds(
            rule,
            st.just("r"),
            st.just(shared),
            st.sampled_from(("equal", "fixed", "cost", "tokens", "requests")),
        )
        for shared in ("platform", "support", None)
    )
)


@given(LINES, RULES)
def test_what_is_charged_is_what_was_spent(
    lines: dict[str | None, Line], rules: tuple[Rule, ...]
) -> None:
    found = allocate(lines, rules)
    assert found.total_e10 == sum(line.cost_e10 for line in lines.values())
    for place, pool in enumerate(found.pools):
        given = sum(each.allocated_e10[place] for each in found.statements.values())
        assert given + found.left[place] == pool
        assert found.left[place] in (0, pool)
    assert not {"platform", "support", None} & found.statements.keys()


def test_each_basis() -> None:
    lines: dict[str | None, Line] = {
        "a": Line(300, 1, 9),
        "b": Line(100, 3, 1),
        "c": Line(-5, 0, 0),
        "s": Line(100),
    }

    def given(by: str, **shares: Decimal) -> list[int]:
        made = Rule("r", frozenset({"s"}), by, shares)  # type: ignore[arg-type]
        statements = allocate(lines, [made]).statements
        return [statements[name].allocated_e10[0] for name in "abc"]

    assert given("equal") == [34, 33, 33]
    assert given("cost") == [75, 25, 0]
    assert given("tokens") == [25, 75, 0]
    assert given("requests") == [90, 10, 0]
    # 12.5 and 87.5: the remainders are equal, so the earlier has the unit that is left.
    assert given("fixed", a=Decimal("0.125"), b=Decimal("0.875")) == [13, 87, 0]


def test_what_nobody_can_bear_is_left_and_told() -> None:
    found = allocate({"s": Line(100)}, [Rule("r", frozenset({"s"}), "equal")])
    assert (found.pools, found.left, found.total_e10) == ((100,), (100,), 100)
    unused = allocate({"s": Line(7), "a": Line()}, [Rule("r", frozenset({"s"}), "tokens")])
    assert unused.left == (7,)
    assert unused.statements["a"].total_e10 == 0


def test_calls_that_name_nobody_have_a_statement_unless_they_are_shared() -> None:
    lines = {None: Line(10, 1, 1), "a": Line(5, 1, 1)}
    assert allocate(lines, []).statements[None].total_e10 == 10
    found = allocate(lines, [Rule("rest", frozenset({None}), "cost")])
    assert {name: each.total_e10 for name, each in found.statements.items()} == {"a": 15}


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ([Rule("r", frozenset(), "equal")], "allocation.0.shared"),
        ([rule("r", "s", "equal"), rule("q", "s", "cost")], "allocation.1.shared"),
        ([Rule("r", frozenset({"s"}), "fixed")], "allocation.0.shares"),
        ([Rule("r", frozenset({"s"}), "equal", FIXED)], "allocation.0.shares"),
        ([Rule("r", frozenset({"s"}), "fixed", {"a": Decimal("0.99")})], "allocation.0.shares"),
        (
            [Rule("r", frozenset({"s"}), "fixed", {"a": Decimal(2), "b": Decimal(-1)})],
            "allocation.0.shares",
        ),
        ([Rule("r", frozenset({"web"}), "fixed", FIXED)], "allocation.0.shares"),
    ],
)
def test_rules_that_cannot_be_followed(rules: list[Rule], field: str) -> None:
    with pytest.raises(AllocationError) as refused:
        check_rules(rules)
    assert refused.value.field_errors is not None
    assert list(refused.value.field_errors) == [field]
