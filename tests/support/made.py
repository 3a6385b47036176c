"""One of everything that an address can name, for tests of every operation."""

from __future__ import annotations

from datetime import date, timedelta
from zlib import crc32

import httpx

from llm_cost_ops.server.alerts.finding import Finding
from llm_cost_ops.server.alerts.fire import fire
from llm_cost_ops.server.alerts.rules import default_rule
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.forecasts.store import anomalies_since
from llm_cost_ops.server.forecasts.watch import keep
from tests.support.application import Application
from tests.support.export_operations import SCHEDULE
from tests.support.handover_operations import CHARGES
from tests.support.operations import PRICE, RECORD, RULE, STRUCTURES, Body, fresh, new_text
from tests.support.report_operations import reports_of

NAMED = {"kept": "alerts", "period": "2026-01"}
"""What an address names that is no thing of anybody."""
IDP: Body = {
    "kind": "generic",
    "issuer": "https://idp.invalid",
    "client_id": "x",
    "domains": ["example.com"],
}
EXCHANGE: Body = {"from_currency": "USD", "to_currency": "EUR", "rate": "0.9"}


def _day_of(canary: str) -> str:
    """A day for each canary: a pair of currencies has one rate a day."""
    return (date(2024, 1, 1) + timedelta(crc32(canary.encode()) % 600)).isoformat()


def _alert(application: Application, canary: str) -> str:
    """The id of an alert about an anomaly."""
    now_us = application.clock.micros()
    rule = default_rule(application.organization_id, "anomaly")
    finding = Finding(
        rule=rule, subject=canary, period=new_text(), severity="info", title=canary, summary=canary
    )
    with write(application.database) as session:
        return fire(session, [finding], now_us)[0]


def made(application: Application, canary: str = "canary") -> dict[str, str]:
    """One of each thing that has an id, named after a canary: the ids by path parameter."""

    def created(path: str, body: Body) -> httpx.Response:
        answer = application.post(path, json=body)
        assert answer.status_code in (200, 201, 202), answer.text
        return answer

    price = {**PRICE, "model": canary, "pricing_structure": STRUCTURES[0]}
    exchange = {**EXCHANGE, "date": _day_of(canary), "source": canary}
    named = {"project_id": canary, "user_id": canary, "metadata": {"note": canary}}
    role = {"name": canary, "permissions": ["read:costs"]}
    budget = {"name": canary, "amount": 5, "scope": {"project_id": canary}}
    ask = {"estimated_cost": "0.1", "project_id": canary}
    channel = {"name": canary, "type": "email", "recipients": [f"{canary}@example.com"]}
    forecast = {"model": "linear", "horizon": 2, "filters": {"project_id": canary}}
    client = created(
        "/api/v1/oauth/clients",
        {"name": canary, "scopes": ["read:costs"], "grant_types": ["client_credentials"]},
    )
    rights = {"name": canary, "scopes": ["read:costs"]}
    hook = {"url": "https://hooks.invalid/x", "events": ["*"], "description": canary,
            "secret": f"a-long-secret-of-{canary}"}  # fmt: skip
    webhook_id = created("/api/v1/webhooks", hook).json()["id"]
    person = {"email": f"{canary}@example.com", "name": canary, "metadata": {"note": canary}}
    center = {"code": canary, "name": canary}
    invited = {"email": f"invited-{canary}@example.com", "role": "viewer", "name": canary}
    user_id = created("/api/v1/users", person).json()["id"]
    person_asks = {"kind": "access", "subject": user_id}
    team = {"name": canary, "team_id": canary, "members": [user_id]}
    tested = created(f"/api/v1/webhooks/{webhook_id}/test", {})
    return {
        "webhook_id": webhook_id,
        "delivery_id": tested.json()["id"],
        "record_id": created("/api/v1/usage", {**fresh(RECORD), **named}).json()["id"],
        "import_id": created("/api/v1/imports", {"name": canary}).json()["id"],
        "pricing_id": created("/api/v1/pricing", price).json()["id"],
        "adjustment_id": created(
            "/api/v1/pricing/adjustments", {"label": canary, "discount_percent": 5}
        ).json()["id"],
        "provider_id": created("/api/v1/providers", {"id": canary}).json()["id"],
        "key_id": created("/api/v1/auth/api-keys", rights).json()["id"],
        "client_id": client.json()["client_id"],
        "budget_id": created("/api/v1/budgets", budget).json()["id"],
        "reservation_id": created("/api/v1/budgets/reserve", ask).json()["reservation_id"],
        "rule_id": created("/api/v1/alerts/rules", {**RULE, "name": canary}).json()["id"],
        "channel_id": created("/api/v1/alerts/channels", channel).json()["id"],
        "alert_id": _alert(application, canary),
        "forecast_id": created("/api/v1/forecasts", forecast).json()["id"],
        "anomaly_id": _anomaly(application, canary),
        "organization_id": application.organization_id,
        "user_id": user_id,
        "team_id": created("/api/v1/teams", team).json()["id"],
        "invitation_id": created("/api/v1/invitations", invited).json()["id"],
        "cost_center_id": created("/api/v1/cost-centers", center).json()["id"],
        "project_id": canary,
        "request_id": created("/api/v1/privacy/requests", person_asks).json()["id"],
        **NAMED,
        "export_id": created("/api/v1/export", {"project_id": canary}).json()["id"],
        **_scheduled(application, canary),
        "credential_id": created(
            "/api/v1/provider-credentials",
            {"provider": "openai", "name": canary, "secret": "opens-the-provider"},
        ).json()["id"],
        "rate_id": created("/api/v1/exchange-rates", exchange).json()["id"],
        "charge_id": created("/api/v1/charges", {**CHARGES[0], "name": canary}).json()["id"],
        **{name: created(path, body).json()["id"] for name, path, body in reports_of(canary)},
        "idp_id": created("/api/v1/sso/providers", {**IDP, "name": canary}).json()["id"],
        "role_id": created("/api/v1/roles", role).json()["id"],
    }


def _scheduled(application: Application, canary: str) -> dict[str, str]:
    """A schedule and a run of it."""
    body = {
        **SCHEDULE,
        "name": canary,
        "delivery": {"type": "download"},
        "filters": {"model": canary},
    }
    schedule = application.post("/api/v1/exports/schedules", json=body)
    assert schedule.status_code == 201, schedule.text
    schedule_id = schedule.json()["id"]
    run = application.post(f"/api/v1/exports/schedules/{schedule_id}/run")
    assert run.status_code == 202, run.text
    return {"schedule_id": schedule_id, "run_id": run.json()["id"]}


def _anomaly(application: Application, canary: str) -> str:
    """An anomaly such as the worker stores: no request makes one."""
    row = {
        "frequency": "hour", "dimension": "project_id", "value": canary, "currency": "USD",
        "bucket_start": 1_761_955_200_000_000, "bucket_end": 1_761_958_800_000_000,
        "date": "2025-11-01T00:00:00Z", "actual_e10": 5 * 10**10, "expected_e10": 10**10,
        "lower_e10": 0, "upper_e10": 2 * 10**10, "score_e4": 50_000, "severity": "high",
        "method": "auto", "found_at": 1_761_958_900_000_000, "causes": None,
    }  # fmt: skip
    own = application.organization_id
    with write(application.database) as session:
        keep(session, own, [row], application.clock.micros())
        (stored,) = (row for row in anomalies_since(session, own, 0) if row["value"] == canary)
    return str(stored["id"])
