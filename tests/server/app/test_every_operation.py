"""What holds for every operation: its scope, its tenant, what it refuses to be told."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from llm_cost_ops.core.permissions import IMPLIED_BY
from tests.support.application import Application
from tests.support.made import NAMED, made
from tests.support.operations import OPERATIONS, Called, fresh, operations

SCOPES = (
    "read:api_keys", "write:api_keys", "read:budgets", "write:budgets", "read:costs",
    "write:costs", "write:pricing", "read:webhooks", "write:webhooks",
    "read:alerts", "write:alerts", "read:api_keys", "write:api_keys", "read:budgets",
    "write:budgets", "read:costs", "write:costs", "write:pricing",
    "write:costs", "write:pricing", "read:forecasts", "write:forecasts",
    "read:users", "write:users", "read:teams", "write:teams", "read:organizations",
    "write:organizations", "read:roles", "write:roles", "read:audit", "read:privacy",
    "write:privacy", "write:providers", "export:data", "read:reports",
    "write:reports",
)  # fmt: skip
CANARY = "canary-of-another"
UNKNOWN = {
    "export_id": "exp_00000000000000000000000000",
    "record_id": "usg_00000000000000000000000000",
    "import_id": "imp_00000000000000000000000000",
    "pricing_id": "price_00000000000000000000000000",
    "adjustment_id": "adj_00000000000000000000000000",
    "provider_id": "nobody-sells-here",
    "key_id": "key_00000000000000000000000000",
    "budget_id": "bud_00000000000000000000000000",
    "reservation_id": "rsv_00000000000000000000000000",
    "webhook_id": "whk_00000000000000000000000000",
    "delivery_id": "whd_00000000000000000000000000",
    "rule_id": "alr_00000000000000000000000000",
    "channel_id": "chn_00000000000000000000000000",
    "alert_id": "alt_00000000000000000000000000",
    "forecast_id": "fct_00000000000000000000000000",
    "anomaly_id": "ano_00000000000000000000000000",
    "client_id": "cli_00000000000000000000000000",
    "organization_id": "org-nobody",
    "user_id": "usr_00000000000000000000000000",
    "team_id": "team_00000000000000000000000000",
    "invitation_id": "inv_00000000000000000000000000",
    "cost_center_id": "CC-000",
    "project_id": "no-call-named-it",
    "request_id": "prv_00000000000000000000000000",
    "kept": "nothing-of-that-name",
    "period": "2026-01",
    "credential_id": "prc_00000000000000000000000000",
    "rate_id": "fxr_00000000000000000000000000",
    "charge_id": "chg_00000000000000000000000000",
    "idp_id": "idp_00000000000000000000000000",
    "report_id": "rpt_00000000000000000000000000",
    "template_id": "rtp_00000000000000000000000000",
    "schedule_id": "dsc_00000000000000000000000000",
    "run_id": "drn_00000000000000000000000000",
    "role_id": "role_00000000000000000000000000",
}


def call(
    application: Application, called: Called, ids: dict[str, str], **options: Any
) -> httpx.Response:
    if called.operation.bodies and "json" not in options:
        options["json"] = fresh(called.operation.bodies[0])
    return application.request(called.method, called.at(ids), **options)


def said(answer: httpx.Response) -> tuple[int, Any]:
    """What was answered, without the request's id."""
    body = answer.json()
    body["error"].pop("request_id")
    return answer.status_code, body


def test_every_operation_is_in_the_table(sqlite_application: Application) -> None:
    assert sorted(called.id for called in operations(sqlite_application)) == sorted(OPERATIONS)


def test_every_operation_demands_its_scope_and_no_other(sqlite_application: Application) -> None:
    poor = {
        scope: sqlite_application.new_key(*(set(SCOPES) - {scope, IMPLIED_BY.get(scope)}))
        for scope in SCOPES
    }
    rich: dict[tuple[str, ...], str] = {}
    for called in operations(sqlite_application):
        without = call(sqlite_application, called, UNKNOWN, key=None)
        assert said(without)[1]["error"]["code"] == "AUTH_001", called
        assert without.status_code == 401, called
        scope = called.operation.scope
        if scope is None:
            continue
        refused = call(sqlite_application, called, UNKNOWN, key=poor[scope])
        assert refused.status_code == 403, called
        assert refused.json()["error"]["code"] == "INSUFFICIENT_PERMISSIONS", called
        own: dict[str, Any] = {}
        if called.id == "createApiKey":  # which can do no more than its maker
            own["json"] = {"name": "x", "scopes": [scope]}
        elif called.id == "createOAuthClient":
            own["json"] = {"name": "x", "scopes": [scope], "grant_types": ["client_credentials"]}
        elif any("role" in body for body in called.operation.bodies):  # no more than its own
            own["json"] = {**fresh(called.operation.bodies[0]), "role": "no-such-role"}
        both = (scope, *called.operation.also)
        key = rich.get(both)
        if key is None:
            key = rich[both] = sqlite_application.new_key(*both)
        let_in = call(sqlite_application, called, UNKNOWN, key=key, **own)
        assert let_in.status_code not in (401, 403, 500), (called, let_in.text)


