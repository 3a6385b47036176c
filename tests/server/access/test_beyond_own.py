"""Ways to more than one holds: by keys and clients that others have, by names of roles, by ids that
were there before, by addresses of administrators, by budgets of teams."""

from __future__ import annotations

import httpx
import pytest

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from tests.support.application import Application
from tests.support.roles import key_of, make_role, make_user, make_user_key

FORBIDDEN = (403, "INSUFFICIENT_PERMISSIONS")
KEYS = "/api/v1/auth/api-keys"
TEAM = {"team": ["ml-team"]}


def at(app: Application) -> tuple[Database, Clock, str]:
    return (app.database, app.clock, app.organization_id)


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", {}).get("code", "")


def limited(app: Application, permission: str, *whole: str) -> str:
    """A key of somebody who holds `permission` for one team alone, and others for all."""
    roles = (
        make_role(*at(app), "Within", [permission], TEAM),
        make_role(*at(app), "Whole", list(whole)),
    )
    return key_of(app, "lead", *roles)


def test_a_key_of_nobody_is_not_rotated_past_conditions(sqlite_application: Application) -> None:
    app = sqlite_application
    whole = app.post(KEYS, json={"name": "reports", "scopes": ["read:costs"]}).json()
    narrow = app.post(KEYS, json={"name": "keys", "scopes": ["write:api_keys"]}).json()
    lead = limited(app, "read:costs", "write:api_keys")
    assert error(app.post(f"{KEYS}/{whole['id']}/rotate", key=lead)) == FORBIDDEN
    assert app.post(f"{KEYS}/{narrow['id']}/rotate", key=lead).status_code == 201


def test_a_key_of_somebody_else_is_rotated_by_who_could_make_it(
    sqlite_application: Application,
) -> None:
    app = sqlite_application
    make_user(*at(app), "ann", "viewer")
    key_id, _ = make_user_key(*at(app), "ann", "read:costs")
    role = make_role(*at(app), "Keys", ["read:costs", "write:api_keys"])
    other = key_of(app, "bob", role)
    path = f"{KEYS}/{key_id}/rotate"
    assert error(app.post(path, key=other)) == FORBIDDEN
    both = make_role(*at(app), "People", ["read:costs", "write:api_keys", "write:users"])
    assert app.post(path, key=key_of(app, "carl", both)).status_code == 201


def test_an_own_key_is_rotated_within_conditions(sqlite_application: Application) -> None:
    app = sqlite_application
    lead = limited(app, "read:costs", "write:api_keys")
    made = app.post(KEYS, key=lead, json={"name": "k", "scopes": ["read:costs"]}).json()
    assert made["user_id"] == "lead"
    assert app.post(f"{KEYS}/{made['id']}/rotate", key=lead).status_code == 201


@pytest.mark.parametrize(
    ("grants", "status"), [(["client_credentials"], 403), (["authorization_code"], 201)]
)
def test_a_client_that_acts_for_nobody_is_not_past_conditions(
    sqlite_application: Application, grants: list[str], status: int
) -> None:
    lead = limited(sqlite_application, "read:costs", "write:api_keys")
    body = {
        "name": "x",
        "grant_types": grants,
        "scopes": ["read:costs"],
        "redirect_uris": ["https://app.example.com/cb"],
    }
    answer = sqlite_application.post("/api/v1/oauth/clients", key=lead, json=body)
    assert answer.status_code == status, answer.text


def test_a_role_named_as_anothers_id_is_not_that_one(sqlite_application: Application) -> None:
    """Who could name a weak role so would be taken for a holder of little, and be given much."""
    app = sqlite_application
    strong = make_role(*at(app), "zeta", ["*"])
    make_role(*at(app), strong, ["read:budgets"])
    key_of(app, "boss", strong)
    key = app.new_key("write:users", "write:roles", "read:budgets")
    stolen = app.request("PATCH", "/api/v1/users/boss", key=key, json={"name": "x"})
    assert error(stolen) == FORBIDDEN
    body = {"email": "eve@example.com", "role": strong}
    assert error(app.post("/api/v1/users", key=key, json=body)) == FORBIDDEN
    given = app.post("/api/v1/users/boss/roles", key=key, json={"role_id": strong})
    assert error(given) == FORBIDDEN
    assert app.get(f"/api/v1/roles/{strong}").json()["name"] == "zeta"


def test_an_id_with_roles_is_taken_by_nobody_who_holds_less(
    sqlite_application: Application,
) -> None:
    """Roles may be given to an id that calls have named; who makes it a user gets them."""
    app = sqlite_application
    call = {
        "provider": "openai",
        "model": "gpt-4o",
        "prompt_tokens": 1,
        "completion_tokens": 1,
        "user_id": "ann",
    }
    assert app.post("/api/v1/usage", json=call).status_code == 201
    given = app.post("/api/v1/users/ann/roles", json={"role_id": "admin"})
    assert given.status_code == 201
    key = app.new_key("write:users")
    body = {"email": "eve@example.com", "user_id": "ann"}
    assert error(app.post("/api/v1/users", key=key, json=body)) == FORBIDDEN
    service = {"name": "x", "user_id": "ann"}
    assert error(app.post("/api/v1/service-accounts", key=key, json=service)) == FORBIDDEN
    rows = app.post(
        "/api/v1/users/import", key=key, json={"csv": "email,user_id\neve@example.com,ann\n"}
    ).json()
    assert rows["results"][0]["code"] == FORBIDDEN[1]
    assert app.post("/api/v1/users", json=body).status_code == 201


def test_a_budget_of_a_team_is_not_past_conditions(sqlite_application: Application) -> None:
    app = sqlite_application
    web = app.post("/api/v1/teams", json={"name": "web", "budget": "5"}).json()
    lead = limited(app, "write:budgets", "write:teams")
    path = f"/api/v1/teams/{web['id']}"
    assert error(app.request("PATCH", path, key=lead, json={"budget": "900"})) == FORBIDDEN
    more = {"name": "more", "budget": "900"}
    assert error(app.post("/api/v1/teams", key=lead, json=more)) == FORBIDDEN
    assert error(app.delete(path, key=lead)) == FORBIDDEN
    assert app.request("PATCH", path, key=lead, json={"description": "x"}).status_code == 200
