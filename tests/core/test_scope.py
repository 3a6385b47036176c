"""Scopes: what they hold, how they are written, what they refuse."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.core.scope import (
    Facts,
    Scope,
    ScopeError,
    is_label,
    metadata_texts,
    parse_scope,
)

CALL = Facts(
    {"provider": "openai", "model": "gpt-4o", "team_id": "a", "user_id": None},
    frozenset({"red", "blue"}),
    {"customer": "x", "n": "1.5"},
)


@pytest.mark.parametrize(
    ("scope", "held"),
    [
        ({}, True),
        ({"provider": "openai"}, True),
        ({"provider": None, "team_id": "a"}, True),
        ({"team_id": ["b", "a"]}, True),
        ({"team_id": "b"}, False),
        ({"user_id": "u"}, False),
        ({"feature": "chat"}, False),
        ({"tags": "red"}, True),
        ({"tag": ["green", "blue"]}, True),
        ({"tags": ["green"]}, False),
        ({"metadata": {"customer": "x"}}, True),
        ({"metadata.customer": ["y", "x"]}, True),
        ({"metadata": {"customer": "x", "n": "1.5"}}, True),
        ({"metadata": {"customer": "x", "n": "2"}}, False),
        ({"metadata": {"absent": "x"}}, False),
        ({"provider": "openai", "team_id": "b"}, False),
    ],
)
def test_a_call_is_inside_when_every_dimension_has_one_of_its_values(
    scope: dict[str, Any], held: bool
) -> None:
    assert parse_scope(scope).holds(CALL) is held


def test_the_wire_form_is_read_back() -> None:
    given = {"team_id": "a", "model": ["x", "y"], "tags": ["t"], "metadata": {"k": ["1", "2"]}}
    scope = parse_scope(given)
    assert scope.wire() == given
    assert parse_scope(scope.wire()) == scope
    assert parse_scope({"provider": "OpenAI"}, lambda n: provider_id(n) or n) == parse_scope(
        {"provider": "openai"}
    )


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"colour": "red"}, "scope.colour"),
        ({"metadata.": "x"}, "scope.metadata."),
        ({"metadata": "x"}, "scope.metadata"),
        ({"team_id": 7}, "scope.team_id"),
        ({"team_id": []}, "scope.team_id"),
        ({"team_id": [""]}, "scope.team_id"),
        ({"team_id": "x" * 256}, "scope.team_id"),
        ({"team_id": " a"}, "scope.team_id"),
        ({"team_id": "a\x00"}, "scope.team_id"),
        ({"team_id": ["a"] * 101}, "scope.team_id"),
        ({"metadata": {"k": {}}}, "scope.metadata.k"),
    ],
)
def test_what_no_call_can_be_is_refused(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ScopeError) as caught:
        parse_scope(given)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("inner", "outer", "within"),
    [
        ({"team_id": "a"}, {}, True),
        ({}, {"team_id": "a"}, False),
        ({"team_id": "a"}, {"team_id": ["a", "b"]}, True),
        ({"team_id": ["a", "c"]}, {"team_id": ["a", "b"]}, False),
        ({"team_id": "a", "model": "m"}, {"team_id": "a"}, True),
        ({"model": "m"}, {"team_id": "a"}, False),
    ],
)
def test_one_scope_within_another(inner: Any, outer: Any, within: bool) -> None:
    assert parse_scope(inner).is_within(parse_scope(outer)) is within
    assert Scope().is_within(Scope())


def test_metadata_is_compared_as_text() -> None:
    held = {
        "text": "a", "yes": True, "no": False, "whole": 5, "exact": Decimal("1.50"),
        "large": Decimal("1E+3"), "nothing": None, "list": [1, {"b": 1, "a": Decimal("2.0")}],
        "object": {"z": 1, "y": "q"},
    }  # fmt: skip
    assert dict(metadata_texts(held)) == {
        "text": "a", "yes": "true", "no": "false", "whole": "5", "exact": "1.5", "large": "1000",
        "list": '[1,{"a":2,"b":1}]', "object": '{"y":"q","z":1}',
    }  # fmt: skip


def test_a_part_of_a_scope_has_one_value_of_a_dimension() -> None:
    whole = parse_scope({"team_id": ["a", "b"], "model": "x"})
    assert whole.also("team_id", "a") == parse_scope({"team_id": "a", "model": "x"})
    assert whole.also("tags", "red") == parse_scope(
        {"team_id": ["a", "b"], "model": "x", "tags": "red"}
    )


@pytest.mark.parametrize(
    ("dimension", "label"),
    [("tags", True), ("metadata.k", True), ("model", False), ("metadata", False)],
)
def test_tags_and_keys_of_the_metadata_are_labels(dimension: str, label: bool) -> None:
    assert is_label(dimension) is label
