"""`verify` finds what does not add up and names the first of it; `rebuild` makes it right."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import httpx
import pytest

from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.db.session import ReadSession, snapshot, write_retrying
from llm_cost_ops.server.ledger import verify
from llm_cost_ops.server.ledger.projection import day_deltas
from tests.support.application import Application
from tests.support.calls import (
    accepted,
    assert_proven,
    body_of,
    proof,
    put,
    record,
    send,
    set_price,
    tamper,
    usage,
)
from tests.support.database import KINDS

JUNE = {"start_date": "2025-06-01", "end_date": "2025-06-30", "dry_run": False}
HOUR = 486_108  # 2025-06-15 12:00 UTC


def fill(app: Application) -> list[str]:
    """Two models, two days, one correction of each kind, an unpriced call and a second currency."""
    price = set_price(app)
    calls = [
        usage(f"e{n}", prompt_tokens=1_000 * n, project_id=f"p{n % 2}",
              timestamp=f"2025-06-{14 + n % 2}T12:00:00Z", user_id="u")
        for n in range(1, 7)
    ]  # fmt: skip
    made = record(app, *calls, usage("x", model="own-model", provider="custom"))["results"]
    ids = [result["id"] for result in made]
    cost = {"model": "gpt-4o", "cost": "7.5", "tokens_used": 1, "currency": "EUR",
            "timestamp": "2025-06-15T12:00:00Z"}  # fmt: skip
    accepted(send(app, "/costs", cost), 201)
    accepted(put(app, f"/pricing/{price['id']}", {"input_price_per_million": 4}), 200)
    accepted(send(app, "/pricing/rerate", {**JUNE, "end_date": "2025-06-14"}))
    accepted(send(app, "/usage/batch?correct=true", [usage("e1", prompt_tokens=5_000)]), 200)
    assert app.delete(f"/api/v1/costs/{ids[1]}").status_code == 204
    return ids


FAULTS: dict[str, tuple[str, str]] = {
    "a tampered cost": (
        "UPDATE usage_records SET cost_e10 = cost_e10 + 1 WHERE event_id = 'e3'", "rollup_hourly",
    ),
    "a tampered count": (
        "UPDATE usage_records SET output_tokens = output_tokens + 1 WHERE event_id = 'e3'",
        "rollup_hourly",
    ),
    "a tampered correction": (
        "UPDATE usage_corrections SET list_cost_e10 = list_cost_e10 + 1 WHERE kind = 'recount'",
        "rollup_hourly",
    ),
    "a deleted call": ("DELETE FROM usage_records WHERE event_id = 'e3'", "rollup_hourly"),
    "a deleted correction": (
        "DELETE FROM usage_corrections WHERE kind = 'void'", "rollup_hourly",
    ),
    "a moved call": (
        "UPDATE usage_records SET timestamp = timestamp + 86400000000 WHERE event_id = 'e3'",
        "rollup_hourly",
    ),
    "another currency": (
        "UPDATE usage_records SET currency = 'GBP' WHERE event_id = 'e3'", "rollup_hourly",
    ),
    "another project": (
        "UPDATE usage_records SET project_id = 'q' WHERE event_id = 'e3'", "rollup_daily",
    ),
    "an edited hour": (
        "UPDATE rollup_hourly SET cost_fraction = cost_fraction + 1 WHERE currency = 'USD' "
        "AND cost_whole = 0", "rollup_hourly",
    ),
    "an edited day": (
        "UPDATE rollup_daily SET requests = requests + 1 WHERE currency = 'EUR'", "rollup_daily",
    ),
    "an edited extreme": (
        "UPDATE rollup_daily SET max_cost_e10 = 1 WHERE currency = 'EUR'", "rollup_daily",
    ),
    "a lost hour": ("DELETE FROM rollup_hourly WHERE currency = 'EUR'", "rollup_hourly"),
    "a lost day": ("DELETE FROM rollup_daily WHERE currency = 'EUR'", "rollup_daily"),
    "an edited day of a model": (
        "UPDATE rollup_models SET total_tokens = total_tokens - 1 WHERE currency = 'USD'",
        "rollup_models",
    ),
    "a lost day of a model": ("DELETE FROM rollup_models", "rollup_models"),
}  # fmt: skip


@pytest.fixture
def filled(application: Application) -> Application:
    fill(application)
    assert_filled(application)
    return application


def assert_filled(app: Application) -> None:
    found = assert_proven(app)
    assert found.records == 7
    assert found.totals == {"EUR": Decimal("7.5"), "USD": Decimal("0.096")}
    assert found.total_cost is None


def rebuild(app: Application, organization_id: str | None = None) -> int:
    return write_retrying(app.database, lambda s: verify.rebuild(s, organization_id))


def test_every_fault_is_found_and_the_first_difference_named(filled: Application) -> None:
    """One database for all faults: each is undone by a rebuild or put back by its reverse."""
    for fault, (statement, rollup) in FAULTS.items():
        if "rollup" not in statement:
            continue
        tamper(filled, statement)
        found = proof(filled)
        assert not found.ok, fault
        difference = found.first_difference
        assert difference is not None
        assert difference.rollup == rollup, fault
        assert difference.key["organization_id"] == filled.organization_id
        assert difference.ledger != difference.stored
        # Totals are the ledger's, whatever the rollups say.
        assert found.totals["EUR"] == Decimal("7.5")
        assert rebuild(filled, filled.organization_id) > 0
        assert_filled(filled)


@pytest.mark.parametrize("fault", [f for f, (s, _) in FAULTS.items() if "rollup" not in s])
def test_a_changed_ledger_is_found(sqlite_application: Application, fault: str) -> None:
    fill(sqlite_application)
    assert_filled(sqlite_application)
    statement, rollup = FAULTS[fault]
    tamper(sqlite_application, statement)
    difference = proof(sqlite_application).first_difference
    assert difference is not None
    assert (difference.rollup, difference.key["model_name"]) == (rollup, "gpt-4o")
    answer = body_of(sqlite_application.get("/api/v1/ledger/verify"))
    assert answer["ok"] is False
    assert answer["first_difference"] == {
        "rollup": difference.rollup, "key": difference.key, "ledger": difference.ledger,
        "stored": difference.stored,
    }  # fmt: skip


def test_an_inserted_call_is_found(filled: Application) -> None:
    columns = "organization_id, source, payload_digest, timestamp, received_at, provider, " \
        "model_name, service_tier, processing, requests, input_tokens, output_tokens, " \
        "total_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, cost_e10, currency, " \
        "cost_status"  # fmt: skip
    tamper(
        filled,
        f"INSERT INTO usage_records (id, event_id, {columns}) SELECT 'usg_forged', 'forged', "
        f"{columns} FROM usage_records WHERE event_id = 'e3'",
    )
    found = proof(filled)
    difference = found.first_difference
    assert difference is not None
    assert (difference.rollup, difference.key) == ("rollup_hourly", {
        "organization_id": filled.organization_id, "bucket": HOUR, "provider": "openai",
        "model_name": "gpt-4o", "currency": "USD",
    })  # fmt: skip
    assert difference.ledger is not None
    assert difference.stored is not None
    assert (difference.ledger["requests"], difference.stored["requests"]) == (3 + 1, 3)
    assert found.records == 8


def test_a_rollup_row_without_calls_is_found_and_removed(filled: Application) -> None:
    for table in ("rollup_hourly", "rollup_daily", "rollup_models"):
        tamper(filled, f"UPDATE {table} SET bucket = bucket + 24 WHERE currency = 'EUR'")
    found = proof(filled).first_difference
    assert found is not None
    assert (found.rollup, found.stored) == ("rollup_hourly", None)
    assert rebuild(filled) > 0
    assert_filled(filled)
    foreign = {"org": "org-nobody"}
    tamper(filled, "UPDATE rollup_daily SET organization_id = :org WHERE currency = 'EUR'",
           **foreign)  # fmt: skip
    with snapshot(filled.database) as session:
        everyone = verify.verify(session)
    assert not everyone.ok
    rebuild(filled)
    with snapshot(filled.database) as session:
        assert verify.verify(session).ok
    assert_filled(filled)


def test_an_older_ledger_gets_its_sums_by_model(filled: Application) -> None:
    settings = filled.database.settings
    Migrations().downgrade(settings, "0001")
    Migrations().upgrade(settings)
    assert_filled(filled)


def test_an_empty_ledger_is_proven(sqlite_application: Application) -> None:
    answer = body_of(sqlite_application.get("/api/v1/ledger/verify"))
    assert answer == {
        "ok": True, "records": 0, "archived": 0, "total_cost": 0, "totals": {},
        "first_difference": None,
    }  # fmt: skip
    assert rebuild(sqlite_application) == 0


def test_each_organization_is_proven_by_itself(sqlite_application: Application) -> None:
    other = sqlite_application.another()
    for app in (sqlite_application, other):
        set_price(app)
        record(app, usage("e"))
    tamper(other, "UPDATE rollup_hourly SET requests = 5 WHERE organization_id = :org",
           org=other.organization_id)  # fmt: skip
    assert body_of(sqlite_application.get("/api/v1/ledger/verify"))["ok"]
    assert not body_of(other.get("/api/v1/ledger/verify"))["ok"]
    rebuild(sqlite_application, sqlite_application.organization_id)
    assert not proof(other).ok
    assert rebuild(other, other.organization_id) == 3
    assert_proven(other, "0.006")


@pytest.mark.parametrize("database_kind", KINDS[1:])
def test_a_call_recorded_within_a_rebuild_is_in_it(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rollup rows are there when those of the rebuild are written, which then begins anew."""
    record(application, usage("a"))
    attempts: list[int] = []

    def meanwhile(session: ReadSession, organization_id: str, day: int) -> Any:
        attempts.append(day)
        if len(attempts) == 1:
            with ThreadPoolExecutor(1) as pool:
                late = usage("b", model="gpt-4o-mini")
                pool.submit(record, application, late).result(timeout=20)
        return day_deltas(session, organization_id, day)

    monkeypatch.setattr(verify, "day_deltas", meanwhile)
    assert rebuild(application, application.organization_id) == 6
    monkeypatch.undo()
    assert len(attempts) == 2
    assert assert_proven(application).records == 2


