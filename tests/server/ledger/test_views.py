"""The documented names: `usage_records`, `cost_records`, `costs`, `entries` and their indexes."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import inspect

from llm_cost_ops.server.db.session import read
from tests.support.application import Application
from tests.support.calls import accepted, body_of, put, record, select_all, send, set_price, usage

JUNE = {"start_date": "2025-06-01", "end_date": "2025-06-30", "dry_run": False}
DOCUMENTED = {
    "usage_records": {"organization_id", "timestamp", "model_name", "provider", "user_id",
                      "team_id", "total_tokens", "event_id"},
    "cost_records": {"provider", "timestamp", "usage_id", "model", "total_cost", "currency",
                     "cost_status", "price_version", "input_tokens", "output_tokens",
                     "organization_id", "project_id"},
    "costs": {"created_at", "user_id", "model", "team_id", "cost", "amount", "tokens_used",
              "currency", "cost_status", "organization_id", "tags", "metadata"},
    "entries": {"id", "record_id", "kind", "organization_id", "created_at", "recorded_at", "cost",
                "tokens_used", "requests", "currency", "cost_status"},
}  # fmt: skip
INDEXES = {
    "idx_usage_org_date": ["organization_id", "timestamp"],
    "idx_usage_model": ["model_name", "timestamp"],
    "idx_cost_provider": ["provider", "timestamp"],
    "idx_costs_created_at": ["timestamp"],
    "idx_costs_user_id": ["user_id"],
    "idx_costs_model": ["model_name"],
    "idx_costs_team_id": ["team_id"],
    "idx_costs_composite": ["user_id", "timestamp"],
    "idx_costs_high_cost": ["cost_e10"],
}


def test_documented_names_have_the_documented_columns(application: Application) -> None:
    with read(application.database) as session:
        found = inspect(session.connection)
        assert set(found.get_view_names()) == {"cost_records", "costs", "entries"}
        for name, columns in DOCUMENTED.items():
            assert columns <= {column["name"] for column in found.get_columns(name)}, name
        indexes: dict[Any, Any] = {
            index["name"]: index["column_names"] for index in found.get_indexes("usage_records")
        }
    for name, columns in INDEXES.items():
        assert indexes[name] == columns, name


def rows(app: Application, statement: str) -> list[tuple[Any, ...]]:
    """Rows with amounts as Decimals; on SQLite they are text."""
    return [
        tuple(Decimal(v) if isinstance(v, (str, Decimal)) and _number(v) else v for v in row)
        for row in select_all(app, statement)
    ]


def _number(value: object) -> bool:
    return str(value).lstrip("-").replace(".", "", 1).isdigit()


def test_views_show_calls_net_of_their_corrections(application: Application) -> None:
    price = set_price(application)
    gone = set_price(application, provider="custom", model="own-model")
    made = record(
        application,
        usage("kept", user_id="ann", team_id="t", tags=["x"], metadata={"a": 1}),
        usage("moved"), usage("voided"),
        usage("lost", provider="custom", model="own-model"),
        usage("waits", provider="custom", model="other-model"),
        usage("grown", provider="custom", model="other-model"),
    )["results"]  # fmt: skip
    ids = {result["event_id"]: result["id"] for result in made}
    grown = usage("grown", provider="custom", model="other-model", prompt_tokens=5_000)
    accepted(send(application, "/usage/batch?correct=true", [grown]), 200)
    accepted(put(application, f"/pricing/{price['id']}", {"currency": "EUR"}), 200)
    never = {"effective_date": "2025-01-01", "end_date": "2025-01-02"}
    accepted(put(application, f"/pricing/{gone['id']}", never), 200)
    accepted(send(application, "/pricing/rerate", JUNE))
    assert application.delete(f"/api/v1/costs/{ids['voided']}").status_code == 204
    shown = {row["event_id"]: row for row in body_of(application.get("/api/v1/costs"))["data"]}
    found = rows(
        application,
        "SELECT event_id, cost, currency, tokens_used, cost_status, model FROM costs",
    )
    assert sorted(found, key=str) == sorted(
        (
            (e, row["total_cost"], row["currency"], row["total_tokens"], row["cost_status"],
             row["model"])
            for e, row in shown.items()
        ),
        key=str,
    )  # fmt: skip
    assert {e: row["total_cost"] for e, row in shown.items()} == {
        "kept": Decimal("0.006"), "moved": Decimal("0.006"), "lost": None, "waits": None,
        "grown": None,
    }  # fmt: skip
    found = rows(
        application,
        "SELECT event_id, total_cost, price_version, input_tokens, output_tokens FROM cost_records",
    )
    assert sorted(found, key=str) == sorted(
        (
            (e, row["total_cost"], row["price_version"], row["prompt_tokens"],
             row["completion_tokens"])
            for e, row in shown.items()
        ),
        key=str,
    )  # fmt: skip
    # `entries` holds every fact: per call they add up to what the API shows.
    for event, record_id in ids.items():
        entries = rows(
            application,
            "SELECT kind, cost, tokens_used, requests FROM entries "
            f"WHERE record_id = '{record_id}' ORDER BY kind <> 'call', recorded_at, id",
        )
        assert entries[0][0] == "call"
        total = sum((cost or Decimal(0) for _, cost, _, _ in entries), Decimal(0))
        row = shown.get(event)
        assert total == (0 if row is None else row["total_cost"] or 0), event
        assert sum(n for _, _, _, n in entries) == (0 if row is None else 1)
    unpriced = rows(application, "SELECT cost FROM entries WHERE kind = 'call' AND cost IS NULL")
    assert len(unpriced) == 2


def test_views_keep_the_last_digit(application: Application) -> None:
    for n, cost in enumerate(("0.0000000001", "12345678.0123456789")):
        body = {"model": "gpt-4o", "cost": cost, "tokens_used": 1, "event_id": f"e{n}"}
        accepted(send(application, "/costs", body), 201)
    for view, column in (("costs", "cost"), ("costs", "amount"), ("cost_records", "total_cost"),
                         ("entries", "cost")):  # fmt: skip
        found = sorted(cost for (cost,) in rows(application, f"SELECT {column} FROM {view}"))
        assert found == [Decimal("0.0000000001"), Decimal("12345678.0123456789")], view


def test_views_tell_the_time_of_the_call(application: Application) -> None:
    record(application, usage("e", timestamp="2025-06-15T12:34:56Z"))
    for view, column in (("costs", "created_at"), ("cost_records", "timestamp"),
                         ("entries", "created_at")):  # fmt: skip
        ((value,),) = select_all(application, f"SELECT {column} FROM {view}")
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        assert at.strftime("%F %T") == "2025-06-15 12:34:56", view