@pytest.mark.check(1)
def test_things_of_another_organization_do_not_exist(application: Application) -> None:
    ids = made(application, CANARY)
    before = state(application)
    other = application.another()
    seen = 0
    for called in operations(application):
        if "{" not in called.path or any(f"{{{name}}}" in called.path for name in NAMED):
            continue  # it names no thing
        seen += 1
        foreign = call(other, called, ids)
        unknown = call(other, called, UNKNOWN)
        assert foreign.status_code == 404, (called, foreign.text)
        assert said(foreign) == said(unknown), called
        assert CANARY not in foreign.text, called
    assert seen >= 14
    assert state(application) == before


READS = (
    "/api/v1/costs",
    "/api/v1/costs?stream=true&fields=id",
    "/api/v1/costs/summary",
    "/api/v1/costs/aggregate?group_by=project,metadata.note,provider",
    "/api/v1/costs/breakdown?group_by=project",
    "/api/v1/analytics?group_by=project",
    "/api/v1/usage/history",
    "/api/v1/imports",
    "/api/v1/ledger/verify",
    "/api/v1/pricing?source=organization",
    "/api/v1/pricing/adjustments",
    "/api/v1/pricing/deployments",
    "/api/v1/pricing/unpriced",
    "/api/v1/providers",
    "/api/v1/budgets",
    "/api/v1/webhooks",
    "/api/v1/webhooks/events",
    "/api/v1/alerts",
    "/api/v1/alerts/rules",
    "/api/v1/alerts/channels",
    "/api/v1/forecasts",
    "/api/v1/forecasts/anomalies?start_date=2025-10-01",
    "/api/v1/forecasts/anomalies/found",
    "/api/v1/auth/api-keys",
    "/api/v1/organizations/current",
    "/api/v1/organizations",
    "/api/v1/users",
    "/api/v1/teams",
    "/api/v1/teams/tree",
    "/api/v1/service-accounts",
    "/api/v1/invitations",
    "/api/v1/projects",
    "/api/v1/cost-centers",
    "/api/v1/roles",
)


def state(*seen_by: Application) -> list[str]:
    """What organizations see of themselves, but for when their keys were last used."""
    found = (who.get(path).text for who in seen_by for path in READS)
    return [re.sub(r'"last_used_at":[^,}]*', "", text) for text in found]


@pytest.mark.check(3)
def test_nothing_of_another_organization_is_ever_shown(application: Application) -> None:
    ids = made(application, CANARY)
    deployment = {"deployment": CANARY, "model": "gpt-4o"}
    assert (
        application.request("PUT", "/api/v1/pricing/deployments", json=deployment).status_code
        == 200
    )
    other = application.another()
    for path in READS:
        answer = other.get(path)
        assert answer.status_code == 200, path
        assert CANARY not in answer.text, path
        assert not any(value in answer.text for value in ids.values()), path
    for name, value in (
        ("usage_ids", ids["record_id"]),
        ("import_id", ids["import_id"]),
        ("project_id", CANARY),
        ("metadata.note", CANARY),
    ):
        assert other.get("/api/v1/costs", params={name: value}).json()["data"] == []
        found = other.post("/api/v1/costs/query", json={"filters": {name: value}}).json()
        assert found["data"] == []


@pytest.mark.check(2)
def test_records_cannot_join_an_import_of_another_organization(application: Application) -> None:
    import_id = made(application, CANARY)["import_id"]
    other = application.another()
    before = application.get(f"/api/v1/imports/{import_id}").json()
    for called in operations(application):
        if not any(parameter["name"] == "import_id" for parameter in called.parameters):
            continue
        if called.method != "POST":
            continue
        answers = [
            call(other, called, UNKNOWN, params={"import_id": asked})
            for asked in (import_id, UNKNOWN["import_id"])
        ]
        assert said(answers[0]) == said(answers[1]), called
        assert answers[0].status_code == 404, called
    assert other.get("/api/v1/costs").json()["data"] == []
    assert application.get(f"/api/v1/imports/{import_id}").json() == before