def patiently(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """The first answer that is not "try again", which is given when nothing was written."""
    while (answer := ask()).status_code == 503:
        pass
    return answer


def test_the_ledger_is_proven_and_rebuilt_while_others_write(application: Application) -> None:
    price = set_price(application)
    done = threading.Event()

    def add(part: int) -> None:
        for n in range(10):
            hour = f"2025-06-{1 + n % 3:02}T{part:02}:00:00Z"
            calls = [usage(f"e{part}-{n}-{k}", timestamp=hour) for k in range(3)]
            answer = patiently(lambda: send(application, "/usage/batch", calls))  # noqa: B023
            first = accepted(answer, 200)["results"][0]["id"]
            if n % 2:
                path = f"/api/v1/costs/{first}"
                answer = patiently(lambda: application.delete(path))  # noqa: B023
                assert answer.status_code == 204

    def rerate(n: int) -> None:
        change = {"input_price_per_million": 2 + n % 2}
        accepted(patiently(lambda: put(application, f"/pricing/{price['id']}", change)), 200)
        accepted(patiently(lambda: send(application, "/pricing/rerate", JUNE)), 200)

    def prove(_: int) -> None:
        assert_proven(application)

    def make_anew(_: int) -> None:
        write_retrying(application.database, verify.rebuild, attempts=50)

    def repeat(work: Callable[[int], None]) -> None:
        for n in itertools.count():
            work(n)
            if done.wait(0.2):
                return

    with ThreadPoolExecutor(5) as pool:
        adding = [pool.submit(add, part) for part in (1, 2)]
        others = [pool.submit(repeat, work) for work in (rerate, prove, make_anew)]
        try:
            for one in adding:
                one.result()
        finally:
            done.set()
        for other in others:
            other.result()
    assert assert_proven(application).records == 50
    listed = body_of(application.get("/api/v1/costs?limit=1000"))["data"]
    assert len(listed) == 50
    assert_proven(application, sum(row["total_cost"] for row in listed))
