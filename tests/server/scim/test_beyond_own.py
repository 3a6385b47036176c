"""Nobody becomes an administrator by way of SCIM: not by an address, not by a role."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.application import Application
from tests.support.roles import key_of, make_role
from tests.support.scim import PATCH, Provider

EVIL = {"op": "replace", "path": 'emails[type eq "work"].value', "value": "eve@example.com"}


@pytest.fixture
def own(shared: Application) -> Application:
    return shared.another()


def administrator(own: Application) -> dict[str, Any]:
    user = Provider.of(own).user("boss")
    given = own.post(f"/api/v1/users/{user['id']}/roles", json={"role_id": "admin"})
    assert given.status_code == 201
    return user


def patched(own: Application, key: str, user_id: str, operation: dict[str, Any]) -> int:
    body = {"schemas": [PATCH], "Operations": [operation]}
    return own.request("PATCH", f"/scim/v2/Users/{user_id}", key=key, json=body).status_code


def address(own: Application, user_id: str) -> str:
    return own.get(f"/api/v1/users/{user_id}").json()["email"]


def test_a_key_changes_nobody_who_may_do_more(own: Application) -> None:
    boss = administrator(own)
    other = own.post("/api/v1/users", json={"email": "second@example.com", "role": "admin"})
    assert other.status_code == 201
    key = own.new_key("write:users", "read:users")
    path = f"/scim/v2/Users/{boss['id']}"
    assert patched(own, key, boss["id"], EVIL) == 403
    whole = {**boss, "userName": "eve@example.com", "emails": [{"value": "eve@example.com"}]}
    assert own.request("PUT", path, key=key, json=whole).status_code == 403
    off = {"op": "replace", "path": "active", "value": False}
    assert patched(own, key, boss["id"], off) == 403
    assert own.delete(path, key=key).status_code == 403
    assert address(own, boss["id"]) == "boss@example.com"
    assert patched(own, own.key, boss["id"], EVIL) == 200


def test_a_token_that_makes_no_administrator_gives_none_another_address(own: Application) -> None:
    boss, plain = administrator(own), Provider.of(own)
    ann = plain.user("ann")
    assert plain.patch(f"/Users/{boss['id']}", EVIL).status_code == 403
    assert address(own, boss["id"]) == "boss@example.com"
    title = {"op": "add", "path": "title", "value": "Head"}
    assert plain.patch(f"/Users/{boss['id']}", title).status_code == 200
    new = {**EVIL, "value": "ann.lee@example.com"}
    assert plain.patch(f"/Users/{ann['id']}", new).status_code == 200
    strong = Provider.of(own, assigns_roles=True)
    assert strong.patch(f"/Users/{boss['id']}", EVIL).status_code == 200


def test_conditions_limit_the_roles_that_a_key_gives(own: Application) -> None:
    at = (own.database, own.clock, own.organization_id)
    wide = make_role(*at, "People", ["write:users", "write:roles"])
    read = make_role(*at, "Within", ["read:budgets"], {"team": ["ml-team"]})
    whole = make_role(*at, "Budgets", ["read:budgets"])
    key, ann = key_of(own, "lead", wide, read), Provider.of(own).user("ann")

    def give(role: str) -> int:
        given = {"op": "replace", "path": "roles", "value": [{"value": role}]}
        return patched(own, key, ann["id"], given)

    assert give(whole) == 403
    assert give(read) == 200
