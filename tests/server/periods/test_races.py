"""A call is either in the books of its month or late, whatever is recorded while it is closed."""

from __future__ import annotations

import threading
from typing import Any

from llm_cost_ops.server.db.session import report, write
from llm_cost_ops.server.ledger.books import books_of
from llm_cost_ops.server.ledger.periods import finish, freeze, period_of
from tests.server.periods.books import Books
from tests.support.calls import accepted, count, record, usage

OCTOBER, NOVEMBER = "2026-10", "2026-11"
AT = "2026-10-05T12:30:00Z"


def months(books: Books) -> tuple[int, int]:
    """How many calls are in the books of October, and how many of October in November's."""
    own = books.said(OCTOBER)["totals"]
    late = books.said(NOVEMBER)["corrections"]
    return (
        sum(each["requests"] for each in own),
        sum(each["requests"] for part in late for each in part["totals"]),
    )


def test_calls_that_come_in_while_a_month_is_closed(place: Books) -> None:
    record(place.app, usage("first", timestamp=AT))
    stop, sent, wrong = threading.Event(), [0] * 3, list[BaseException]()

    def pour(own: int) -> None:
        try:
            while not stop.is_set():
                calls = (usage(f"{own}-{sent[own]}-{n}", timestamp=AT) for n in range(2))
                record(place.app, *calls)
                sent[own] += 1
        except BaseException as error:  # told below
            wrong.append(error)

    threads = [threading.Thread(target=pour, args=(own,)) for own in range(len(sent))]
    for thread in threads:
        thread.start()
    while min(sent) < 2 and not wrong:
        stop.wait(0.01)
    accepted(place.close(OCTOBER))
    said = place.statement(OCTOBER), place.export(OCTOBER)
    then = list(sent)
    while not wrong and min(now - was for now, was in zip(sent, then, strict=True)) < 2:
        stop.wait(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert (place.statement(OCTOBER), place.export(OCTOBER)) == said
    own, late = months(place)
    assert own + late == 1 + 2 * sum(sent) == count(place.app, "usage_records")
    assert own >= 1 + 2 * 2
    assert late >= 2 * 2
    place.assert_balanced(OCTOBER, NOVEMBER)


def test_who_records_waits_for_a_closing_under_way_and_then_knows_it(place: Books) -> None:
    record(place.app, usage("first", timestamp=AT))
    answers: list[Any] = []

    def late() -> None:
        answers.append(record(place.app, usage("late", timestamp=AT)))

    thread = threading.Thread(target=late)
    with write(place.app.database) as session:
        freeze(session, place.app.organization_id, OCTOBER, organization_name=None, actor_id=None,
               now_us=place.clock.micros(), strict=False)  # fmt: skip
        thread.start()
        thread.join(0.3)
        assert thread.is_alive(), "it waits for the closing"
    thread.join()
    assert answers[0]["results"][0]["status"] == "created"
    assert accepted(place.app.get(f"/api/v1/periods/{OCTOBER}"))["status"] == "closing"
    assert months(place) == (1, 1), "frozen, although nothing is added up yet"
    accepted(place.close(OCTOBER))
    assert months(place) == (1, 1)
    place.assert_balanced(OCTOBER, NOVEMBER)


def test_a_month_that_is_opened_while_its_books_are_stored_leaves_no_lines(place: Books) -> None:
    record(place.app, usage("first", timestamp=AT))
    organization_id = place.app.organization_id
    with write(place.app.database) as session:
        freeze(session, organization_id, OCTOBER, organization_name=None, actor_id=None,
               now_us=place.clock.micros(), strict=False)  # fmt: skip
    with report(place.app.database) as reading:
        period = period_of(reading, organization_id, OCTOBER)
        frozen = books_of(reading, organization_id, OCTOBER)
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(place.reopen(OCTOBER)))
    with write(place.app.database) as session:
        assert finish(session, organization_id, period, frozen) is not None
        thread.start()
        thread.join(0.3)
        assert thread.is_alive(), "it waits for who stores the books"
    thread.join()
    assert accepted(answers[0])["status"] == "open"
    assert count(place.app, "period_lines") == 0
    assert accepted(place.close(OCTOBER))["status"] == "closed"
