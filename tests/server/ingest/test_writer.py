"""The writer: one commit for many requests, none of which pays for another's fault."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

import pytest
from sqlalchemy import event

from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason, SerializationRetry
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.ingest import writer as room
from llm_cost_ops.server.ingest.record import record
from llm_cost_ops.server.ingest.submission import Answer, Item, Submission
from llm_cost_ops.server.ingest.writer import Writer
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.pricing.resolve import Prices
from tests.support.application import Application
from tests.support.calls import assert_proven, count, error, send, usage
from tests.support.factories import make_call
from tests.support.price_books import packaged

WAIT_S = 30


def call(app: Application, event_id: str, **fields: Any) -> Entry:
    return make_call(organization_id=app.organization_id, event_id=event_id, **fields)


def told(fate: list[Item]) -> Answer:
    return Answer(200, ",".join(item.status for item in fate).encode())


def submission(app: Application, *entries: Entry, **options: Any) -> Submission:
    return Submission(app.organization_id, list(entries), told, **options)


class Commits:
    """Counts the commits of a database; `check` runs before each."""

    def __init__(self, app: Application) -> None:
        self.number = 0
        self.check: Any = lambda: None
        event.listen(app.database.writer, "commit", self._committing)

    def _committing(self, _connection: object) -> None:
        self.check()
        self.number += 1


@pytest.fixture
def writer(application: Application) -> Iterator[Writer]:
    """One that has not been started: what is submitted before is one group."""
    prices = Prices(packaged(), application.database, SystemClock())
    made = Writer(application.database, prices, SystemClock(), threads=1)
    yield made
    made.close()


def drain(writer: Writer, submissions: Sequence[Submission]) -> list[Any]:
    """What each submission got: an answer's text or an exception."""
    for one in submissions:
        writer.submit(one)
    writer.start()
    found: list[Any] = []
    for one in submissions:
        try:
            found.append(one.future.result(WAIT_S).body.decode())
        except (Exception, CancelledError) as failure:
            found.append(failure)
    return found


def test_what_waits_is_committed_together(application: Application, writer: Writer) -> None:
    commits = Commits(application)
    waiting = [submission(application, call(application, f"e{n}")) for n in range(20)]
    waiting.append(submission(application, call(application, "e3"), call(application, "e20")))
    commits.check = lambda: [not one.future.done() for one in waiting].index(True)
    answers = drain(writer, waiting)
    assert answers == ["created"] * 20 + ["conflict,created"]
    assert commits.number == 1
    assert count(application, "outbox") == 1
    assert assert_proven(application).records == 21


def test_a_group_is_bounded(
    application: Application, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "GROUP_ROWS", 3)
    commits = Commits(application)
    sizes = (2, 1, 1, 5, 1)
    waiting = [
        submission(application, *(call(application, f"{n}-{k}") for k in range(size)))
        for n, size in enumerate(sizes)
    ]
    drain(writer, waiting)
    assert commits.number == 4  # 2 and 1, 1, 5 alone, 1
    assert assert_proven(application).records == sum(sizes)


@pytest.mark.parametrize("option", ["atomic", "correct"])
def test_some_are_committed_alone(application: Application, writer: Writer, option: str) -> None:
    commits = Commits(application)
    waiting = [
        submission(application, call(application, "a")),
        submission(application, call(application, "b"), **{option: True}),
        submission(application, call(application, "c")),
    ]
    assert drain(writer, waiting) == ["created"] * 3
    assert commits.number == 3


def test_a_fault_of_one_does_not_fail_its_neighbours(
    application: Application, writer: Writer
) -> None:
    huge = [call(application, f"h{n}", input_tokens=2**62, total_tokens=2**62) for n in range(2)]

    def broken(_: list[Item]) -> Answer:
        raise ZeroDivisionError

    unknown = "imp_" + "0" * 26
    waiting = [
        submission(application, call(application, "a")),
        submission(application, *huge),
        submission(application, call(application, "b")),
        Submission(application.organization_id, [call(application, "broken")], broken),
        submission(application, call(application, "i"), import_id=unknown),
        submission(application, call(application, "c")),
    ]
    first, large, second, fault, refused, third = drain(writer, waiting)
    assert (first, second, third) == ("created", "created", "created")
    assert "more than" in str(large)
    assert isinstance(fault, ZeroDivisionError)
    assert isinstance(refused, Problem)
    assert refused.status == 404
    assert count(application, "usage_records") == 3
    assert count(application, "outbox") == 3
    assert assert_proven(application).records == 3


