"""Permissions within conditions: their union over roles, what they reach, who may give them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.grants import (
    EVERYWHERE,
    NOBODY,
    NOWHERE,
    ConditionsError,
    Grant,
    Grants,
    Reach,
    beyond,
    conditions_wire,
    limited,
    parse_conditions,
    reach_of,
    scopes_of,
    stored_conditions,
)
from llm_cost_ops.core.permissions import ROLES, common, holds
from llm_cost_ops.core.scope import WHOLE, Facts, Scope


def within(**conditions: Any) -> Scope:
    return parse_conditions(conditions)


def call(**columns: str) -> Facts:
    return Facts(columns)


ML = within(team=["ml"], models=["gpt-4", "claude-2"])


def test_conditions_are_read_under_their_names_and_kept_under_one() -> None:
    scope = parse_conditions(
        {"teams": "ml", "model": ["b", "a"], "project": ["p"], "environments": ["prod"]}
    )
    assert conditions_wire(scope) == {
        "team": ["ml"], "models": ["a", "b"], "projects": ["p"], "environments": ["prod"],
    }  # fmt: skip
    assert parse_conditions(conditions_wire(scope)) == scope
    assert parse_conditions(None) == parse_conditions({}) == WHOLE


@pytest.mark.parametrize(
    ("given_", "field"),
    [
        ({"region": ["eu"]}, "conditions.region"),
        ({"team": []}, "conditions.team"),
        ({"team": None}, "conditions.team"),
        ({"team": [5]}, "conditions.team"),
        ({"team": "x", "teams": "y"}, "conditions.team"),
        ({"models": ["a\x00"]}, "conditions.models"),
        ({"models": [" a"]}, "conditions.models"),
        ({"projects": ["x" * 256]}, "conditions.projects"),
        ({"environments": ["x"] * 101}, "conditions.environments"),
        ({"environments": {"eq": "x"}}, "conditions.environments"),
    ],
)
def test_conditions_that_are_refused(given_: dict[str, object], field: str) -> None:
    with pytest.raises(ConditionsError) as error:
        parse_conditions(given_)
    assert error.value.field == field


def test_a_call_meets_all_dimensions_with_one_of_their_values() -> None:
    reach = Reach((ML,))
    assert reach.holds(call(team_id="ml", model="gpt-4"))
    assert reach.holds(call(team_id="ml", model="claude-2"))
    assert not reach.holds(call(team_id="ml", model="gpt-5"))
    assert not reach.holds(call(team_id="web", model="gpt-4"))
    assert not reach.holds(call(model="gpt-4"))
    assert not NOWHERE.holds(call(team_id="ml", model="gpt-4"))
    assert EVERYWHERE.holds(call())


def test_a_role_without_conditions_does_not_widen_the_permissions_of_another() -> None:
    parts = (Grant(frozenset({"read:costs", "write:costs"}), ML), Grant(frozenset({"read:costs"})))
    assert reach_of(parts, ("read:costs",)).is_everything
    assert reach_of(parts, ("write:costs",)) == Reach((ML,))
    assert reach_of(parts, ("read:costs", "write:costs")) == Reach((ML,))
    assert reach_of(parts, ("read:budgets",)) == NOWHERE
    assert reach_of(parts, ()) == EVERYWHERE


def test_several_roles_reach_what_any_reaches() -> None:
    web = within(team=["web"])
    parts = (Grant(frozenset({"read:costs"}), ML), Grant(frozenset({"read:*"}), web))
    reach = reach_of(parts, ("read:costs",))
    assert reach.holds(call(team_id="web", model="gpt-5"))
    assert reach.holds(call(team_id="ml", model="gpt-4"))
    assert not reach.holds(call(team_id="ml", model="gpt-5"))
    assert reach.text() == "models claude-2/gpt-4, team ml or team web"


def test_what_lies_inside_another_scope_is_left_out() -> None:
    ml = within(team=["ml"])
    for parts in ((ML, ml), (ml, ML)):
        held = tuple(Grant(frozenset({"read:costs"}), scope) for scope in parts)
        assert reach_of(held, ("read:costs",)) == Reach((ml,))


def test_narrowing() -> None:
    ml, web = within(team=["ml", "web"]), within(team=["web"], environments=["prod"])
    assert Reach((ml,)).narrowed(Reach((web,))) == Reach((web,))
    assert Reach((within(team=["a"]),)).narrowed(Reach((web,))) == NOWHERE
    assert EVERYWHERE.narrowed(Reach((web,))) == Reach((web,)).narrowed(EVERYWHERE)


def test_nobody_gives_more_than_is_held() -> None:
    held = (Grant(frozenset({"read:costs", "write:roles"}), within(team=["ml"])),)
    assert beyond(held, Grant(frozenset({"read:costs"}), ML)) == []
    assert beyond(held, Grant(frozenset({"read:usage"}), ML)) == []
    assert beyond(held, Grant(frozenset({"read:costs"}))) == ["read:costs"]
    assert beyond(held, Grant(frozenset({"read:costs"}), within(team=["ml", "web"]))) == [
        "read:costs"
    ]
    assert beyond(held, Grant(frozenset({"write:costs", "read:*"}), ML)) == [
        "read:*",
        "write:costs",
    ]
    everything = (Grant(frozenset({"*"})),)
    assert beyond(everything, Grant(frozenset({"*"}))) == []


def test_a_credential_limits_what_its_user_can_do() -> None:
    grants = Grants((Grant(ROLES["developer"]), Grant(frozenset({"read:budgets"}), ML)))
    limited_ = grants.limited({"read:costs", "read:budgets", "write:pricing"})
    assert limited_.scopes == {"read:costs", "read:budgets"}
    assert reach_of(limited_.parts, ("read:budgets",)) == Reach((ML,))
    assert limited(grants.parts, frozenset({"write:pricing"})) == ()
    assert grants.conditions == EVERYWHERE
    assert NOBODY.scopes == frozenset()
    assert not NOBODY.enabled


def test_wildcards_in_common() -> None:
    assert common(frozenset({"*"}), frozenset({"read:costs"})) == {"read:costs"}
    assert common(frozenset({"read:*"}), frozenset({"*:costs"})) == {"read:costs"}
    assert common(frozenset({"read:*"}), frozenset({"read:budgets", "write:costs"})) == {
        "read:budgets"
    }
    assert common(frozenset({"read:costs"}), frozenset({"read:usage"})) == {"read:usage"}
    assert common(frozenset({"read:costs"}), frozenset({"write:costs"})) == frozenset()


SOME = ["*", "read:*", "*:costs", "read:costs", "write:costs", "read:usage", "write:budgets"]
SETS = st.frozensets(st.sampled_from(SOME))


@given(SETS, SETS)
def test_in_common_is_what_both_cover(one: frozenset[str], other: frozenset[str]) -> None:
    both = common(one, other)
    assert both == common(other, one) or {p for p in SOME if holds(both, (p,))} == {
        p for p in SOME if holds(common(other, one), (p,))
    }
    for permission in SOME:
        assert holds(both, (permission,)) == (
            holds(one, (permission,)) and holds(other, (permission,))
        )


@given(st.lists(SETS))
def test_the_union_holds_what_any_part_holds(sets: list[frozenset[str]]) -> None:
    parts = [Grant(each) for each in sets]
    for permission in SOME:
        assert holds(scopes_of(parts), (permission,)) == any(
            holds(part.scopes, (permission,)) for part in parts
        )


@pytest.mark.parametrize("nothing", [None, {}])
def test_a_row_without_conditions_limits_nothing(nothing: object) -> None:
    assert stored_conditions(nothing) == WHOLE


def test_a_row_holds_its_conditions() -> None:
    assert stored_conditions({"team": ["a"]}) == parse_conditions({"team": ["a"]})


@pytest.mark.parametrize("broken", [[], "team", 1])
def test_a_row_with_anything_else_gives_nothing(broken: object) -> None:
    with pytest.raises(ConditionsError):
        stored_conditions(broken)
