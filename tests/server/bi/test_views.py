"""The views as a plain SQL client sees them, logged in as the role that was made for it."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from decimal import Decimal
from typing import Any

import psycopg
import pymysql
import pytest
from sqlalchemy import make_url

from llm_cost_ops.server.bi.install import default_name, install, remove
from llm_cost_ops.server.bi.views import VIEWS, ViewsError, _Said, columns_of, statements
from llm_cost_ops.server.db.urls import DatabaseKind
from tests.server.bi.clients import PASSWORD, actor, client, operate, rows
from tests.support.application import Application
from tests.support.calls import accepted, proof, record, send, usage
from tests.support.handover_operations import CHARGES

AT = "2026-11-05T12:30:00.250000Z"


def furnish(app: Application) -> None:
    """Calls of two projects and currencies, without a price, taken back, and in sums above 2^63."""
    accepted(send(app, "/budgets", {"name": "all", "amount": "12.5"}), 201)
    record(
        app,
        usage("a", timestamp=AT, project_id="web", team_id="search", tags=["50%"]),
        usage("b", timestamp=AT, prompt_tokens=7, completion_tokens=1),
        usage("none", timestamp=AT, model="no-such-model"),
        usage("gone", timestamp=AT),
    )
    euro = {"event_id": "e", "model": "m", "provider": "openai", "currency": "EUR",
            "timestamp": AT, "usage": {"input_tokens": 5}, "requests": 3}  # fmt: skip
    accepted(send(app, "/costs", {**euro, "cost": "0.0000000001"}), 201)
    for place in range(3):
        big = {**euro, "event_id": f"big{place}", "cost": "99999999.9999999999"}
        accepted(send(app, "/costs", big), 201)
    listed = accepted(app.get("/api/v1/costs?start_date=2026-11-05&end_date=2026-11-05"))["data"]
    (gone,) = (row for row in listed if row["event_id"] == "gone")
    assert app.delete(f"/api/v1/costs/{gone['id']}").status_code == 204
    rate = {"from_currency": "USD", "to_currency": "EUR", "date": "2026-10-31",
            "rate": "0.92134567890123456789", "source": "ECB"}  # fmt: skip
    accepted(send(app, "/exchange-rates", rate), 201)
    prepaid, _, credit = CHARGES
    accepted(send(app, "/charges", {**prepaid, "granted": "0.0001000001"}), 201)
    accepted(send(app, "/charges", {**credit}), 201)
    accepted(app.request("PATCH", "/api/v1/projects/web", json={"name": "Web shop"}), 200)


def totals(connection: Any, view: str) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for currency, cost in rows(connection, f"SELECT currency, cost FROM {view}"):
        found[currency] = found.get(currency, Decimal(0)) + Decimal(cost or 0)
    return found


def test_a_sql_client_sees_the_ledgers_sums_and_nothing_else(application: Application) -> None:
    other = application.another()
    record(other, usage("foreign", timestamp=AT, project_id="web"))
    furnish(application)
    made = install(application.database, actor(application), password=PASSWORD)
    try:
        with client(application, made) as connection:
            expected = proof(application).totals
            assert totals(connection, "bi_calls") == expected
            assert totals(connection, "bi_daily_costs") == expected
            calls = rows(connection, "SELECT event_id, project_name, calls, cost FROM bi_calls")
            found = {event: rest for event, *rest in calls}
            assert sorted(found) == ["a", "b", "big0", "big1", "big2", "e", "none"]
            assert found["a"][0] == "Web shop"
            assert (found["none"][2], found["e"][1]) == (None, 3)
            ((name, budget, spent, amount),) = rows(
                connection, "SELECT name, currency, spent, amount FROM bi_budgets"
            )
            assert (name, budget) == ("all", "USD")
            assert (Decimal(spent), Decimal(amount)) == (expected["USD"], Decimal("12.5"))
            ((rate, day),) = rows(connection, "SELECT rate, day FROM bi_exchange_rates")
            assert Decimal(rate) == Decimal("0.92134567890123456789")
            assert str(day) == "2026-10-31"
            charged = rows(connection, "SELECT amount, granted, start_day, end_day FROM bi_charges")
            assert {
                Decimal(paid): (granted and Decimal(granted), str(start), str(end))
                for paid, granted, start, end in charged
            } == {
                Decimal("12.5"): (None, "2025-11-02", "None"),
                Decimal(900): (Decimal("0.0001000001"), "2025-10-01", "2026-09-30"),
            }
            ((at,),) = rows(connection, "SELECT called_at FROM bi_calls WHERE event_id = 'a'")
            assert str(at).startswith("2026-11-05 12:30:00")
            columns_are_those_of_the_page(connection, application.database.kind)
            if made.role is not None:
                refusals(application, connection)
    finally:
        remove(application.database, actor(application))
    with pytest.raises(Exception, match=r"bi_|authentication|Access denied|password|role"):
        with client(application, made) as connection:
            rows(connection, "SELECT * FROM bi_calls")


def columns_are_those_of_the_page(connection: Any, kind: DatabaseKind) -> None:
    for view in VIEWS:
        cursor = connection.cursor()
        cursor.execute(f"SELECT * FROM {view}")
        assert tuple(each[0] for each in cursor.description) == columns_of(kind, view)
        cursor.fetchall()


def test_units_add_up_exactly_where_text_does_not(sqlite_application: Application) -> None:
    app = sqlite_application
    furnish(app)
    dollars = {"model": "m", "provider": "openai", "timestamp": AT}
    for place, cost in enumerate(("99999999.0123456789", "88888888.1111111111", "0.0000000001")):
        accepted(send(app, "/costs", {**dollars, "event_id": f"d{place}", "cost": cost}), 201)
    made = install(app.database, actor(app))
    try:
        with client(app, made) as connection:
            expected = proof(app).totals
            for view in ("bi_calls", "bi_daily_costs"):
                sums = rows(connection, f"SELECT currency, SUM(cost_e10) FROM {view} GROUP BY 1")
                assert {c: Decimal(units).scaleb(-10) for c, units in sums} == expected
            ((cost, listed),) = rows(
                connection, "SELECT SUM(cost_e10), SUM(list_cost_e10) FROM bi_daily_costs "
                "WHERE currency = 'USD'",
            )  # fmt: skip
            assert (type(cost), cost) == (int, listed)
            unknown = "SELECT cost_e10 FROM bi_calls WHERE event_id = 'none'"
            assert [tuple(row) for row in rows(connection, unknown)] == [(None,)]
            ((amount, spent, reserved),) = rows(
                connection, "SELECT amount_e10, spent_e10, reserved_e10 FROM bi_budgets"
            )
            assert (amount, spent, reserved) == (125_000_000_000, cost, 0)
    finally:
        remove(app.database, actor(app))


def refusals(app: Application, connection: Any) -> None:
    """Neither other tables nor writing, whatever the session sets."""
    base = make_url(app.database.settings.url).database
    at = "public" if app.database.kind == "postgresql" else f"`{base}`"
    if app.database.kind == "postgresql":
        rows_of_none(connection, "SET default_transaction_read_only = off")
    for statement in (
        *(f"SELECT * FROM {at}.{table}" for table in ("usage_records", "api_keys", "costs")),
        "DELETE FROM bi_calls",
        "UPDATE bi_exchange_rates SET source = 'x'",
        "INSERT INTO bi_exchange_rates (from_currency) VALUES ('USD')",
        "CREATE TABLE mine (x INTEGER)",
        f"CREATE VIEW mine AS SELECT * FROM {at}.usage_records",
    ):
        with pytest.raises((psycopg.Error, pymysql.Error), match=r"denied|permission|cannot"):
            rows(connection, statement)


def rows_of_none(connection: Any, statement: str) -> None:
    connection.cursor().execute(statement)


def test_installing_again_changes_the_password_and_keeps_the_views(
    application: Application,
) -> None:
    record(application, usage("a", timestamp=AT))
    made = install(application.database, actor(application), password="the-first-password")
    try:
        assert install(application.database, actor(application), password=PASSWORD) == made
        assert made.views == tuple(VIEWS)
        with client(application, made) as connection:
            assert rows(connection, "SELECT event_id FROM bi_calls") == [("a",)]
        if made.role is not None:
            with pytest.raises((psycopg.Error, pymysql.Error), match=r"denied|authentication"):
                with client(application, made, password="the-first-password"):
                    pass
        listed = accepted(application.get("/api/v1/audit?limit=10"))["data"]
        assert [row["action"] for row in listed][:2] == ["bi.installed", "bi.installed"]
    finally:
        remove(application.database, actor(application))


def test_temporary_tables_end_with_what_the_page_says(served: Application) -> None:
    if served.database.kind == "mysql":  # where the role has no such right
        return
    base = make_url(served.database.settings.url).database
    made = install(served.database, actor(served), password=PASSWORD)
    try:
        with client(served, made) as connection:
            rows_of_none(connection, "SET default_transaction_read_only = off")
            rows_of_none(connection, "SET statement_timeout = 0")
            rows_of_none(connection, "CREATE TEMPORARY TABLE mine (x INTEGER)")
        operate(
            served,
            f'GRANT TEMPORARY ON DATABASE "{base}" TO CURRENT_USER',
            f'REVOKE TEMPORARY ON DATABASE "{base}" FROM PUBLIC',
        )
        with client(served, made) as connection:
            rows_of_none(connection, "SET default_transaction_read_only = off")
            with pytest.raises(psycopg.Error, match="permission denied"):
                rows_of_none(connection, "CREATE TEMPORARY TABLE mine (x INTEGER)")
    finally:
        operate(served, f'GRANT TEMPORARY ON DATABASE "{base}" TO PUBLIC')
        remove(served.database, actor(served))


@pytest.mark.parametrize(
    "name", ["", "bi_", "costops", "analytics", "Bi_x", "bi_a-b", 'bi_x"y', "bi_" + "a" * 29]
)
def test_names_of_roles_are_plain_and_ours(sqlite_application: Application, name: str) -> None:
    own = actor(sqlite_application)
    for change in (install, remove):
        with pytest.raises(ViewsError) as refused:
            change(sqlite_application.database, own, name=name)
        assert refused.value.field == "role"


def test_a_name_is_made_of_the_id() -> None:
    assert default_name("acme_2") == "bi_acme_2"
    assert default_name("org_01K9ZW3D1M0000000000000000") == "bi_org_01k9zw3d1m00__a6c4bb22f3"
    with pytest.raises(ViewsError):
        statements(DatabaseKind.POSTGRESQL, "x' OR '1'='1")


def test_no_two_organizations_have_a_name_in_common() -> None:
    ids = ["org-team-1", "org_team_1", "org.team.1", "ORG_team_1", "org_team_1_", "org__team_1",
           "a" * 28, "a" * 29, "a" * 30, "a" * 50, "-", ".", "_"]  # fmt: skip
    ids.append(default_name("org-team-1").removeprefix("bi_"))
    names = [default_name(each) for each in ids]
    assert len(set(names)) == len(ids)
    assert all(re.fullmatch("bi_[a-z0-9_]{1,28}", name) for name in names)


@pytest.mark.parametrize(
    ("whole", "fraction", "text"),
    [
        (0, 0, "0.0000000000"),
        (1, -1, "0.9999999999"),
        (-1, 1, "-0.9999999999"),
        (0, -1, "-0.0000000001"),
        (0, 25_000_000_000, "2.5000000000"),
        (-2, 25_000_000_000, "0.5000000000"),
        (2, -25_000_000_000, "-0.5000000000"),
        (9_000_000_000, 1, "9000000000.0000000001"),
    ],
)
def test_digits_of_both_parts_on_sqlite(whole: int, fraction: int, text: str) -> None:
    query = f"SELECT {_Said(DatabaseKind.SQLITE).parts('w', 'f')} FROM (SELECT ? AS w, ? AS f)"
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        assert connection.execute(query, (whole, fraction)).fetchone() == (text,)
