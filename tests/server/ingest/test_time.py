"""When a call happened: instants, bare dates, the future, and the price of that day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from tests.support.application import Application, running
from tests.support.calls import (
    assert_proven,
    body_of,
    count,
    error,
    put,
    record,
    send,
    set_price,
    usage,
)

NOW = datetime(2025, 6, 20, 8, tzinfo=UTC)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def application(database_settings: DatabaseSettings, clock: FixedClock) -> Iterator[Application]:
    with running(Settings(database=database_settings), clock=clock) as made:
        yield made


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("2025-06-15", "2025-06-15T00:00:00Z"),
        ("2025-06-15T10:00:00Z", "2025-06-15T10:00:00Z"),
        ("2025-06-15t10:00:00z", "2025-06-15T10:00:00Z"),
        ("2025-06-15T10:00", "2025-06-15T10:00:00Z"),
        ("2025-06-15T10:00:00+02:00", "2025-06-15T08:00:00Z"),
        ("2025-06-15T10:00:00.123456789Z", "2025-06-15T10:00:00.123457Z"),
        ("2025-06-15T10:00:00.5", "2025-06-15T10:00:00.500000Z"),
        ("1970-01-01", "1970-01-01T00:00:00Z"),
        (None, "2025-06-20T08:00:00Z"),
    ],
)
def test_instants(application: Application, text: str | None, stored: str) -> None:
    assert body_of(send(application, "/usage", usage(timestamp=text)))["timestamp"] == stored
    assert_proven(application)


@pytest.mark.parametrize(
    "text",
    [
        "1969-12-31T23:59:59Z",
        "2101-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2025-02-30",
        "2025-06-15T24:00:00Z",
        "2025-06-15T10:00:00+99:00",
        "15/06/2025",
        "",
        "\u0662\u0660\u0662\u0665-06-15",
        1750000000,
    ],
)
def test_other_times_are_refused(application: Application, text: object) -> None:
    if application.database.kind is not DatabaseKind.SQLITE:
        pytest.skip("no database is asked")
    cost = {"model": "m", "cost": 1, "timestamp": text}
    for path, body in (("/usage", usage(timestamp=text)), ("/costs", cost)):
        assert list(error(send(application, path, body), 422)["field_errors"]) == ["timestamp"]
    assert count(application, "usage_records") == 0


def test_both_doors_of_decoding_round_alike(application: Application) -> None:
    fine = usage("e", timestamp="2025-06-15T10:00:00.9999999Z")
    spelled = {"modelId": fine.pop("model"), **fine}
    first = record(application, {**fine, "model": "gpt-4o"})["results"][0]
    again = record(application, spelled)["results"][0]
    assert (again["status"], again["id"]) == ("duplicate", first["id"])


def test_a_day_ahead_is_the_most(application: Application) -> None:
    soon = (NOW + timedelta(hours=24)).isoformat()
    later = (NOW + timedelta(hours=24, microseconds=1)).isoformat()
    assert send(application, "/usage", usage(timestamp=soon)).status_code == 201
    refused = error(send(application, "/usage", usage(timestamp=later)), 422)
    assert refused["field_errors"] == {"timestamp": "must not be more than 24 hours in the future"}


def test_each_call_has_the_price_of_its_own_time(application: Application) -> None:
    """A price that changes between the calls of one batch (fault row 31)."""
    price = set_price(application)
    body = {"effective_date": "2025-06-10", "input_price_per_million": 20}
    changed = body_of(put(application, f"/pricing/{price['id']}", body))
    times = ("2025-06-09T23:59:59.999999Z", "2025-06-10", "2025-06-09", "2025-06-11")
    answer = record(application, *(usage(timestamp=at) for at in times))
    costs = [result["total_cost"] for result in answer["results"]]
    assert costs == [Decimal("0.006"), Decimal("0.024"), Decimal("0.006"), Decimal("0.024")]
    versions = [
        body_of(application.get(f"/api/v1/costs/{r['id']}"))["price_version"]
        for r in answer["results"]
    ]
    old, new = f"{price['id']}@1", f"{changed['id']}@2"
    assert versions == [old, new, old, new]
    assert_proven(application, "0.06")


def test_a_clock_that_goes_back_mixes_nothing_up(
    application: Application, clock: FixedClock
) -> None:
    """Fault row 9: ids stay unique, corrections keep their order, the ledger its proof."""
    first = record(application, usage("a", model="late"))["results"][0]
    clock.current = NOW + timedelta(hours=25)
    price = set_price(application, "late")
    clock.current = NOW - timedelta(hours=1)
    accepted = put(application, f"/pricing/{price['id']}", {"input_price_per_million": 4})
    assert accepted.status_code == 200
    window = {"start_date": "2025-06-01", "end_date": "2025-06-30", "dry_run": False}
    assert body_of(send(application, "/pricing/rerate", window))["records"] == 1
    row = body_of(application.get(f"/api/v1/costs/{first['id']}"))
    assert (row["cost"], row["price_version"]) == (Decimal("0.008"), f"{price['id']}@2")
    record(application, usage("b"), usage("c", timestamp="2025-06-20T08:00:00Z"))
    assert application.delete(f"/api/v1/costs/{first['id']}").status_code == 204
    assert assert_proven(application).records == 2