def named_in(body: dict[str, Any], organization_id: str) -> dict[str, Any]:
    """The body with an organization named where it may be: in each record, item or query."""
    asked = fresh(body)
    lists = (asked.get("records"), asked.get("items"), asked.get("queries"))
    for target in next((items for items in lists if items), [asked]):
        target["organization_id"] = organization_id
    return asked


@pytest.mark.check(2)
def test_naming_another_organization_is_forbidden(application: Application) -> None:
    other = application.another()
    ids = made(other)
    before = state(application, other)
    foreign = application.organization_id
    for called in operations(other):
        ways: list[dict[str, Any]] = [
            {"params": {"organization_id": foreign}},
            {"headers": {"X-Organization-ID": foreign}},
            *({"json": named_in(body, foreign)} for body in called.operation.bodies),
        ]
        for way in ways:
            answer = call(other, called, ids, **way)
            assert answer.status_code == 403, (called, answer.text)
            assert answer.json()["error"]["code"] == "ORGANIZATION_MISMATCH"
    assert state(application, other) == before


def test_naming_the_own_organization_is_allowed(sqlite_application: Application) -> None:
    ids = made(sqlite_application)
    own = sqlite_application.organization_id
    for called in operations(sqlite_application):
        for body in called.operation.bodies:
            answer = call(sqlite_application, called, ids, json=named_in(body, own))
            assert answer.status_code in (200, 201, 202), (called, answer.text)
        if not called.operation.bodies:
            continue
        headers = {"X-Organization-ID": own}
        answer = call(sqlite_application, called, ids, headers=headers)
        assert answer.status_code in (200, 201, 202), (called, answer.text)


GIVEN_AWAY = {
    "role": "admin",
    "org_id": "x",
    "id": "usg_00000000000000000000000000",
    "spent": 0,
    "is_admin": True,
    "created_at": "2020-01-01T00:00:00Z",
    "received_at": "2020-01-01T00:00:00Z",
    "cost_status": "priced",
    "recorded_by": "x",
    "version": 7,
}
KNOWN_OF = {
    "registerProvider": {"id"},
    "estimateCost": {"id"},
    "estimateCosts": {"id"},
    "addOrganizationUser": {"role"},
    "createUser": {"role"},
    "createServiceAccount": {"role"},
    "createInvitation": {"role"},
}


@pytest.mark.check(5)
def test_fields_that_are_ours_to_set_are_refused(sqlite_application: Application) -> None:
    ids = made(sqlite_application)
    before = state(sqlite_application)
    for called in operations(sqlite_application):
        for body in called.operation.bodies:
            for name, value in GIVEN_AWAY.items():
                if name in KNOWN_OF.get(called.id, ()) or (
                    called.id in FILTERED and name in FILTERS
                ):
                    continue
                asked = fresh(body)
                lists = (asked.get("records"), asked.get("items"), asked.get("queries"))
                target = next((items[0] for items in lists if items), asked)
                target[name] = value
                answer = call(sqlite_application, called, ids, json=asked)
                if answer.status_code == 207:
                    assert answer.json()["results"][0]["status"] == "invalid", (called, name)
                else:
                    assert 400 <= answer.status_code < 500, (called, name, answer.text)
    after = state(sqlite_application)
    changed = [path for path, a, b in zip(READS, before, after, strict=True) if a != b]
    # The second record of a batch is good and stays.
    assert all("costs" in p or "analytics" in p or "usage" in p or "verify" in p for p in changed)


FILTERED = (
    "queryCosts", "breakDownCostsByBody", "createForecast", "detectAnomaliesByBody",
    "generateReport", "createExport",
    "createSchedule", "updateSchedule", "changeSchedule", "createReportSchedule",
)  # fmt: skip
FILTERS = {"id", "cost_status", "recorded_by", "created_at", "received_at"}


@pytest.mark.check(6)
def test_no_answer_shows_what_is_secret(sqlite_application: Application) -> None:
    made(sqlite_application)
    secret = sqlite_application.key
    for called in operations(sqlite_application):
        answer = call(sqlite_application, called, UNKNOWN)
        assert secret not in answer.text, called
        assert secret[:-6] not in json.dumps(dict(answer.headers)), called
        assert "digest" not in answer.text, called
