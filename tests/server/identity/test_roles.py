"""Roles: made, changed, removed, given and taken; what they give, and who may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.grants import NOBODY, Grant, Reach, parse_conditions
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.core.permissions import ROLES, PermissionTextError
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.identity.grants import grants_of
from llm_cost_ops.server.identity.roles import (
    RoleError,
    RoleExists,
    RolePermissionError,
    RoleUnknown,
    UserUnknown,
    assign_role,
    create_role,
    delete_role,
    get_role,
    list_roles,
    roles_of_user,
    update_role,
    withdraw_role,
)
from llm_cost_ops.server.identity.tables import user_roles
from tests.support.application import make_organization
from tests.support.roles import join_team, make_user, set_disabled

NOW = 1_800_000_000_000_000
ENGINEER: dict[str, Any] = {
    "name": "ML Engineer",
    "description": "Machine learning team members",
    "permissions": ["read:costs", "costs:write", "read:budgets", "read:models", "write:models"],
    "conditions": {"team": ["ml-team"], "models": ["gpt-4", "claude-2"]},
}


@pytest.fixture
def organization_id(database: Database) -> str:
    return make_organization(database, SystemClock())


def actor(organization_id: str) -> Actor:
    return Actor(organization_id, "key_x", "req_x", NOW)


def done(
    database: Database, verb: Callable[..., Any], organization_id: str, *a: Any, **k: Any
) -> Any:
    with write(database) as session:
        return verb(session, actor(organization_id), *a, **k)


def granted(database: Database, organization_id: str, user_id: str) -> Any:
    with read(database) as session:
        return grants_of(session, organization_id, user_id)


def entries(database: Database, organization_id: str) -> list[tuple[str, str]]:
    with read(database) as session:
        rows = session.execute(
            select(audit_log).where(audit_log.c.organization_id == organization_id)
        ).mappings()
        found = [(row["action"], row["resource_id"]) for row in rows]
    return sorted(entry for entry in found if entry[0].startswith("role."))


def test_a_custom_role_is_kept_as_it_was_made(database: Database, organization_id: str) -> None:
    made = done(database, create_role, organization_id, **ENGINEER)
    with read(database) as session:
        found = get_role(session, organization_id, made.id)
        assert get_role(session, organization_id, "ML Engineer") == found
        listed = list_roles(session, organization_id)
    assert found == made
    assert found.grant.scopes == {
        "read:costs", "write:costs", "read:budgets", "read:models", "write:models",
    }  # fmt: skip
    assert found.grant.within == parse_conditions(ENGINEER["conditions"])
    assert [role.name for role in listed] == [*ROLES, "ML Engineer"]
    assert [role.grant.scopes for role in listed[:-1]] == list(ROLES.values())


def test_a_user_has_what_all_roles_give(database: Database, organization_id: str) -> None:
    at = (database, SystemClock(), organization_id)
    custom = done(database, create_role, organization_id, **ENGINEER)
    make_user(*at, "user-123", "viewer", custom.id)
    join_team(*at, "user-123", "web")
    join_team(*at, "user-123", "ml-team")
    found = granted(database, organization_id, "user-123")
    assert found.scopes == ROLES["viewer"] | custom.grant.scopes
    assert found.role_names == ("ML Engineer", "viewer")
    assert found.team_ids == ("ml-team", "web")
    assert Grant(ROLES["viewer"]) in found.parts
    assert custom.grant in found.parts
    assert found.conditions == Reach((parse_conditions({}),))


def test_nobody_else_has_any(database: Database, organization_id: str) -> None:
    at = (database, SystemClock(), organization_id)
    make_user(*at, "ann", "admin")
    other = make_organization(database, SystemClock())
    make_user(database, SystemClock(), other, "ann", "viewer")
    assert granted(database, organization_id, "nobody") == NOBODY
    assert granted(database, organization_id, "ann").scopes == {"*"}
    assert granted(database, other, "ann").scopes == ROLES["viewer"]
    set_disabled(database, organization_id, "ann", NOW)
    assert granted(database, organization_id, "ann") == NOBODY
    set_disabled(database, organization_id, "ann", None)
    assert granted(database, organization_id, "ann").scopes == {"*"}


def test_a_change_reaches_those_who_have_the_role(database: Database, organization_id: str) -> None:
    made = done(database, create_role, organization_id, **ENGINEER)
    make_user(database, SystemClock(), organization_id, "ann", made.id)
    changed = done(
        database,
        update_role,
        organization_id,
        made.id,
        changes={"permissions": ["read:costs"], "conditions": None},
    )
    assert granted(database, organization_id, "ann").parts == (Grant(frozenset({"read:costs"})),)
    assert changed.updated_at == NOW
    assert changed.name == "ML Engineer"
    same = done(database, update_role, organization_id, made.id, changes={"name": "ML Engineer"})
    assert same == changed
    renamed = done(database, update_role, organization_id, made.id, changes={"name": "Other"})
    assert renamed.name == "Other"
    done(database, delete_role, organization_id, "Other")
    assert granted(database, organization_id, "ann").parts == ()
    with read(database) as session:
        assert session.execute(select(user_roles)).all() == []
        with pytest.raises(RoleUnknown):
            get_role(session, organization_id, made.id)
    assert entries(database, organization_id) == [
        ("role.assigned", "ann"),
        ("role.created", made.id),
        ("role.deleted", made.id),
        ("role.updated", made.id),
        ("role.updated", made.id),
    ]


def test_given_and_taken_once(database: Database, organization_id: str) -> None:
    make_user(database, SystemClock(), organization_id, "ann")
    for _ in range(2):
        done(database, assign_role, organization_id, "ann", "org_admin")
        with read(database) as session:
            assert [r.name for r in roles_of_user(session, organization_id, "ann")] == ["admin"]
    for _ in range(2):
        done(database, withdraw_role, organization_id, "ann", "admin")
        with read(database) as session:
            assert roles_of_user(session, organization_id, "ann") == []
    assert entries(database, organization_id) == [
        ("role.assigned", "ann"),
        ("role.withdrawn", "ann"),
    ]


def test_a_withdrawal_can_be_refused_in_its_transaction(
    database: Database, organization_id: str
) -> None:
    make_user(database, SystemClock(), organization_id, "ann", "admin")

    def refuse(_session: Any, own: str) -> None:
        assert own == organization_id
        raise RoleError("is the last one")

    with pytest.raises(RoleError, match="last one"):
        done(database, withdraw_role, organization_id, "ann", "admin", after=refuse)
    assert granted(database, organization_id, "ann").scopes == {"*"}


def test_another_organizations_roles_and_users_do_not_exist(
    database: Database, organization_id: str
) -> None:
    other = make_organization(database, SystemClock())
    theirs = done(database, create_role, other, **ENGINEER)
    make_user(database, SystemClock(), other, "bob")
    make_user(database, SystemClock(), organization_id, "ann")
    refused: list[tuple[type[DomainError], Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = [
        (RoleUnknown, update_role, (theirs.id,), {"changes": {"name": "x"}}),
        (RoleUnknown, delete_role, (theirs.id,), {}),
        (RoleUnknown, assign_role, ("ann", theirs.id), {}),
        (RoleUnknown, assign_role, ("ann", "ML Engineer"), {}),
        (UserUnknown, assign_role, ("bob", "viewer"), {}),
        (UserUnknown, withdraw_role, ("bob", "viewer"), {}),
    ]
    for error, verb, given, named in refused:
        with pytest.raises(error):
            done(database, verb, organization_id, *given, **named)
    done(database, create_role, organization_id, **ENGINEER)


@pytest.mark.parametrize(
    ("change", "error", "field"),
    [
        ({"name": ""}, RoleError, "name"),
        ({"name": "x" * 65}, RoleError, "name"),
        ({"name": "a\nb"}, RoleError, "name"),
        ({"name": "Admin"}, RoleError, "name"),
        ({"name": "engineer"}, RoleError, "name"),
        ({"permissions": []}, RoleError, "permissions"),
        ({"permissions": ["raed:costs"]}, PermissionTextError, "permissions"),
        ({"description": "x" * 1_001}, RoleError, "description"),
        ({"conditions": {"team": []}}, DomainError, "conditions.team"),
    ],
)
def test_a_role_that_is_refused_changes_nothing(
    database: Database,
    organization_id: str,
    change: dict[str, Any],
    error: type[DomainError],
    field: str,
) -> None:
    with pytest.raises(error) as raised:
        done(database, create_role, organization_id, **{**ENGINEER, **change})
    assert raised.value.field == field
    made = done(database, create_role, organization_id, **{**ENGINEER, "name": "y" * 64})
    with pytest.raises(error):
        done(database, update_role, organization_id, made.id, changes=change)
    with read(database) as session:
        assert get_role(session, organization_id, made.id) == made


def test_names_are_given_once(database: Database, organization_id: str) -> None:
    done(database, create_role, organization_id, **ENGINEER)
    with pytest.raises(RoleExists):
        done(database, create_role, organization_id, **ENGINEER)
    other = done(database, create_role, organization_id, **{**ENGINEER, "name": "Other"})
    with pytest.raises(RoleExists):
        done(database, update_role, organization_id, other.id, changes={"name": "ML Engineer"})


@pytest.mark.parametrize("verb", [update_role, delete_role])
def test_built_in_roles_do_not_change(
    database: Database, organization_id: str, verb: Callable[..., Any]
) -> None:
    options = {"changes": {"description": "x"}} if verb is update_role else {}
    with pytest.raises(RoleError):
        done(database, verb, organization_id, "viewer", **options)


def test_nobody_gives_changes_or_takes_more_than_is_held(
    database: Database, organization_id: str
) -> None:
    make_user(database, SystemClock(), organization_id, "ann", "admin")
    ml = parse_conditions({"team": ["ml-team"]})
    held = (Grant(frozenset({"read:costs", "write:roles"}), ml),)
    small = {**ENGINEER, "permissions": ["read:costs"]}
    made = done(database, create_role, organization_id, **small, held=held)
    whole = {**small, "name": "Whole", "conditions": None}
    big = done(database, create_role, organization_id, **whole)
    refused: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = [
        (create_role, (), {**whole, "name": "Third"}),
        (create_role, (), {**ENGINEER, "name": "Third"}),
        (update_role, (made.id,), {"changes": {"conditions": None}}),
        (update_role, (made.id,), {"changes": {"permissions": ["*"]}}),
        (update_role, (big.id,), {"changes": {"conditions": {"team": "ml-team"}}}),
        (delete_role, (big.id,), {}),
        (assign_role, ("ann", "viewer"), {}),
        (assign_role, ("ann", big.id), {}),
        (withdraw_role, ("ann", "admin"), {}),
    ]
    for verb, given, named in refused:
        with pytest.raises(RolePermissionError):
            done(database, verb, organization_id, *given, **named, held=held)
    done(database, assign_role, organization_id, "ann", made.id, held=held)


def test_the_audit_log_says_what_was_given(database: Database, organization_id: str) -> None:
    made = done(database, create_role, organization_id, **ENGINEER)
    with read(database) as session:
        row = (
            session.execute(select(audit_log).where(audit_log.c.resource_id == made.id))
            .mappings()
            .one()
        )
    after = loads(row["after"])
    assert after["conditions"] == {"team": ["ml-team"], "models": ["claude-2", "gpt-4"]}
    assert after["permissions"] == sorted(made.grant.scopes)
    assert (row["actor_id"], row["request_id"]) == ("key_x", "req_x")