def test_an_atomic_conflict_stores_nothing_but_its_trace(
    application: Application, writer: Writer
) -> None:
    waiting = [
        submission(application, call(application, "a")),
        submission(application, call(application, "b"), call(application, "a"), atomic=True),
        submission(application, call(application, "c")),
    ]
    assert drain(writer, waiting) == ["created", "created,conflict", "created"]
    assert count(application, "usage_records", "event_id = 'b'") == 0
    assert count(application, "audit_log", "action = 'usage.conflict'") == 1
    assert assert_proven(application).records == 2


def test_an_atomic_conflict_whose_trace_cannot_be_kept_is_no_answer(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = sqlite_application
    send(app, "/usage", usage("a"))

    def fails(*_: object) -> None:
        raise DatabaseUnavailable(Reason.FULL)

    monkeypatch.setattr(room, "audit_conflicts", fails)
    batch = [usage("b"), usage("a", prompt_tokens=5)]
    error(send(app, "/usage/batch?atomic=true", batch), 503, "SERVICE_UNAVAILABLE")
    assert assert_proven(app).records == 1


def test_who_stopped_waiting_is_left_out(application: Application, writer: Writer) -> None:
    waiting = [submission(application, call(application, f"e{n}")) for n in range(3)]
    for one in waiting:
        writer.submit(one)
    assert waiting[1].future.cancel()
    writer.start()
    assert [one.future.result(WAIT_S).body for one in (waiting[0], waiting[2])] == [b"created"] * 2
    assert waiting[1].future.cancelled()
    assert count(application, "usage_records") == 2
    # When all have gone it goes on waiting.
    assert assert_proven(application).records == 2


def test_a_group_of_which_all_have_gone_is_skipped(
    sqlite_application: Application,
) -> None:
    app = sqlite_application
    prices = Prices(packaged(), app.database, SystemClock())
    made = Writer(app.database, prices, SystemClock(), threads=1)
    gone = submission(app, call(app, "gone"))
    made.submit(gone)
    gone.future.cancel()
    made.start()
    stays = submission(app, call(app, "stays"))
    made.submit(stays)
    assert stays.future.result(WAIT_S).body == b"created"
    made.close()
    assert count(app, "usage_records") == 1


def test_more_than_may_wait_is_refused(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = sqlite_application
    monkeypatch.setattr(room, "QUEUE_ROWS", 2)
    made = Writer(app.database, Prices(packaged(), app.database, SystemClock()), SystemClock(),
                  threads=1)  # fmt: skip
    first = submission(app, call(app, "a"), call(app, "b"))
    made.submit(first)
    with pytest.raises(DatabaseUnavailable) as refused:
        made.submit(submission(app, call(app, "c")))
    assert refused.value.reason is Reason.POOL
    made.start()
    assert first.future.result(WAIT_S).body == b"created,created"
    again = submission(app, call(app, "c"))
    made.submit(again)  # what was committed waits no longer
    assert again.future.result(WAIT_S).body == b"created"
    made.close()
    monkeypatch.setattr(room, "QUEUE_ROWS", 0)
    answer = send(app, "/usage", usage("d"))
    error(answer, 503, "SERVICE_UNAVAILABLE")
    assert int(answer.headers["Retry-After"]) >= 1
    assert count(app, "usage_records", "event_id = 'd'") == 0


def test_closing_commits_what_waits_and_refuses_the_rest(
    application: Application, writer: Writer
) -> None:
    waiting = [submission(application, call(application, f"e{n}")) for n in range(50)]
    for one in waiting:
        writer.submit(one)
    writer.start()
    writer.close()
    assert {one.future.result(0).body for one in waiting} == {b"created"}
    with pytest.raises(DatabaseUnavailable):
        writer.submit(submission(application, call(application, "late")))
    assert assert_proven(application).records == 50


@pytest.mark.parametrize("losses", [1, 4])
def test_a_lost_serialization_is_tried_again(
    application: Application, writer: Writer, monkeypatch: pytest.MonkeyPatch, losses: int
) -> None:
    attempts: list[int] = []

    def losing(session: WriteSession, *arguments: Any, **options: Any) -> Any:
        answers = record(session, *arguments, **options)
        attempts.append(1)
        if len(attempts) <= losses:
            raise SerializationRetry
        return answers

    monkeypatch.setattr(room, "record", losing)
    waiting = [submission(application, call(application, f"e{n}")) for n in range(3)]
    assert drain(writer, waiting) == ["created"] * 3
    assert len(attempts) == losses + 1
    assert count(application, "outbox") == 1
    assert assert_proven(application).records == 3


def test_a_database_that_fails_in_the_commit_answers_nobody_201(
    application: Application, writer: Writer
) -> None:
    """An answer is for what is committed: one that was prepared before is thrown away."""
    commits = Commits(application)
    failed = threading.Event()

    def fail() -> None:
        if not failed.is_set():
            failed.set()
            raise DatabaseUnavailable(Reason.IO, outcome_unknown=True)

    commits.check = fail
    waiting = [submission(application, call(application, f"e{n}")) for n in range(2)]
    answers = drain(writer, waiting)
    assert all(isinstance(answer, DatabaseUnavailable) for answer in answers)
    again = [submission(application, call(application, f"e{n}")) for n in range(2)]
    for one in again:
        writer.submit(one)
    assert {one.future.result(WAIT_S).body for one in again} == {b"created"}
    assert assert_proven(application).records == 2


def test_transactions_that_want_each_others_rows_all_get_through(
    application: Application,
) -> None:
    """Several writer threads, the same calls and hours in opposite orders."""
    prices = Prices(packaged(), application.database, SystemClock())
    made = Writer(application.database, prices, SystemClock(), threads=4)
    made.start()
    waiting: list[Submission] = []
    for part in range(12):
        order = range(30) if part % 2 else range(29, -1, -1)
        entries = [
            call(application, f"e{n}", payload_digest="same", provider=f"p{n % 3}",
                 at=1_749_988_800_000_000 + n * 3_600_000_000)
            for n in order
        ]  # fmt: skip
        waiting.append(submission(application, *entries, atomic=part % 3 == 0))
    for one in waiting:
        made.submit(one)
    statuses = [s for one in waiting for s in one.future.result(WAIT_S).body.decode().split(",")]
    made.close()
    assert (statuses.count("created"), statuses.count("duplicate")) == (30, 330)
    assert assert_proven(application).records == 30


async def answers_of(
    writer: Writer, waiting: Sequence[Submission], seconds: float
) -> list[Answer | BaseException]:
    return await asyncio.gather(
        *(writer.answer(one, seconds) for one in waiting), return_exceptions=True
    )


def started_soon(writer: Writer, seconds: float) -> None:
    timer = threading.Timer(seconds, writer.start)
    timer.daemon = True
    timer.start()


def test_event_loops_are_told_of_each_commit(application: Application, writer: Writer) -> None:
    """A group that is committed one by one does not keep the first waiting for the last."""
    delay_s = 0.2

    def slowly(fate: list[Item]) -> Answer:
        if len(fate) == 1:
            time.sleep(delay_s)
        return told(fate)

    broken = Submission(
        application.organization_id,
        [call(application, "broken")],
        lambda _: 1 // 0,  # type: ignore[arg-type, return-value]
    )
    entries = [call(application, f"e{n}") for n in range(6)]
    waiting = [Submission(application.organization_id, [entry], slowly) for entry in entries]
    told_at: list[float] = []

    async def timed(one: Submission) -> Answer:
        answer = await writer.answer(one, WAIT_S)
        told_at.append(time.monotonic())
        return answer

    async def all_of_them() -> list[Answer | BaseException]:
        started_soon(writer, 0.2)
        return await asyncio.gather(
            *map(timed, waiting), writer.answer(broken, WAIT_S), return_exceptions=True
        )

    *good, bad = asyncio.run(all_of_them())
    assert isinstance(bad, ZeroDivisionError)
    assert [one.body for one in good if isinstance(one, Answer)] == [b"created"] * len(waiting)
    assert told_at[-1] - told_at[0] > delay_s


def test_who_stops_waiting_before_the_commit_is_not_committed(
    application: Application, writer: Writer
) -> None:
    late = [submission(application, call(application, f"e{n}")) for n in range(2)]
    found = asyncio.run(answers_of(writer, late, 0.05))
    assert [type(one) for one in found] == [TimeoutError, TimeoutError]
    assert drain(writer, [submission(application, call(application, "e2"))]) == ["created"]
    assert count(application, "usage_records") == 1


def test_who_stops_waiting_during_the_commit_is_committed(
    application: Application, writer: Writer
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def held(fate: list[Item]) -> Answer:
        begun.set()
        go_on.wait(WAIT_S)
        return told(fate)

    one = Submission(application.organization_id, [call(application, "e")], held)

    async def impatient() -> None:
        started_soon(writer, 0)
        task = asyncio.ensure_future(writer.answer(one, WAIT_S))
        await asyncio.to_thread(begun.wait, WAIT_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(impatient())
    go_on.set()
    assert one.future.result(WAIT_S).body == b"created"
    assert count(application, "usage_records") == 1
