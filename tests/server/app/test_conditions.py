"""Conditions of roles: they limit what every operation shows and changes. What an operation cannot
limit, it refuses; a test over the whole document finds the one that does neither."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.application import Application
from tests.support.made import made
from tests.support.operations import Called, fresh, operations
from tests.support.roles import join_team, key_of, make_role

OUTSIDE = "canary-outside"
SPENT = "777.25"
CONDITIONS: dict[str, Any] = {"team": ["ml-team"], "models": ["gpt-4o", "claude-2"]}
CALL = {"provider": "openai", "model": "gpt-4o", "prompt_tokens": 10, "completion_tokens": 2}
FORBIDDEN = (403, "INSUFFICIENT_PERMISSIONS")


def limited_key(application: Application, conditions: dict[str, Any], *permissions: str) -> str:
    """A key of somebody whose only role has these conditions."""
    role = make_role(
        application.database,
        application.clock,
        application.organization_id,
        "Limited",
        list(permissions or ["*"]),
        conditions,
    )
    return key_of(application, "limited", role)


def store(application: Application, cost: str, **labels: str) -> str:
    body = {"provider": "openai", "model": "gpt-4o", "tokens_used": 5, "cost": cost, **labels}
    return str(application.post("/api/v1/costs", json=body).json()["id"])


def canaries(application: Application) -> str:
    """A call outside of the conditions, whose every label and whose cost would be known again."""
    return store(
        application,
        SPENT,
        model=OUTSIDE,
        **{f"{n}_id": OUTSIDE for n in ("team", "project", "user")},
        feature=OUTSIDE,
    )


def error(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def asked(called: Called, application: Application, ids: dict[str, str], key: str) -> Any:
    bodies = called.operation.bodies
    body = {"json": fresh(bodies[0])} if bodies else {}
    return application.request(called.method, called.at(ids), key=key, **body)


def test_no_operation_shows_what_lies_outside(application: Application) -> None:
    """Whoever may do everything within conditions asks for everything: what is answered never holds
    the canary, and what cannot be limited says so."""
    ids = made(application, OUTSIDE)
    canaries(application)
    store(application, "1.50", team_id="ml-team")
    key = limited_key(application, CONDITIONS)
    modes = {"applied": 0, "apart": 0, "refused": 0}
    document = application.get("/openapi.json").json()
    for called in operations(application):
        operation = document["paths"][called.path][called.method.lower()]
        mode = operation["x-conditions"]
        if not operation["x-required-permissions"]:
            continue
        modes[mode] += 1
        answer = asked(called, application, ids, key)
        if mode == "refused":
            assert error(answer) == FORBIDDEN, (called, answer.text)
            assert "limited to models claude-2/gpt-4o, team ml-team" in answer.text, called
        if mode == "applied" or (called.method == "GET" and mode == "refused"):
            assert OUTSIDE not in answer.text, (called, answer.text)
            assert SPENT not in answer.text, (called, answer.text)
        assert answer.status_code < 500, (called, answer.text)
    assert modes["applied"] >= 20
    assert modes["refused"] >= 30


APART = {
    "listPricing", "getPricing", "listPriceAdjustments", "listDeployments", "listProviders",
    "estimateCost", "estimateCosts", "createRole", "listRoles", "getRole", "updateRole",
    "deleteRole", "listUserRoles", "assignRole", "withdrawRole",
    "listExchangeRates", "getExchangeRate", "convertAmount", "listReportTemplates",
    "createReportTemplate", "deleteReportTemplate",
}  # fmt: skip
"""Operations about nothing that conditions are about: prices, rates of exchange, layouts, roles."""


def test_what_is_apart_from_conditions_is_known(sqlite_application: Application) -> None:
    document = sqlite_application.get("/openapi.json").json()
    apart = {
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
        if operation.get("x-conditions") == "apart" and operation["x-required-permissions"]
    }
    assert apart == APART


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/costs/summary",
        "/api/v1/costs/aggregate",
        "/api/v1/costs/aggregate?group_by=day",
        "/api/v1/costs/aggregate?group_by=project_id,provider",
        "/api/v1/costs/aggregate?group_by=tag",
        "/api/v1/costs/breakdown?group_by=model,team_id,feature",
        "/api/v1/costs?group_by=model",
        "/api/v1/costs",
        "/api/v1/costs?stream=true",
        f"/api/v1/costs?team_id={OUTSIDE}",
        f"/api/v1/costs?model={OUTSIDE}",
        "/api/v1/costs?team_id.exists=false",
        "/api/v1/usage/history",
        "/api/v1/analytics",
        "/api/v1/analytics?interval=day",
        "/api/v1/analytics?interval=hour&group_by=model",
    ],
)
def test_reads_add_up_only_what_is_reached(sqlite_application: Application, path: str) -> None:
    canaries(sqlite_application)
    store(sqlite_application, "1.50", team_id="ml-team", project_id="p")
    store(sqlite_application, "0.25", team_id="ml-team", model="claude-2")
    for labels in ({"team_id": "web"}, {"model": "gpt-4o"}, {"team_id": "ml-team", "model": "x"}):
        store(sqlite_application, "100.125", **labels)
    key = limited_key(sqlite_application, CONDITIONS, "read:costs")
    answer = sqlite_application.get(path, key=key)
    for hidden in (OUTSIDE, "777.25", "100.125", "web", "877.375", "879.125"):
        assert hidden not in answer.text.replace(f'"team_id":"{OUTSIDE}"', ""), answer.text
    if path.endswith(("/summary", "/analytics")):
        assert answer.json()["total_cost"] == 1.75


def test_conditions_of_several_roles_are_joined_and_of_one_met_together(
    application: Application,
) -> None:
    at = (application.database, application.clock, application.organization_id)
    own = {
        "a": make_role(*at, "A", ["read:costs"], {"team": ["ml"], "models": ["gpt-4o"]}),
        "b": make_role(*at, "B", ["read:costs"], {"projects": ["p"], "environments": ["prod"]}),
    }
    ids = {
        "ml": store(application, "1", team_id="ml"),
        "ml other": store(application, "2", team_id="ml", model="x"),
        "p prod": store(application, "4", project_id="p", environment="prod"),
        "p dev": store(application, "8", project_id="p", environment="dev"),
        "neither": store(application, "16"),
    }
    expected = {"a": {"ml"}, "b": {"p prod"}, "both": {"ml", "p prod"}}
    for who, roles in {"a": [own["a"]], "b": [own["b"]], "both": list(own.values())}.items():
        key = key_of(application, who, *roles)
        seen = {row["id"] for row in application.get("/api/v1/costs", key=key).json()["data"]}
        assert seen == {ids[name] for name in expected[who]}
        total = application.get("/api/v1/costs/summary", key=key).json()["total_cost"]
        assert total == {"a": 1, "b": 4, "both": 5}[who]


def test_a_role_without_conditions_reads_all_and_still_writes_within(
    sqlite_application: Application,
) -> None:
    app = sqlite_application
    role = make_role(
        app.database, app.clock, app.organization_id, "W", ["write:costs"], {"team": ["ml-team"]}
    )
    key = key_of(app, "ann", "viewer", role)
    outside = canaries(app)
    assert app.get(f"/api/v1/costs/{outside}", key=key).status_code == 200
    assert error(app.delete(f"/api/v1/costs/{outside}", key=key)) == (404, "NOT_FOUND")
    assert error(app.post("/api/v1/usage", key=key, json={**CALL, "team_id": "web"})) == FORBIDDEN


def test_a_single_call_outside_does_not_exist(sqlite_application: Application) -> None:
    app = sqlite_application
    outside, inside = canaries(app), store(app, "1", team_id="ml-team")
    key = limited_key(app, CONDITIONS, "read:costs", "write:costs")
    for name, status in ((outside, 404), (inside, 200)):
        assert app.get(f"/api/v1/costs/{name}", key=key).status_code == status
        assert app.get(f"/api/v1/usage/{name}", key=key).status_code == status
        assert app.get(f"/api/v1/costs/{name}/entries", key=key).status_code == status
        for method in ("PATCH", "PUT"):
            path = f"/api/v1/costs/{name}"
            answer = app.request(method, path, key=key, json={"metadata": {"a": "b"}})
            assert answer.status_code == status
    unknown = app.get("/api/v1/costs/usg_00000000000000000000000000", key=key).json()["error"]
    foreign = app.get(f"/api/v1/costs/{outside}", key=key).json()["error"]
    assert (unknown["code"], unknown["message"]) == (foreign["code"], foreign["message"])
    assert app.delete(f"/api/v1/costs/{outside}", key=key).status_code == 404
    assert app.delete(f"/api/v1/costs/{inside}", key=key).status_code == 204
    assert app.get(f"/api/v1/costs/{outside}").json()["metadata"] in (None, {})


def test_writes_outside_are_refused_and_nothing_is_stored(sqlite_application: Application) -> None:
    app = sqlite_application
    key = limited_key(app, CONDITIONS, "write:costs")
    inside = {**CALL, "team_id": "ml-team"}
    cost = {"model": "gpt-4o", "provider": "openai", "tokens_used": 1, "cost": 1}
    for path, body in (
        ("usage", CALL),
        ("usage", {**inside, "team_id": "web"}),
        ("usage", {**inside, "model": "gpt-4"}),
        ("usage/batch", {"records": [inside, CALL]}),
        ("usage/batch?correct=true", {"records": [inside]}),
        ("costs", cost),
        ("costs/bulk", {"records": [{**cost, "team_id": "ml-team"}, cost]}),
    ):
        answer = app.post(f"/api/v1/{path}", key=key, json=body)
        assert error(answer) == FORBIDDEN, (path, answer.text)
    assert app.get("/api/v1/costs").json()["data"] == []
    assert app.post("/api/v1/usage", key=key, json=inside).status_code == 201
    assert app.post("/api/v1/usage/batch", key=key, json={"records": [inside]}).is_success
    assert len(app.get("/api/v1/costs").json()["data"]) == 2


def budget(application: Application, name: str, **scope: Any) -> str:
    made_ = application.post("/api/v1/budgets", json={"name": name, "amount": 5, "scope": scope})
    return str(made_.json()["id"])


def test_budgets_outside_do_not_exist(sqlite_application: Application) -> None:
    app = sqlite_application
    ids = {
        "own": budget(app, "own", team_id="ml-team", model="gpt-4o"),
        "wider": budget(app, "wider", team_id="ml-team"),
        "web": budget(app, "web", team_id="web", model="gpt-4o"),
        "whole": budget(app, "whole"),
    }
    key = limited_key(app, CONDITIONS, "read:budgets", "write:budgets")
    listed = app.get("/api/v1/budgets?limit=1", key=key).json()
    assert ([row["id"] for row in listed["data"]], listed["has_more"]) == ([ids["own"]], False)
    for name, budget_id in ids.items():
        status = 200 if name == "own" else 404
        for path in ("", "/status", "/adjustments"):
            answer = app.get(f"/api/v1/budgets/{budget_id}{path}", key=key)
            assert answer.status_code == status, (name, path)
        if name != "own":
            assert app.delete(f"/api/v1/budgets/{budget_id}", key=key).status_code == 404
    assert error(app.get("/api/v1/budgets/current", key=key)) == FORBIDDEN


def test_a_budget_is_changed_by_administrators_and_its_own_team(
    sqlite_application: Application,
) -> None:
    """write:budgets, and the budget's team among the user's teams; or everything."""
    app = sqlite_application
    at = (app.database, app.clock, app.organization_id)
    keys = {
        "admin": key_of(app, "admin", "admin"),
        "member": key_of(app, "member", "manager"),
        "stranger": key_of(app, "stranger", "manager"),
        "viewer": key_of(app, "viewer", "viewer"),
    }
    join_team(*at, "member", "ml-team")
    join_team(*at, "viewer", "ml-team")
    allowed = {"admin", "member"}
    for who, key in keys.items():
        team = {"name": "x", "amount": 5, "scope": {"team_id": "ml-team"}}
        both = {"name": "x", "amount": 5, "scope": {"team_id": ["ml-team", "web"]}}
        whole = {"name": "x", "amount": 5}
        statuses = [
            app.post("/api/v1/budgets", key=key, json=body).status_code
            for body in (team, both, whole)
        ]
        expected = {"admin": [201, 201, 201], "member": [201, 403, 403]}
        assert statuses == expected.get(who, [403, 403, 403]), who
    own, other = budget(app, "own", team_id="ml-team"), budget(app, "other", team_id="web")
    more = {"type": "increase", "amount": "1", "reason": "x"}
    move = {"type": "transfer", "amount": "1", "to_budget_id": other, "reason": "x"}
    for who, key in keys.items():
        good = who in allowed
        one = f"/api/v1/budgets/{own}"
        assert app.get(one, key=key).status_code == 200
        changed = app.request("PATCH", one, key=key, json={"amount": 6})
        assert changed.status_code == (200 if good else 403), who
        hard = app.request("PUT", f"{one}/enforcement", key=key, json={"enforcement": "hard"})
        assert hard.status_code == (200 if good else 403), who
        grown = app.post(f"{one}/adjustments", key=key, json=more)
        assert grown.status_code == (201 if good else 403), who
        given = app.post(f"{one}/adjustments", key=key, json=move)
        assert given.status_code == (201 if who == "admin" else 403), (who, given.text)
        away = app.request("PATCH", one, key=key, json={"scope": {"team_id": "web"}})
        assert away.status_code == (200 if who == "admin" else 403), who
        app.request("PATCH", one, json={"scope": {"team_id": "ml-team"}})
        gone = app.delete(f"/api/v1/budgets/{other}", key=keys["member"])
        assert gone.status_code == 403
    assert app.delete(f"/api/v1/budgets/{own}", key=keys["member"]).status_code == 204
