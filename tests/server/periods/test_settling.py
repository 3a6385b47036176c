"""What closing or opening a month leaves to a worker, in pages, beside all that goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from llm_cost_ops.core.months import window_of
from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.db.session import ReadSession, read, write
from llm_cost_ops.server.ledger import reopening
from llm_cost_ops.server.ledger.books import Frozen, GoOn, books_of
from llm_cost_ops.server.ledger.periods import freeze, needed_since
from llm_cost_ops.server.periods import closing, routes
from llm_cost_ops.server.queue.runner import Pace, Runner
from tests.server.periods.books import Books
from tests.server.periods.test_close import furnish, rerate
from tests.support.calls import accepted, count, error, record, select_all, usage

SEPTEMBER, OCTOBER, NOVEMBER = "2026-09", "2026-10", "2026-11"
AT, IN_SEPTEMBER = "2026-10-05T12:30:00Z", "2026-09-02T00:00:00Z"


def later(books: Books, seconds: float = closing.AT_ONCE_SECONDS) -> None:
    books.clock.current += timedelta(seconds=seconds)
    books.clock.elapsed_s += seconds


def worker(books: Books, database: Database | None = None) -> Runner:
    opened = database or books.app.database
    return Runner(
        opened,
        closing.work(opened, books.clock),
        books.clock,
        pace=Pace(lease_s=30),
        spawn=lambda run: run(),
        sleep=lambda seconds: later(books, seconds),
        jitter=lambda: 1.0,
    )


def work(books: Books) -> None:
    """Do all that is due now."""
    runner = worker(books)
    while runner.round() == 0:
        pass


def status(books: Books, month: str) -> str:
    return str(accepted(books.app.get(f"/api/v1/periods/{month}"))["status"])


def told(books: Books, topic: str) -> int:
    return count(books.app, "outbox", "topic = :topic", topic=topic)


def hooked(monkeypatch: pytest.MonkeyPatch, hook: Callable[[str], object]) -> None:
    """Call `hook` with the month before its books are added up."""

    def first(session: ReadSession, organization: str, month: str, go_on: GoOn) -> Frozen:
        hook(month)
        return books_of(session, organization, month, go_on)

    monkeypatch.setattr(closing, "books_of", first)


def test_a_worker_adds_up_what_takes_longer_than_a_request(
    place: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(place)
    monkeypatch.setattr(closing, "AT_ONCE_SECONDS", 0.0)
    answer = place.close(OCTOBER)
    assert accepted(answer, 202)["status"] == "closing"
    assert int(answer.headers["Retry-After"]) > 0
    assert accepted(place.close(OCTOBER), 202)["status"] == "closing"
    assert count(place.app, "jobs", "kind = 'periods.settle'") == 1, "it waits already"
    asked: list[str] = []

    def meanwhile(month: str) -> None:
        asked.append(month)
        if len(asked) == 1:  # this process, and another one's request and worker
            assert accepted(place.close(OCTOBER), 202)["status"] == "closing"
            assert worker(place).round() > 0, "there is one at a time"

    hooked(monkeypatch, meanwhile)
    work(place)
    assert asked == [SEPTEMBER, OCTOBER]
    shown = accepted(place.app.get(f"/api/v1/periods/{OCTOBER}"))
    assert (shown["status"], shown["requests"]) == ("closed", 5)
    assert shown["warnings"] == ["1 call has no price: that cost is in no sum of these books."]
    assert accepted(place.close(OCTOBER), 200) == shown
    assert told(place, "period.closed") == 2
    place.assert_balanced(SEPTEMBER, OCTOBER, NOVEMBER)


def test_a_client_can_wait_as_long_as_it_takes(
    quick: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(quick)
    monkeypatch.setattr(closing, "AT_ONCE_SECONDS", 0.0)
    assert accepted(quick.close(OCTOBER, wait=True), 200)["status"] == "closed"
    assert count(quick.app, "jobs", "kind = 'periods.settle'") == 0
    error(quick.close(OCTOBER, wait="yes"), 422)


def test_a_worker_goes_on_where_a_request_was_stopped(
    quick: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(quick)

    def die(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as stopped:
        stopped.setattr(routes, "finish_all", die)
        assert quick.close(OCTOBER).status_code == 500
    work(quick)
    assert status(quick, OCTOBER) == "closing", "the request has its seconds"
    later(quick)
    work(quick)
    assert (status(quick, SEPTEMBER), status(quick, OCTOBER)) == ("closed", "closed")


def test_two_processes_that_add_up_the_same_month_store_it_once(
    place: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(place.app, usage("first", timestamp=AT))
    organization_id, now_us = place.app.organization_id, place.clock.micros()
    with write(place.app.database) as session:
        freeze(session, organization_id, OCTOBER, organization_name=None, actor_id=None,
               now_us=now_us, strict=False)  # fmt: skip
    both = threading.Barrier(2, timeout=20)
    hooked(monkeypatch, lambda _month: both.wait())
    other = open_database(place.app.database.settings)
    wrong: list[BaseException] = []

    def add_up(database: Database) -> None:
        try:
            turn = closing.of_request(database, place.clock, waits=True)
            closing.finish_all(database, organization_id, now_us, turn)
        except BaseException as failed:  # told below
            wrong.append(failed)

    threads = [
        threading.Thread(target=add_up, args=(each,)) for each in (place.app.database, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.dispose()
    assert wrong == []
    assert status(place, OCTOBER) == "closed"
    assert (told(place, "period.closed"), count(place.app, "period_lines")) == (1, 1)
    place.assert_balanced(OCTOBER, NOVEMBER)


def stored(books: Books) -> list[tuple[str, str]]:
    found = select_all(books.app, "SELECT month, recognized FROM late_entries ORDER BY 1, 2")
    return [(row[0], row[1]) for row in found]


def with_much_late(books: Books, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """September and October closed, much recorded for both since, and pages of two."""
    ids = furnish(books)
    accepted(books.close(OCTOBER))
    came = [usage(f"late{n}", timestamp=(AT, IN_SEPTEMBER)[n % 2], model="own") for n in range(7)]
    record(books.app, *came)
    rerate(books, "4.5")
    later(books)  # the job of the closing is due, and finds nothing
    work(books)
    monkeypatch.setattr(reopening, "PAGE", 2)
    monkeypatch.setattr(closing, "AT_ONCE_SECONDS", 0.0)
    return ids


def test_all_goes_on_while_very_much_moves_back(
    place: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = with_much_late(place, monkeypatch)
    files, moved = place.files(SEPTEMBER), len(stored(place))
    shown = accepted(place.reopen(OCTOBER), 202)
    assert (shown["status"], shown["totals"], shown["sha256"]) == ("reopening", None, None)
    said = place.said(OCTOBER)
    assert (said["status"], said["sha256"]) == ("reopening", None), "it is of other entries"
    assert len(stored(place)) in (moved - 2, moved - 1, moved), "one page"
    place.assert_balanced(SEPTEMBER, OCTOBER, NOVEMBER)
    assert accepted(place.reopen(OCTOBER), 202)["status"] == "reopening"
    assert "only 2026-10" in error(place.reopen(SEPTEMBER), 409)["message"]
    assert "opened again" in error(place.close(OCTOBER), 409, "CONFLICT")["message"]
    place.at("2026-12-02T00:00:00")
    assert "opened again" in error(place.close(NOVEMBER), 409, "CONFLICT")["message"]
    record(place.app, usage("meanwhile", timestamp=AT, model="own"))
    rerate(place, "5.5")
    assert place.app.delete(f"/api/v1/costs/{ids[0]}").status_code == 204
    with read(place.app.database) as session:
        needed = needed_since(session, place.app.organization_id)
    assert needed == window_of(SEPTEMBER).start_us, "retention leaves what is corrected"
    place.assert_balanced(SEPTEMBER, OCTOBER, NOVEMBER)
    work(place)
    assert status(place, OCTOBER) == "open"
    assert set(stored(place)) == {(SEPTEMBER, OCTOBER)}
    assert place.said(NOVEMBER)["corrections"] == []
    assert place.files(SEPTEMBER) == files
    place.assert_balanced(SEPTEMBER, OCTOBER, NOVEMBER)


def test_a_worker_that_dies_between_two_pages_is_followed(
    place: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_much_late(place, monkeypatch)
    accepted(place.reopen(OCTOBER), 202)
    pages: list[object] = []
    move = reopening.move_page

    def dying(session: Any, organization_id: str) -> Any:
        pages.append(None)
        if len(pages) == 3:
            raise MemoryError
        return move(session, organization_id)

    monkeypatch.setattr(closing, "move_page", dying)
    work(place)
    assert len(pages) == 3
    assert status(place, OCTOBER) == "reopening"
    place.assert_balanced(SEPTEMBER, OCTOBER, NOVEMBER)
    later(place, 600)
    work(place)
    assert len(pages) > 6
    assert status(place, OCTOBER) == "open"
    assert told(place, "period.reopened") == 1
    assert count(place.app, "audit_log", "action = 'periods.reopen'") == 1
    accepted(place.close(OCTOBER, wait=True), 200)
    accepted(place.reopen(OCTOBER, "again"), 200)
    accepted(place.reopen(SEPTEMBER), 202)
    later(place, 600)
    work(place)
    assert stored(place) == [], "without a closed month nothing is late"
    place.assert_balanced(SEPTEMBER, OCTOBER, NOVEMBER)
