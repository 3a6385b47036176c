"""What retention, erasure and a foreign hand do to closed months."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.ledger import pseudonymise
from llm_cost_ops.server.settings import DatabaseSettings
from tests.server.periods.books import EXPORT, Books
from tests.server.privacy.test_closed_days import back
from tests.server.privacy.test_retention import Place, _place
from tests.support.calls import accepted, count, error, proof, record, tamper, usage

AUGUST, SEPTEMBER, OCTOBER = "2026-08", "2026-09", "2026-10"
IN_AUGUST, IN_OCTOBER = "2026-08-20T10:00:00Z", "2026-10-10T10:00:00Z"
DAYS = 45
"""Before noon of 2026-11-01 that is the middle of September: August goes, September stays."""


@pytest.fixture
def kept(sqlite_settings: DatabaseSettings, tmp_path: Path) -> Iterator[tuple[Books, Place]]:
    for place in _place(sqlite_settings, tmp_path / "archives"):
        yield Books(place.app, cast("FixedClock", place.app.clock)), place


def furnish(books: Books) -> None:
    who = {"user_id": "alice", "team_id": "core", "tags": ["by:alice"]}
    record(books.app, usage("a1", timestamp=IN_AUGUST, **who), usage("o1", timestamp=IN_OCTOBER))


def test_retention_waits_for_the_books_and_leaves_them(kept: tuple[Books, Place]) -> None:
    books, place = kept
    furnish(books)
    place.keep("usage", DAYS)
    accepted(books.close(AUGUST))
    record(books.app, usage("late", timestamp=IN_AUGUST))
    place.run()
    assert count(books.app, "usage_records") == 3, "September corrects August and is open"
    accepted(books.close(SEPTEMBER))
    files = {month: books.files(month) for month in (AUGUST, SEPTEMBER)}
    place.run()
    assert count(books.app, "usage_records") == 1
    for month in files:
        assert books.statement(month) == files[month]["statement json"]
        told = books.app.get(EXPORT, params={"billing_period": month})
        assert "2026-08" in error(told, 409, "CONFLICT")["message"]
    assert proof(books.app).ok
    tamper(books.app, "UPDATE period_lines SET cost_whole = cost_whole + 1 WHERE corrects IS NULL")
    assert not proof(books.app).ok
    tamper(books.app, "UPDATE period_lines SET cost_whole = cost_whole - 1 WHERE corrects IS NULL")
    (archive,) = place.archives()
    back(place, archive["id"])
    assert {month: books.files(month) for month in files} == files
    books.assert_balanced(AUGUST, SEPTEMBER, OCTOBER)


def test_a_month_that_was_archived_is_closed_by_its_sums(kept: tuple[Books, Place]) -> None:
    books, place = kept
    furnish(books)
    total = books.said(AUGUST)["totals"]
    place.keep("usage", DAYS)
    place.run()
    closed = accepted(books.close(AUGUST))
    assert (closed["status"], closed["sha256"], closed["requests"]) == ("closed", None, 1)
    said = books.said(AUGUST)
    assert said["totals"] == total
    assert [each["team_id"] for each in said["calls"]["by_team"]] == [None], "sums know no teams"
    assert proof(books.app).ok
    (archive,) = place.archives()
    back(place, archive["id"])
    record(books.app, usage("late", timestamp=IN_AUGUST))
    assert proof(books.app).ok
    tamper(books.app, 'UPDATE periods SET totals = \'{"USD":"1"}\'')
    assert not proof(books.app).ok


def test_an_erasure_is_told_and_changes_no_sum(quick: Books) -> None:
    furnish(quick)
    accepted(quick.close(OCTOBER))
    said, text = quick.said(AUGUST), quick.statement(AUGUST, "csv")
    assert "alice" in quick.export(AUGUST).decode()
    for table in pseudonymise.TABLES:
        with write(quick.app.database) as session:
            pseudonymise.rename(
                session, quick.app.organization_id, table, ["alice"], "erased-1",
                quick.clock.micros(),
            )  # fmt: skip
    shown = quick.said(AUGUST)
    assert shown == {**said, "labels_erased_at": "2026-11-03T12:00:00Z"}
    assert quick.statement(AUGUST, "csv") == text
    assert quick.said(OCTOBER)["labels_erased_at"] is None
    quick.assert_balanced(AUGUST, OCTOBER)


CHANGES = (
    "UPDATE periods SET digest = 'x' WHERE organization_id = :org",
    'UPDATE periods SET totals = \'{"USD":"5"}\' WHERE organization_id = :org',
    "UPDATE period_lines SET team_id = 'other' WHERE organization_id = :org",
    "DELETE FROM period_lines WHERE organization_id = :org",
    "DELETE FROM late_entries WHERE organization_id = :org",
)


def test_changed_books_are_found(quick: Books) -> None:
    for change in CHANGES:
        books = Books(quick.app.another(), quick.clock)
        furnish(books)
        accepted(books.close(AUGUST))
        record(books.app, usage("late", timestamp=IN_AUGUST))
        assert proof(books.app).ok
        tamper(books.app, change, org=books.app.organization_id)
        found = proof(books.app)
        assert found.first_difference is not None, change
        assert (found.ok, found.first_difference.rollup) == (False, "periods"), change
        assert found.first_difference.key["month"] == AUGUST
