"""Close, re-rate, export, over real HTTP: every file of the closed month is byte-identical, the
correction rows balance, and both months together are what `verify` proves."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq
import pytest

from llm_cost_ops.server.settings import DatabaseSettings
from tests.server.exports.test_files import READERS, of_csv, sheet_of
from tests.server.periods.books import Books
from tests.support.application import Application
from tests.support.calls import accepted, proof, record, select_all, send, set_price, usage
from tests.support.live import local, serving

MAY, JUNE = "2025-05", "2025-06"
AT, EARLY, LATE = "2025-05-10T12:00:00Z", "2025-05-01T00:00:00Z", "2025-05-31T23:59:59.999999Z"
ZONE = "Pacific/Auckland"
"""Where the last hours of a month in UTC are those of the next one."""
FORMS = (*READERS, "xlsx")
FOCUS = [(version, file) for version in ("1.2", "1.3", "1.4") for file in ("csv", "parquet")]
Sums = dict[str, Decimal]


@pytest.fixture
def served(database_settings: DatabaseSettings, tmp_path: Path) -> Iterator[Books]:
    with serving(local(database_settings), tmp_path / "server") as server:
        # What Books asks of an app, it asks of a server in another process.
        yield Books(cast("Application", server), cast("Any", None))


def furnish(books: Books) -> dict[str, str]:
    """Calls at the edges of May and in June, in two currencies, one without a price, some of an
    import; their ids."""
    set_price(books.app, "own")
    own = {"model": "own", "project_id": "web"}
    record(
        books.app,
        usage("first", timestamp=EARLY, **own),
        usage("last", timestamp=LATE, cached_tokens=100, team_id="core", **own),
        usage("gone", timestamp=AT, **own),
        usage("again", timestamp=AT, user_id="alice", tags=["k:v"], **own),
        usage("unknown", timestamp=AT, model="later"),
        usage("june", timestamp="2025-06-01T00:00:00Z", **own),
    )
    euro = {"event_id": "euro", "cost": "2.5000000001", "currency": "EUR", "timestamp": AT,
            "provider": "cohere", "model": "m", "tokens_used": 7}  # fmt: skip
    accepted(send(books.app, "/costs", euro), 201)
    body = {"format": "jsonl", "name": "a file"}
    made = accepted(send(books.app, "/imports", body), 201)["id"]
    record(books.app, usage("imported", timestamp=AT, **own), params={"import_id": made})
    found = {row[0]: row[1] for row in select_all(books.app, "SELECT event_id, id FROM"
                                                  " usage_records")}  # fmt: skip
    return {**found, "import": made}


def afterwards(books: Books, ids: dict[str, str]) -> None:
    """All that a ledger does to a month that was reported."""
    price = {"type": "per_token", "input_price_per_million": "3.3333333333",
             "output_price_per_million": "0.0000007"}  # fmt: skip
    set_price(books.app, "own", effective_date="2025-05-05", pricing_structure=price)
    set_price(books.app, "later")
    dates = {"start_date": "2025-05-01", "end_date": "2025-06-30"}
    accepted(send(books.app, "/pricing/rerate", {**dates, "dry_run": False}))
    assert books.app.request("DELETE", f"/api/v1/costs/{ids['gone']}").status_code == 204
    record(books.app, usage("came late", timestamp=LATE, model="own"),
           usage("came late unpriced", timestamp=AT, model="never"))  # fmt: skip
    corrected = usage("again", timestamp=AT, model="own", project_id="web", user_id="alice",
                      tags=["k:v"], completion_tokens=77)  # fmt: skip
    accepted(send(books.app, "/usage/batch?correct=true", {"records": [corrected]}))
    accepted(send(books.app, f"/imports/{ids['import']}/undo", {}))


def moves_to(books: Books, zone: str) -> None:
    path = f"/api/v1/organizations/{books.app.organization_id}"
    accepted(books.app.request("PATCH", path, json={"time_zone": zone}))


def files_of(books: Books, month: str, *zones: str) -> dict[str, bytes]:
    """Every format, in the organization's zone and in UTC, or in these zones."""
    found = {f"statement {form}": books.statement(month, form) for form in ("json", "csv")}
    for zone in zones or ("", "UTC"):
        more = {"timezone": zone} if zone else {}
        for form in FORMS:
            found[f"{form} {zone}"] = books.export(month, form, **more)
        for version, file in FOCUS:
            options = {"focus_version": version, "focus_file": file, **more}
            found[f"focus {version} {file} {zone}"] = books.export(month, "focus", **options)
    return found


def sums_of(name: str, content: bytes) -> Sums:
    """What a file of calls or charges comes to, by currency."""
    form, *more = name.split(" ")
    sums: Sums = defaultdict(Decimal)
    if form == "focus":
        for row in charges(more[1], content):
            sums[row["BillingCurrency"]] += Decimal(row["EffectiveCost"])
    else:
        rows = [dict(row) for row in sheet_of(content)] if form == "xlsx" else None
        for row in READERS[form](content) if rows is None else rows:
            sums[row["currency"]] += Decimal(row.get("total_cost") or 0)
    return {currency: total for currency, total in sums.items() if total}


def charges(file: str, content: bytes) -> list[dict[str, Any]]:
    return of_csv(content) if file == "csv" else pq.read_table(io.BytesIO(content)).to_pylist()


def test_close_rerate_export(served: Books) -> None:
    moves_to(served, ZONE)
    ids = furnish(served)
    accepted(served.close(MAY))
    before = files_of(served, MAY)
    was = served.ledger()
    afterwards(served, ids)
    assert files_of(served, MAY) == before
    moves_to(served, "America/New_York")
    for name, content in files_of(served, MAY, "UTC").items():
        assert content == before[name], name
    ledger, corrections = served.ledger(), files_of(served, JUNE, "", "UTC")
    assert ledger != was
    for name, content in before.items():
        if not name.startswith("statement"):
            assert added(sums_of(name, content), sums_of(name, corrections[name])) == ledger, name
    served.assert_balanced(MAY, JUNE)
    for version, file in FOCUS:
        rows = charges(file, corrections[f"focus {version} {file} "])
        assert_corrections_balance(rows, was, ledger)
    assert proof(served.app).ok


def assert_corrections_balance(rows: list[dict[str, Any]], was: Sums, ledger: Sums) -> None:
    """What they take back and what they put there instead is what the ledger has changed by; those
    of calls in June are none."""
    sums: Sums = defaultdict(Decimal)
    for row in rows:
        if row["ChargeClass"] == "Correction":
            assert str(row["ChargePeriodStart"])[:7] == MAY
            assert str(row["BillingPeriodStart"])[:10] == f"{JUNE}-01"
            sums[row["BillingCurrency"]] += Decimal(row["EffectiveCost"])
    assert sums
    ours = Decimal(sum(Decimal(row["EffectiveCost"]) for row in rows
                       if row["ChargeClass"] != "Correction"))  # fmt: skip
    june_before = Decimal("0.006")  # 1,000 at 2 and 500 at 8 for a million
    change = added(ledger, {name: -total for name, total in was.items()})
    assert added(sums, {"USD": ours - june_before}) == change


def added(one: Sums, other: Sums) -> Sums:
    found = {name: one.get(name, Decimal(0)) + other.get(name, Decimal(0))
             for name in {*one, *other}}  # fmt: skip
    return {name: total for name, total in found.items() if total}
