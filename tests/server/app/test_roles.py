"""Roles over HTTP: made, given and taken by those who may, and of effect at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.application import Application
from tests.support.roles import key_of, make_user

ROLES = "/api/v1/roles"
ENGINEER: dict[str, Any] = {
    "name": "ML Engineer",
    "description": "Machine learning team members",
    "permissions": ["read:costs", "costs:write", "read:budgets", "read:models", "write:models"],
    "conditions": {"team": ["ml-team"], "models": ["gpt-4", "claude-2"]},
}


def error(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def user(application: Application, user_id: str, *roles: str) -> str:
    return make_user(
        application.database, application.clock, application.organization_id, user_id, *roles
    )


def within_a_second(look: Callable[[], bool]) -> bool:
    """Whether it becomes true in the time that is promised."""
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        if look():
            return True
        time.sleep(0.05)
    return look()


def test_a_role_is_made_shown_changed_and_removed(application: Application) -> None:
    made = application.post(ROLES, json=ENGINEER)
    assert made.status_code == 201
    role = made.json()
    assert role["permissions"] == [
        "read:budgets", "read:costs", "read:models", "write:costs", "write:models",
    ]  # fmt: skip
    assert role["conditions"] == {"team": ["ml-team"], "models": ["claude-2", "gpt-4"]}
    assert (role["built_in"], role["updated_at"]) == (False, None)
    one = f"{ROLES}/{role['id']}"
    assert application.get(one).json() == role
    listed = application.get(ROLES).json()["data"]
    assert [each["name"] for each in listed] == [
        "admin", "manager", "analyst", "developer", "viewer", "billing", "auditor", "ML Engineer",
    ]  # fmt: skip
    changed = application.request("PUT", one, json={"conditions": None, "description": "x"}).json()
    assert changed == {
        **role, "conditions": {}, "description": "x", "updated_at": changed["updated_at"],
    }  # fmt: skip
    assert application.delete(one).status_code == 204
    assert error(application.get(one)) == (404, "NOT_FOUND")


def test_the_list_pages(sqlite_application: Application) -> None:
    sqlite_application.post(ROLES, json=ENGINEER)
    names: list[str] = []
    cursor = ""
    while cursor is not None:
        answer = sqlite_application.get(f"{ROLES}?limit=3{cursor and '&cursor=' + cursor}").json()
        names += [role["name"] for role in answer["data"]]
        cursor = answer["next_cursor"]
    assert len(names) == 8
    assert sqlite_application.get(f"{ROLES}?nmae=x").status_code == 422


def test_a_repeated_request_makes_one_role(sqlite_application: Application) -> None:
    headers = {"Idempotency-Key": "make-the-role"}
    first = sqlite_application.post(ROLES, json=ENGINEER, headers=headers)
    assert sqlite_application.post(ROLES, json=ENGINEER, headers=headers).json() == first.json()
    assert error(sqlite_application.post(ROLES, json=ENGINEER)) == (409, "CONFLICT")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "viewer"}, "name"),
        ({"permissions": []}, "permissions"),
        ({"permissions": ["raed:costs"]}, "permissions"),
        ({"permissions": ["read:costs"] * 101}, "permissions"),
        ({"conditions": {"region": ["eu"]}}, "conditions.region"),
        ({"conditions": {"team": []}}, None),
        ({"conditions": {"team": ["x" * 256]}}, None),
        ({"id": "role_mine"}, "id"),
        ({"built_in": True}, "built_in"),
        ({"description": "x" * 1_001}, "description"),
    ],
)
def test_a_role_that_is_refused(
    sqlite_application: Application, change: dict[str, Any], field: str | None
) -> None:
    answer = sqlite_application.post(ROLES, json={**ENGINEER, **change})
    assert answer.status_code == 422
    if field is not None:
        assert field in answer.json()["error"]["field_errors"]
    assert len(sqlite_application.get(ROLES).json()["data"]) == 7


def test_a_role_given_and_taken_is_of_effect_within_a_second(application: Application) -> None:
    key = key_of(application, "ann")
    assert error(application.get("/api/v1/costs", key=key)) == (403, "INSUFFICIENT_PERMISSIONS")
    roles = "/api/v1/users/ann/roles"
    given = application.post(roles, json={"role_id": "viewer"})
    assert (given.status_code, given.json()["name"]) == (201, "viewer")
    assert within_a_second(lambda: application.get("/api/v1/costs", key=key).status_code == 200)
    assert [role["id"] for role in application.get(roles).json()["data"]] == ["viewer"]
    assert application.delete(f"{roles}/viewer").status_code == 204
    assert within_a_second(lambda: application.get("/api/v1/costs", key=key).status_code == 403)


def test_a_changed_role_is_of_effect_within_a_second(sqlite_application: Application) -> None:
    app = sqlite_application
    role = app.post(ROLES, json={"name": "x", "permissions": ["read:budgets"]}).json()
    key = key_of(app, "ann", role["id"])
    assert app.get("/api/v1/costs", key=key).status_code == 403
    app.request("PUT", f"{ROLES}/{role['id']}", json={"permissions": ["read:costs"]})
    assert within_a_second(lambda: app.get("/api/v1/costs", key=key).status_code == 200)
    app.delete(f"{ROLES}/{role['id']}")
    assert within_a_second(lambda: app.get("/api/v1/costs", key=key).status_code == 403)


def test_nobody_gives_more_than_is_held(sqlite_application: Application) -> None:
    app = sqlite_application
    user(app, "ann")
    own = app.post(
        ROLES,
        json={
            "name": "Lead",
            "permissions": ["read:costs", "write:roles", "read:roles"],
            "conditions": {"team": ["ml-team"]},
        },
    ).json()
    key = key_of(app, "lead", own["id"])
    made = app.post(
        ROLES,
        key=key,
        json={"name": "x", "permissions": ["read:costs"], "conditions": {"team": "ml-team"}},
    )
    assert made.status_code == 201
    forbidden = (403, "INSUFFICIENT_PERMISSIONS")
    for body in (
        {"name": "y", "permissions": ["read:costs"]},
        {"name": "y", "permissions": ["*"], "conditions": {"team": ["ml-team"]}},
        {"name": "y", "permissions": ["read:costs"], "conditions": {"team": ["web"]}},
    ):
        assert error(app.post(ROLES, key=key, json=body)) == forbidden
    given = app.post("/api/v1/users/ann/roles", key=key, json={"role_id": made.json()["id"]})
    assert given.status_code == 201
    for role in ("viewer", "admin"):
        answer = app.post("/api/v1/users/ann/roles", key=key, json={"role_id": role})
        assert error(answer) == forbidden
    narrow = app.new_key("write:roles")
    answer = app.post("/api/v1/users/lead/roles", key=narrow, json={"role_id": "admin"})
    assert error(answer) == forbidden


def test_unknown_roles_and_users(sqlite_application: Application) -> None:
    user(sqlite_application, "ann")
    for path, body in (
        ("/api/v1/users/nobody/roles", {"role_id": "viewer"}),
        ("/api/v1/users/ann/roles", {"role_id": "nothing"}),
    ):
        assert error(sqlite_application.post(path, json=body)) == (404, "NOT_FOUND")
    assert error(sqlite_application.delete(f"{ROLES}/viewer")) == (422, "VALIDATION_ERROR")
