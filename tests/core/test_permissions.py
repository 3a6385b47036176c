"""Both spellings of a permission, the seven roles, and coverage of what is asked."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.permissions import (
    ACTIONS,
    EVERYTHING,
    IMPLIED_BY,
    RESOURCES,
    ROLES,
    PermissionTextError,
    holds,
    missing,
    normalise,
    normalise_all,
    role_name,
)

CANONICAL = [
    f"{action}:{resource}"
    for action, resource in itertools.product(("read", "write"), sorted(RESOURCES))
    if (action, resource) not in {("write", "usage"), ("read", "data")}
] + ["export:data", "*", "read:*", "*:costs"]


@pytest.mark.parametrize("permission", CANONICAL)
def test_canonical_spelling_is_a_fixed_point(permission: str) -> None:
    assert normalise(permission) == permission


@pytest.mark.parametrize("permission", [p for p in CANONICAL if p != "*"])
def test_resource_first_is_swapped(permission: str) -> None:
    action, _, resource = permission.partition(":")
    assert normalise(f"{resource}:{action}") == permission


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("usage:write", "write:costs"),
        ("write:usage", "write:costs"),
        ("usage:read", "read:usage"),
        ("export:data", "export:data"),
        ("export:read", "export:data"),
        ("data:export", "export:data"),
        ("admin", "*"),
        ("admin:*", "*"),
        ("*:*", "*"),
        ("*", "*"),
        (" Costs:READ ", "read:costs"),
        ("cost:*", "*:costs"),
        ("budget:*", "*:budgets"),
        ("budget:admin", "*:budgets"),
        ("report:generate", "write:reports"),
        ("forecast:read", "read:forecasts"),
        ("write:api-keys", "write:api_keys"),
        ("costs:*", "*:costs"),
        ("export:*", "export:*"),
        ("exports:write", "write:data"),
        ("read:*", "read:*"),
    ],
)
def test_documented_spellings(written: str, kept: str) -> None:
    assert normalise(written) == kept


@pytest.mark.parametrize(
    "text",
    ["", ":", "read", "read:", ":costs", "costs", "delete:costs", "read:cost:x", "raed:costs",
     "read:payroll", "export:costs", "costs:export", "costs:budgets", "read:write"],
)  # fmt: skip
def test_unknown_is_refused(text: str) -> None:
    with pytest.raises(PermissionTextError) as caught:
        normalise(text)
    assert caught.value.field_errors == {"scopes": caught.value.message}


@given(st.text(max_size=200))
def test_any_text_is_either_kept_as_a_fixed_point_or_refused(text: str) -> None:
    try:
        kept = normalise(text)
    except PermissionTextError:
        return
    assert normalise(kept) == kept


def test_refusal_quotes_little_of_the_text() -> None:
    with pytest.raises(PermissionTextError) as caught:
        normalise("x" * 10_000)
    assert len(caught.value.message) < 100


def test_all_required_must_be_held() -> None:
    scopes = normalise_all(["read:costs", "costs:write"])
    assert holds(scopes, ["read:costs", "write:costs"])
    assert not holds(scopes, ["read:costs", "write:pricing"])
    assert missing(scopes, ["read:costs", "write:pricing", "read:audit"]) == [
        "write:pricing",
        "read:audit",
    ]


def test_nothing_required_is_held_by_anyone() -> None:
    assert holds(frozenset(), [])


@pytest.mark.parametrize("permission", CANONICAL)
def test_everything_covers_each_and_nothing_covers_none(permission: str) -> None:
    assert holds({EVERYTHING}, [permission])
    assert holds(normalise_all(["admin"]), [permission])
    assert not holds(frozenset(), [permission])


def test_only_everything_covers_everything() -> None:
    assert not holds({f"{action}:*" for action in ACTIONS}, [EVERYTHING])


def test_wildcards_cover_their_row_and_column_only() -> None:
    assert holds({"read:*"}, ["read:costs", "read:audit", "read:usage"])
    assert not holds({"read:*"}, ["write:costs"])
    assert holds({"*:costs"}, ["read:costs", "write:costs"])
    assert not holds({"*:costs"}, ["read:budgets"])


@pytest.mark.parametrize(("weaker", "stronger"), sorted(IMPLIED_BY.items()))
def test_reading_costs_implies_reading_what_they_are_made_of(weaker: str, stronger: str) -> None:
    assert holds({stronger}, [weaker])
    assert not holds({weaker}, [stronger])


def test_writing_does_not_imply_reading() -> None:
    assert not holds({"write:costs"}, ["read:costs"])


def test_the_documented_roles() -> None:
    assert ROLES["admin"] == {"*"}
    assert ROLES["developer"] == {"write:costs", "read:costs", "read:api_keys"}
    assert ROLES["viewer"] == {"read:costs", "read:budgets", "read:reports"}
    assert ROLES["manager"] == ROLES["viewer"] | {
        "write:budgets", "write:reports", "read:teams", "write:teams", "read:users",
    }  # fmt: skip
    assert ROLES["analyst"] == ROLES["viewer"] | {"write:reports", "export:data"}
    assert set(ROLES) == {
        "admin", "manager", "analyst", "developer", "viewer", "billing", "auditor",
    }  # fmt: skip


@pytest.mark.parametrize("role", sorted(ROLES))
def test_roles_hold_canonical_permissions(role: str) -> None:
    assert ROLES[role] == normalise_all(ROLES[role])


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("admin", "admin"),
        ("Engineer", "developer"),
        ("billing_admin", "billing"),
        ("org-admin", "admin"),
        ("read only", "viewer"),
        ("auditor", "auditor"),
    ],
)
def test_role_names_and_their_aliases(written: str, name: str) -> None:
    assert role_name(written) == name


def test_unknown_role_is_refused() -> None:
    with pytest.raises(PermissionTextError, match="unknown role 'owner'"):
        role_name("owner")
