"""No day goes that the books still need, and no month is opened without the days it corrects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger import purge
from llm_cost_ops.server.periods import routes
from llm_cost_ops.server.settings import DatabaseSettings
from tests.server.periods.books import Books
from tests.server.privacy.test_closed_days import back
from tests.server.privacy.test_retention import Place, _place
from tests.support.calls import accepted, count, error, proof, record, select_all, tamper, usage

AUGUST, SEPTEMBER, OCTOBER = "2026-08", "2026-09", "2026-10"
IN_AUGUST, IN_SEPTEMBER = "2026-08-20T10:00:00Z", "2026-09-28T00:00:00Z"
DAYS = 45
"""Before noon of 2026-11-01 that is the middle of September: August goes, September stays."""


@pytest.fixture
def kept(sqlite_settings: DatabaseSettings, tmp_path: Path) -> Iterator[tuple[Books, Place]]:
    for place in _place(sqlite_settings, tmp_path / "archives"):
        place.keep("usage", DAYS)
        books = Books(place.app, cast("FixedClock", place.app.clock))
        record(books.app, usage("a", timestamp=IN_AUGUST), usage("s", timestamp=IN_SEPTEMBER))
        yield books, place


def test_a_month_whose_corrections_are_archived_is_not_opened(kept: tuple[Books, Place]) -> None:
    books, place = kept
    accepted(books.close(AUGUST))
    record(books.app, usage("late", timestamp=IN_AUGUST))
    accepted(books.close(SEPTEMBER))
    said = books.said(SEPTEMBER)
    place.run()
    assert count(books.app, "usage_records") == 1
    refused = error(books.reopen(SEPTEMBER), 409, "CONFLICT")
    assert "put its archives back" in refused["message"]
    assert books.said(SEPTEMBER) == said, "nothing was deleted"
    (archive,) = place.archives()
    back(place, archive["id"])
    accepted(books.reopen(SEPTEMBER))
    accepted(books.close(SEPTEMBER))
    assert books.said(SEPTEMBER)["corrections"] == said["corrections"]
    books.assert_balanced(AUGUST, SEPTEMBER, OCTOBER)


def test_a_month_that_is_archived_itself_is_opened(kept: tuple[Books, Place]) -> None:
    books, place = kept
    accepted(books.close(AUGUST))
    said = books.said(AUGUST)["totals"]
    place.run()
    assert count(books.app, "usage_records") == 1
    accepted(books.reopen(AUGUST))
    accepted(books.close(AUGUST))
    assert books.said(AUGUST)["totals"] == said, "by its sums"
    assert proof(books.app).ok


def test_a_day_that_is_needed_since_retention_looked_stays(
    kept: tuple[Books, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    books, place = kept
    looked = purge.days_to_close

    def then_closed(session: ReadSession, organization_id: str, before_us: int) -> list[int]:
        found = looked(session, organization_id, before_us)
        if not closed:
            closed.append(accepted(books.close(AUGUST)))
            record(books.app, usage("late", timestamp=IN_AUGUST))
        return found

    closed: list[object] = []
    monkeypatch.setattr(purge, "days_to_close", then_closed)
    place.run()
    assert count(books.app, "usage_records") == 3, "September corrects August and is open"
    assert place.archives() == []
    books.assert_balanced(AUGUST, SEPTEMBER, OCTOBER)
    accepted(books.close(SEPTEMBER))
    place.run()
    assert count(books.app, "usage_records") == 1


def test_a_month_that_is_being_closed_keeps_its_calls(
    kept: tuple[Books, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    books, place = kept
    with monkeypatch.context() as stopped:
        stopped.setattr(routes, "finish_all", lambda *_: None)
        assert accepted(books.close(AUGUST))["status"] == "closing"
    record(books.app, usage("late", timestamp=IN_AUGUST))
    place.run()
    assert count(books.app, "usage_records") == 3
    accepted(books.close(AUGUST))
    assert books.said(AUGUST)["totals"][0]["requests"] == 1
    books.assert_balanced(AUGUST, SEPTEMBER)
    accepted(books.close(SEPTEMBER))
    place.run()
    assert count(books.app, "usage_records") == 1
    assert proof(books.app).ok


def test_a_month_closed_by_its_sums_is_proven_when_its_calls_are_back(
    kept: tuple[Books, Place],
) -> None:
    books, place = kept
    place.run()
    assert accepted(books.close(AUGUST))["sha256"] is None
    (archive,) = place.archives()
    back(place, archive["id"])
    assert proof(books.app).ok
    # What closing by the sums of days with late calls in them would leave.
    tamper(books.app, "INSERT INTO late_entries (entry_id, organization_id, record_id, month,"
           " recognized) SELECT id, organization_id, id, '2026-08', '2026-09' FROM usage_records"
           " WHERE event_id = 'a'")  # fmt: skip
    found = proof(books.app)
    assert not found.ok
    assert found.first_difference is not None
    assert found.first_difference.key["month"] == AUGUST


def test_a_month_that_is_archived_in_part_is_proven(kept: tuple[Books, Place]) -> None:
    books, place = kept
    record(books.app, usage("early", timestamp="2026-08-02T10:00:00Z"))
    accepted(books.close(AUGUST))
    place.run()
    assert count(books.app, "usage_records") == 1
    for archive in place.archives():
        back(place, archive["id"])
        break
    assert count(books.app, "usage_records") == 2, "one of two days is back"
    found = select_all(books.app, "SELECT timestamp FROM usage_records WHERE event_id <> 's'")
    day = from_micros(int(found[0][0])).isoformat()
    record(books.app, usage("late", timestamp=day), usage("gone", timestamp=day))
    assert proof(books.app).ok
    gone = select_all(books.app, "SELECT id FROM usage_records WHERE event_id = 'gone'")[0][0]
    assert books.app.delete(f"/api/v1/costs/{gone}").status_code == 204
    assert proof(books.app).ok
    tamper(books.app, "DELETE FROM late_entries WHERE entry_id <> record_id")
    assert not proof(books.app).ok
