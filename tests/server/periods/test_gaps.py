"""Months in which there was nothing have no row of their own, and are closed like the others."""

from __future__ import annotations

from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.ledger.verify import rebuild
from tests.server.periods.books import Books
from tests.server.periods.test_archived import kept
from tests.server.privacy.test_retention import Place
from tests.support.calls import accepted, count, error, proof, record, select_all, tamper, usage

__all__ = ["kept"]

OCTOBER, NOVEMBER = "2026-10", "2026-11"
FIRST, BETWEEN, AUGUST, SEPTEMBER = "1970-02", "2001-05", "2026-08", "2026-09"
AT, LONG_AGO = "2026-10-05T12:30:00Z", "1970-02-03T00:00:00Z"
IN_BETWEEN, IN_AUGUST = "2001-05-06T00:00:00Z", "2026-08-06T00:00:00Z"


def furnish(books: Books) -> None:
    record(books.app, usage("old", timestamp=LONG_AGO), usage("o", timestamp=AT))


def stored(books: Books) -> list[str]:
    return [row[0] for row in select_all(books.app, "SELECT month FROM periods ORDER BY month")]


def files_of(books: Books, *months: str) -> dict[str, dict[str, bytes]]:
    """Of empty months those are of interest that bear a date or a name."""
    return {
        month: {
            "statement": books.statement(month),
            "shown": books.app.get(f"/api/v1/periods/{month}").content,
            "xlsx": books.export(month, "xlsx"),
            "focus": books.export(month, "focus"),
        }
        for month in months
    }


def test_empty_months_cost_nothing_and_stay_as_they_are(place: Books) -> None:
    furnish(place)
    accepted(place.close(OCTOBER))
    assert stored(place) == [FIRST, OCTOBER]
    topics = select_all(place.app, "SELECT topic FROM outbox WHERE topic = 'period.closed'")
    assert len(topics) == 2
    listed = accepted(place.app.get("/api/v1/periods"))["data"]
    assert [each["period"] for each in listed] == [FIRST, OCTOBER, NOVEMBER]
    shown = accepted(place.app.get(f"/api/v1/periods/{BETWEEN}"))
    assert (shown["status"], shown["requests"], shown["totals"]) == ("closed", 0, [])
    assert shown["closed_at"] == "2026-11-03T12:00:00Z"
    accepted(place.close(BETWEEN))
    files = files_of(place, "1970-01", FIRST, BETWEEN)
    for moment in (IN_BETWEEN, "1970-01-05T00:00:00Z", LONG_AGO):
        record(place.app, usage(f"late {moment}", timestamp=moment))
    corrected = [each["corrects"] for each in place.said(NOVEMBER)["corrections"]]
    assert corrected == ["1970-01", FIRST, BETWEEN]
    place.at("2026-12-02T00:00:00")
    accepted(place.close(NOVEMBER))
    assert files_of(place, *files) == files
    place.assert_balanced("1970-01", FIRST, BETWEEN, OCTOBER, NOVEMBER)


def test_months_behind_a_gap_are_opened_one_by_one(quick: Books) -> None:
    furnish(quick)
    accepted(quick.close(OCTOBER))
    files = files_of(quick, AUGUST, SEPTEMBER)
    record(quick.app, usage("a", timestamp=IN_AUGUST), usage("late", timestamp=AT))
    assert "only 2026-10" in error(quick.reopen(SEPTEMBER), 409)["message"]
    accepted(quick.reopen(OCTOBER))
    assert files_of(quick, *files) == files, "these stay closed"
    assert [each["corrects"] for each in quick.said(OCTOBER)["corrections"]] == [AUGUST]
    record(quick.app, usage("b", timestamp=IN_AUGUST))
    accepted(quick.reopen(SEPTEMBER))
    assert files_of(quick, AUGUST) == {AUGUST: files[AUGUST]}
    assert [each["corrects"] for each in quick.said(SEPTEMBER)["corrections"]] == [AUGUST]
    accepted(quick.reopen(AUGUST))
    assert quick.said(AUGUST)["totals"][0]["requests"] == 2
    for month in (AUGUST, SEPTEMBER, OCTOBER):
        accepted(quick.close(month))
    quick.assert_balanced(FIRST, AUGUST, SEPTEMBER, OCTOBER)


def test_what_came_late_for_an_empty_month_is_proven_by_its_sums(
    kept: tuple[Books, Place],
) -> None:
    books, place = kept
    record(books.app, usage("old", timestamp=LONG_AGO))
    accepted(books.close(AUGUST))
    record(books.app, usage("late", timestamp=IN_BETWEEN))
    accepted(books.close(SEPTEMBER))
    place.run()
    assert count(books.app, "usage_records") == 1
    assert proof(books.app).ok
    tamper(
        books.app,
        "UPDATE rollup_models SET cost_whole = cost_whole + 1 WHERE bucket = 11448",
    )
    found = proof(books.app)
    assert not found.ok


def test_a_month_whose_calls_were_all_taken_back_is_not_empty(quick: Books) -> None:
    furnish(quick)
    gone = record(quick.app, usage("gone", timestamp=IN_AUGUST))["results"][0]["id"]
    assert quick.app.delete(f"/api/v1/costs/{gone}").status_code == 204
    with write(quick.app.database) as session:
        rebuild(session, quick.app.organization_id)
    accepted(quick.close(OCTOBER))
    accepted(quick.reopen(OCTOBER))
    accepted(quick.reopen(SEPTEMBER))
    assert proof(quick.app).ok
    accepted(quick.close(SEPTEMBER))
    accepted(quick.close(OCTOBER))
    quick.assert_balanced(FIRST, AUGUST, SEPTEMBER, OCTOBER)
