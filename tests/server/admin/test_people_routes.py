"""Organizations, users and teams over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from llm_cost_ops.server.access.tables import api_keys
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.identity import users
from tests.support.application import Application


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def created(application: Application, path: str, **body: Any) -> dict[str, Any]:
    answer = application.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def ann(application: Application, **more: Any) -> dict[str, Any]:
    return created(application, "users", **{"email": "ann@example.com", "name": "Ann", **more})


def test_a_user_with_role_and_teams(sqlite_application: Application) -> None:
    ml = created(sqlite_application, "teams", name="ML Team")
    made = ann(
        sqlite_application, role="analyst", teams=["ML Team"], metadata={"cost_center": "CC-001"}
    )
    assert (made["roles"], made["teams"], made["is_active"]) == (["analyst"], [ml["id"]], True)
    assert "password" not in str(made)
    path = f"/api/v1/users/{made['id']}"
    assert sqlite_application.get(path).json() == made
    for query, count in (
        ("role=analyst", 1), ("role=viewer", 0), (f"team_id={ml['id']}", 1), ("active=false", 0),
        ("search=ANN@", 1), ("kind=service", 0), ("kind=all", 1), ("limit=1", 1),
    ):  # fmt: skip
        assert len(sqlite_application.get(f"/api/v1/users?{query}").json()["data"]) == count, query
    changed = sqlite_application.request("PATCH", path, json={"first_name": "Ann", "active": False})
    assert (changed.json()["first_name"], changed.json()["is_active"]) == ("Ann", False)
    assert sqlite_application.post(f"{path}/enable").json()["is_active"]
    assert sqlite_application.delete(path).status_code == 204
    assert code(sqlite_application.get(path)) == (404, "NOT_FOUND")


def test_pages_of_users(sqlite_application: Application) -> None:
    for number in range(5):
        ann(sqlite_application, email=f"u{number}@example.com", user_id=f"u{number}")
    first = sqlite_application.get("/api/v1/users?limit=2").json()
    second = sqlite_application.get(f"/api/v1/users?limit=2&cursor={first['next_cursor']}").json()
    assert [row["id"] for row in first["data"] + second["data"]] == ["u0", "u1", "u2", "u3"]
    assert second["has_more"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "ann"}, "email"),
        ({"email": "ann@example.com", "role": "emperor"}, "role"),
        ({"email": "ann@example.com", "teams": ["nobody"]}, "teams"),
        ({"email": "ann@example.com", "name": "a\r\nBcc: b"}, "name"),
        ({"email": "ann@example.com", "password": "x"}, "password"),
    ],
)
def test_who_is_refused_is_not_made(
    sqlite_application: Application, body: dict[str, Any], field: str
) -> None:
    answer = sqlite_application.post("/api/v1/users", json=body)
    assert code(answer) == (422, "VALIDATION_ERROR")
    assert list(answer.json()["error"]["field_errors"]) == [field]
    assert sqlite_application.get("/api/v1/users?kind=all").json()["data"] == []


def test_nobody_gives_more_than_they_hold(sqlite_application: Application) -> None:
    key = sqlite_application.new_key("write:users", "read:users", "read:costs")
    admin = ann(sqlite_application, role="admin")
    ann(sqlite_application, email="second@example.com", role="admin")
    for path, body in (
        ("users", {"email": "b@example.com", "role": "admin"}),
        ("users", {"email": "b@example.com", "role": "viewer"}),
        ("invitations", {"email": "b@example.com", "role": "admin"}),
        ("service-accounts", {"name": "r", "role": "admin"}),
        ("organizations/" + sqlite_application.organization_id + "/users",
         {"user_email": "ann@example.com", "role": "admin"}),
        (f"users/{admin['id']}/disable", None),
        (f"users/{admin['id']}/welcome-email", None),
    ):  # fmt: skip
        answer = sqlite_application.post(f"/api/v1/{path}", json=body, key=key)
        assert code(answer) == (403, "INSUFFICIENT_PERMISSIONS"), path
    path = f"/api/v1/users/{admin['id']}"
    taken = sqlite_application.request("PATCH", path, json={"email": "evil@example.com"}, key=key)
    assert code(taken) == (403, "INSUFFICIENT_PERMISSIONS")
    assert code(sqlite_application.delete(path, key=key)) == (403, "INSUFFICIENT_PERMISSIONS")
    assert sqlite_application.get(path).json() == admin
    plain = sqlite_application.post("/api/v1/users", json={"email": "b@example.com"}, key=key)
    assert plain.status_code == 201


def test_the_last_administrator_stays(sqlite_application: Application) -> None:
    path = f"/api/v1/users/{ann(sqlite_application, role='admin')['id']}"
    assert code(sqlite_application.post(f"{path}/disable")) == (409, "LAST_ADMIN")
    assert code(sqlite_application.delete(path)) == (409, "LAST_ADMIN")


@pytest.mark.check(7)
def test_a_key_ends_with_its_user_at_once(application: Application) -> None:
    made = ann(application)
    given = application.post(f"/api/v1/users/{made['id']}/roles", json={"role_id": "viewer"})
    assert given.is_success, given.text
    key_id, secret = application.new_key_with_id("read:costs")
    with write(application.database) as session:
        session.execute(api_keys.update().where(api_keys.c.id == key_id).values(user_id=made["id"]))
    assert application.get("/api/v1/costs", key=secret).status_code == 200
    assert application.post(f"/api/v1/users/{made['id']}/disable").status_code == 200
    assert code(application.get("/api/v1/costs", key=secret)) == (401, "AUTH_001")
    application.post(f"/api/v1/users/{made['id']}/enable")
    assert code(application.get("/api/v1/costs", key=secret)) == (401, "AUTH_001")


def test_a_team_with_a_budget(application: Application) -> None:
    top = created(application, "teams", name="Engineering", budget=50000)
    user = ann(application)
    low = created(
        application,
        "teams",
        name="ML Team",
        parent_id=top["id"],
        budget=15000,
        members=["ann@example.com"],
    )
    budget = application.get(f"/api/v1/budgets/{low['budget_id']}").json()
    assert (budget["amount"], budget["parent_id"]) == (15000, top["budget_id"])
    assert budget["scope"]["team_id"] == low["id"]
    path = f"/api/v1/teams/{low['id']}"
    assert application.request("PATCH", path, json={"budget": "20000.5"}).status_code == 200
    again = application.request("PATCH", path, json={"metadata": {"a": 1}}).json()
    assert (again["metadata"], again["budget_id"]) == ({"a": 1}, low["budget_id"])
    assert str(application.get(f"/api/v1/budgets/{low['budget_id']}").json()["amount"]) == "20000.5"
    tree = application.get("/api/v1/teams/tree").json()["data"]
    assert [(each["id"], [c["id"] for c in each["children"]]) for each in tree] == [
        (top["id"], [low["id"]])
    ]
    members = application.get(f"{path}/members").json()["data"]
    assert [each["id"] for each in members] == [user["id"]]
    assert application.delete(f"{path}/members/{user['id']}").status_code == 204
    assert code(application.delete(f"{path}/members/{user['id']}")) == (404, "NOT_FOUND")
    assert code(application.delete(f"/api/v1/teams/{top['id']}")) == (409, "CONFLICT")
    assert application.delete(path).status_code == 204
    assert application.get(f"/api/v1/budgets/{low['budget_id']}").status_code == 404


def test_a_team_without_its_budget_is_not_made(sqlite_application: Application) -> None:
    for budget in (-1, "x", [], 10**30):
        answer = sqlite_application.post("/api/v1/teams", json={"name": "t", "budget": budget})
        assert code(answer) == (422, "VALIDATION_ERROR"), budget
    key = sqlite_application.new_key("write:teams")
    answer = sqlite_application.post("/api/v1/teams", json={"name": "t", "budget": 5}, key=key)
    assert code(answer) == (403, "INSUFFICIENT_PERMISSIONS")
    stolen = {"name": "t", "metadata": {"budget_id": "bud_1"}}
    assert code(sqlite_application.post("/api/v1/teams", json=stolen))[0] == 422
    assert sqlite_application.get("/api/v1/teams").json()["data"] == []


def test_organizations(application: Application) -> None:
    own = f"/api/v1/organizations/{application.organization_id}"
    made = created(
        application,
        "organizations",
        name="Acme Corp",
        slug="acme-corp",
        admin_email="ann@example.com",
        settings={"budget_limit": 10000.0, "budget_period": "monthly", "alert_threshold": 0.8},
    )
    assert (made["id"], made["slug"]) == ("org-acme-corp", "acme-corp")
    with read(application.database) as session:
        (first,) = users.list_users(session, made["id"], limit=5)
    assert first.email == "ann@example.com"
    assert [row["id"] for row in application.get("/api/v1/organizations").json()["data"]] == [
        application.organization_id
    ]
    assert code(application.get(f"/api/v1/organizations/{made['id']}")) == (404, "NOT_FOUND")
    other = application.another()
    answer = other.post("/api/v1/organizations", json={"name": "x"})
    assert code(answer) == (403, "INSUFFICIENT_PERMISSIONS")
    changed = application.request(
        "PATCH",
        own,
        json={"slug": "mine", "fiscal_year_start_month": 4, "data_retention_days": 30},
    ).json()
    assert (changed["slug"], changed["fiscal_year_start_month"]) == ("mine", 4)
    kept = application.request("PATCH", own, json={"settings": {"theme": "dark"}}).json()
    assert kept["settings"] == {
        "theme": "dark", "fiscal_year_start_month": 4, "data_retention_days": 30,
    }  # fmt: skip
    cleared = application.request("PATCH", own, json={"data_retention_days": None}).json()
    assert cleared["data_retention_days"] is None
    assert application.get("/api/v1/organizations/mine").json() == cleared
    taken = application.request("PATCH", own, json={"slug": "acme-corp"})
    assert code(taken) == (409, "CONFLICT")
    for wrong in ({"currency": "usd"}, {"time_zone": "Mars"}, {"settings": {
        "fiscal_year_start_month": 13}}):  # fmt: skip
        assert code(application.request("PATCH", own, json=wrong))[0] == 422


def test_users_of_an_organization(sqlite_application: Application) -> None:
    path = f"/api/v1/organizations/{sqlite_application.organization_id}/users"
    body = {"user_email": "ann@example.com", "role": "developer"}
    made = sqlite_application.post(path, json=body)
    assert (made.status_code, made.json()["roles"]) == (201, ["developer"])
    again = sqlite_application.post(path, json={**body, "role": "engineer"})
    assert again.json()["id"] == made.json()["id"]
    more = sqlite_application.post(path, json={**body, "role": "billing"})
    assert more.json()["roles"] == ["billing", "developer"]
    assert len(sqlite_application.get(path).json()["data"]) == 1
    assert sqlite_application.delete(f"{path}/{made.json()['id']}").status_code == 204
    assert sqlite_application.get(path).json()["data"] == []


def test_service_accounts(sqlite_application: Application) -> None:
    made = created(sqlite_application, "service-accounts", name="robot", role="developer")
    assert (made["kind"], made["email"], made["roles"]) == ("service", None, ["developer"])
    listed = sqlite_application.get("/api/v1/service-accounts").json()["data"]
    assert listed == [made]
    assert sqlite_application.post(f"/api/v1/users/{made['id']}/disable").status_code == 200


def test_projects_and_cost_centers(application: Application) -> None:
    call = {"provider": "openai", "model": "gpt-4o", "prompt_tokens": 1, "completion_tokens": 1}
    application.post("/api/v1/usage", json={**call, "project_id": "chat"})
    assert (
        application.request("PATCH", "/api/v1/projects/chat", json={"name": "Chat"}).json()["name"]
        == "Chat"
    )
    (project,) = application.get("/api/v1/projects?search=CHAT").json()["data"]
    assert (project["id"], project["name"]) == ("chat", "Chat")
    revenue = {"period": "2025-11", "amount": "1234.5"}
    for _ in range(2):
        kept = application.request("PUT", "/api/v1/projects/chat/revenue", json=revenue)
        assert kept.json() == {"period": "2025-11", "amount": 1234.5, "currency": "USD"}
    assert application.get("/api/v1/projects/chat/revenue").json()["data"] == [kept.json()]
    for wrong in ({"period": "2025-13"}, {"amount": "1e30"}, {"currency": "usd"}):
        answer = application.request(
            "PUT", "/api/v1/projects/chat/revenue", json={**revenue, **wrong}
        )
        assert code(answer)[0] == 422
    center = created(application, "cost-centers", code="CC-001", name="Engineering")
    again = application.post("/api/v1/cost-centers", json={"code": "CC-001", "name": "x"})
    assert code(again) == (409, "CONFLICT")
    path = "/api/v1/cost-centers/CC-001"
    changed = application.request("PATCH", path, json={"owner": "Ann"}).json()
    assert (changed["owner"], changed["name"]) == ("Ann", center["name"])
    assert application.get("/api/v1/cost-centers").json()["data"] == [changed]
    assert application.delete(path).status_code == 204
    assert code(application.get(path)) == (404, "NOT_FOUND")


def test_many_users_of_a_file(sqlite_application: Application) -> None:
    created(sqlite_application, "teams", name="ML Team", team_id="ml")
    ann(sqlite_application, email="taken@example.com")
    lines = [
        "\ufeffemail,name,role,teams,department,manager",
        'a@example.com,"Lee, Ann",analyst,"ml",Engineering,boss@example.com',
        "nobody,B,analyst,,,",
        "",
        "taken@example.com,T,,,,",
        "c@example.com,C,emperor,,,",
        "d@example.com,D,viewer,ML Team; ml,,",
    ]
    for dry_run in (True, False):
        body = {"csv": "\r\n".join(lines), "dry_run": dry_run}
        report = sqlite_application.post("/api/v1/users/import", json=body).json()
        good = "valid" if dry_run else "created"
        assert (report[good], report["failed"], report["dry_run"]) == (2, 3, dry_run)
        assert [(row["line"], row["status"], row["field"]) for row in report["results"]] == [
            (2, good, None), (3, "failed", "email"), (5, "failed", "email"), (6, "failed", "role"),
            (7, good, None),
        ]  # fmt: skip
        found = sqlite_application.get("/api/v1/users").json()["data"]
        assert len(found) == (1 if dry_run else 3)
    made = next(row for row in found if row["email"] == "a@example.com")
    assert made["metadata"] == {"department": "Engineering", "manager": "boss@example.com"}
    assert (made["name"], made["teams"], made["roles"]) == ("Lee, Ann", ["ml"], ["analyst"])


@pytest.mark.parametrize(
    "text", ["name\nA", "email,email\na,b", 'email\n"a', "email\na,b", "email\n" + "a\n" * 5_001]
)
def test_what_is_no_file_of_users(sqlite_application: Application, text: str) -> None:
    answer = sqlite_application.post("/api/v1/users/import", json={"csv": text})
    assert code(answer) == (422, "VALIDATION_ERROR")
    assert sqlite_application.get("/api/v1/users").json()["data"] == []


def test_an_organization_sees_nothing_of_the_people_of_another(application: Application) -> None:
    made = ann(application)
    other = application.another()
    path = f"/api/v1/users/{made['id']}"
    for method in ("GET", "PATCH", "DELETE"):
        answer = other.request(method, path, json={} if method == "PATCH" else None)
        assert code(answer) == (404, "NOT_FOUND")
    foreign = other.post("/api/v1/teams", json={"name": "t", "members": [made["id"]]})
    assert code(foreign) == (422, "VALIDATION_ERROR")
