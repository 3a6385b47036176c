"""Enqueueing, taking and ending jobs, on each database."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.queue import leases
from llm_cost_ops.server.queue.dead_letters import discard, replay
from llm_cost_ops.server.queue.enqueue import NewJob, Priority, enqueue, enqueue_all
from llm_cost_ops.server.queue.look import backlog, look
from llm_cost_ops.server.queue.tables import jobs
from llm_cost_ops.server.queue.work import Again, GiveUp, Job, Kind, LeaseLost, Work, together
from tests.server.queue.conftest import KIND, Place

MINUTE_US = 60_000_000


def take(place: Place, count: int = 1, token: str = "t") -> list[Job]:
    with write(place.database) as session:
        return leases.take(
            session,
            [KIND.name],
            count,
            token=token,
            holder="tests",
            now_us=place.now_us,
            lease_us=MINUTE_US,
        )


def test_a_job_exists_if_and_only_if_its_transaction_commits(place: Place) -> None:
    def refused() -> None:
        with write(place.database) as session:
            enqueue(session, NewJob(KIND, {}, None), now_us=place.now_us)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        refused()
    assert place.rows(jobs) == []
    assert not place.database.bell.wait(0)
    job_id = place.enqueue({"n": 1, "text": "Ω", "list": [True, None]}, organization_id="org-a")
    assert place.database.bell.wait(0)
    place.work_off(place.runner())
    (ran,) = place.ran
    assert (ran.id, ran.organization_id, ran.attempt) == (job_id, "org-a", 1)
    assert ran.payload == {"n": 1, "text": "Ω", "list": [True, None]}
    row = place.row(job_id)
    assert (row.state, row.attempts, row.finished_at) == ("done", 1, place.now_us)
    assert row.lease is row.leased_until is None


def test_a_name_is_used_once_within_organization_and_kind(place: Place) -> None:
    first = place.enqueue(organization_id="org-a", once="x")
    assert place.enqueue(organization_id="org-a", once="x") == first
    assert place.enqueue(organization_id="org-b", once="x") != first
    assert place.enqueue(organization_id="org-a", once="x", kind=Kind("other")) != first
    place.work_off(place.runner())
    assert place.enqueue(organization_id="org-a", once="x") == first
    assert len(place.rows(jobs)) == 3
    with pytest.raises(ValueError, match="255"):
        place.enqueue(once="x" * 255)


def test_high_priority_goes_first_and_nothing_goes_early(place: Place) -> None:
    low = place.enqueue(priority=Priority.LOW)
    late = place.enqueue(in_s=0.000001)
    high = place.enqueue(priority=Priority.HIGH)
    assert [job.id for job in take(place, 5)] == [high, low]
    place.later(0.000001)
    assert [job.id for job in take(place, 5)] == [late]


def test_a_kind_that_is_not_known_here_is_left_for_others(place: Place) -> None:
    place.enqueue(kind=Kind("newer.release"))
    runner = place.runner()
    assert runner.round() > 0
    assert place.ran == []


def test_who_lost_the_lease_changes_nothing(place: Place) -> None:
    """The fencing token: a worker that was stopped for longer than its lease wakes up."""
    job_id = place.enqueue()
    stalled: list[Any] = []
    first = place.runner(lambda running: note("first"), spawn=stalled.append)
    second = place.runner(lambda running: note("second"))

    def note(who: str) -> Any:
        return lambda session: enqueue(
            session, NewJob(Kind("effect"), {"by": who}, None), now_us=place.now_us
        )

    assert first.round() == 0
    place.later(59)
    assert second.round() > 0
    place.later(2)
    place.work_off(second)
    place.later(10)
    place.work_off(second)
    assert place.row(job_id).state == "done"
    stalled[0]()
    assert [job.attempt for job in place.ran] == [2, 1]
    effects = [row.payload for row in place.rows(jobs) if row.kind == "effect"]
    assert effects in (['{"by":"second"}'], ['{"by": "second"}'])
    assert place.row(job_id).attempts == 2


def test_a_job_of_hours_keeps_its_lease(place: Place) -> None:
    job_id = place.enqueue()
    waiting: list[Any] = []
    first, second = place.runner(spawn=waiting.append), place.runner()
    first.round()
    for _ in range(100):
        place.later(30)
        first.round()
        assert second.round() > 0
    waiting[0]()
    assert (place.row(job_id).state, place.row(job_id).attempts) == ("done", 1)


def test_a_job_that_takes_too_long_is_left(place: Place) -> None:
    kind = Kind("test.hangs", max_attempts=2, time_limit_s=100)
    job_id = place.enqueue(kind=kind)
    hanging: list[Any] = []
    runner = place.runner(kinds=[kind], spawn=hanging.append, concurrency=1)
    runner.round()
    for _ in range(12):
        place.later(30)
        runner.round()
    assert len(hanging) == 2  # its place was given to the second attempt
    for _ in range(12):
        place.later(30)
        runner.round()
    assert place.row(job_id).state == "dead"
    assert place.row(job_id).last_error == leases.ABANDONED
    hanging[0]()
    assert place.row(job_id).state == "dead"


def test_a_part_is_written_only_by_who_has_the_job(place: Place) -> None:
    place.enqueue()
    other = place.runner()
    seen: list[Any] = []

    def handler(running: Any) -> None:
        assert running.write(lambda session: session.scalar(text("SELECT 7"))) == 7
        place.later(61)
        other.round()
        with pytest.raises(LeaseLost):
            running.write(lambda session: enqueue(session, NewJob(KIND, {}, None), now_us=1))
        seen.append(running.stopping)

    place.runner(handler).round()
    assert seen == [False]
    assert len(place.rows(jobs)) == 1


def test_a_failing_job_waits_longer_and_then_is_dead(place: Place) -> None:
    bad, good = place.enqueue({"bad": True}), None

    def handler(running: Any) -> None:
        if running.job.payload.get("bad"):
            raise ValueError("password=hunter2hunter2 is wrong")

    runner = place.runner(handler)
    for attempt in (1, 2, 3):
        good = place.enqueue()
        place.work_off(runner)
        assert place.row(good).state == "done"  # it holds up nobody
        row = place.row(bad)
        assert row.attempts == attempt
        assert row.state == ("dead" if attempt == 3 else "ready")
        place.later(9.9)
        place.work_off(runner)
        assert place.row(bad).attempts == attempt
        place.later(0.1)
    assert place.row(bad).last_error == "ValueError: password=[redacted] is wrong"
    with read(place.database) as session:
        assert backlog(session, place.now_us).dead == 1


def test_a_job_at_which_its_process_dies_each_time_ends_dead(place: Place) -> None:
    job_id = place.enqueue()
    for attempt in (1, 2, 3):
        place.runner(spawn=lambda run: None).round()  # this worker is never heard of again
        assert place.row(job_id).attempts == attempt
        place.later(61)
        place.runner(spawn=lambda run: None).round()
        place.later(10)
    assert place.row(job_id).state == "dead"
    assert place.row(job_id).last_error == leases.ABANDONED


def test_what_a_dead_job_leaves_behind_is_written_with_its_end(quick_place: Place) -> None:
    place, told = quick_place, list[tuple[str, str]]()

    def handler(running: Any) -> None:
        raise GiveUp("gone")

    def leave(session: Any, job: Job, reason: str) -> None:
        told.append((job.id, reason))
        enqueue(session, NewJob(KIND, {"of": job.id}, None), now_us=place.now_us)

    given_up = place.enqueue()
    place.runner(handler, buried={KIND: leave}).round()
    abandoned = place.enqueue(kind=Kind("test.other", max_attempts=1))
    others = {"kinds": [Kind("test.other")], "spawn": lambda run: None}
    place.runner(**others).round()
    place.later(61)
    place.runner(**others, buried={Kind("test.other"): leave}).round()
    assert told == [(given_up, "gone"), (abandoned, leases.ABANDONED)]
    assert len(place.rows(jobs)) == 4
    with pytest.raises(ValueError, match=r"nothing handles test\.job"):
        together([Work(buried={KIND: leave})])


def test_what_a_handler_says_about_trying_again(place: Place) -> None:
    answers: list[Exception] = [
        Again("busy", counted=False),
        Again("later", delay_s=5, effect=lambda s: place.ran.append("written")),
        GiveUp("gone", effect=lambda s: place.ran.append("written too")),
    ]

    def handler(running: Any) -> None:
        raise answers.pop(0)

    job_id = place.enqueue()
    runner = place.runner(handler)
    place.work_off(runner)
    assert (place.row(job_id).attempts, place.row(job_id).state) == (0, "ready")
    place.later(10)
    place.work_off(runner)
    assert place.row(job_id).run_at == place.now_us + 5_000_000
    place.later(5)
    place.work_off(runner)
    row = place.row(job_id)
    assert (row.state, row.attempts, row.last_error) == ("dead", 2, "gone")
    assert [entry for entry in place.ran if isinstance(entry, str)] == ["written", "written too"]


def test_an_effect_that_fails_is_a_failed_attempt(place: Place) -> None:
    def broken(session: Any) -> None:
        enqueue(session, NewJob(KIND, {}, None), now_us=place.now_us)
        raise ValueError("half")

    job_id = place.enqueue()
    place.runner(lambda running: broken).round()
    assert (place.row(job_id).state, place.row(job_id).last_error) == ("ready", "ValueError: half")
    assert len(place.rows(jobs)) == 1


def test_jobs_of_a_lane_run_one_at_a_time_in_order(place: Place) -> None:
    with write(place.database) as session:
        new = [NewJob(KIND, {"n": n}, None, lane="a") for n in range(3)]
        first, second, third = enqueue_all(session, new, now_us=place.now_us)
    place.later(-3600)  # positions do not go by the clock
    fourth = place.enqueue(lane="a")
    place.later(3600)
    other = place.enqueue(lane="b")
    taken = take(place, 9)
    assert {job.id for job in taken} == {first, other}
    assert take(place, 9) == []
    with write(place.database) as session:
        job = next(job for job in taken if job.id == first)
        leases.retry(session, job, run_at=place.now_us + MINUTE_US, reason="x")
    assert take(place, 9) == []  # the lane waits for its first
    place.later(60)
    (job,) = take(place, 9, "again")
    assert job.id == first
    with write(place.database) as session:
        leases.bury(session, job, reason="x", now_us=place.now_us)
    order = []
    while taken := take(place, 9):
        order += [job.id for job in taken]
        with write(place.database) as session:
            leases.finish(session, taken[0], now_us=place.now_us)
    assert order == [second, third, fourth]


def test_a_replayed_job_goes_to_the_end_of_its_lane(place: Place) -> None:
    first, second = place.enqueue(lane="a"), place.enqueue(lane="a")
    with write(place.database) as session:
        discard(session, None, first, now_us=place.now_us)
    with write(place.database) as session:
        replay(session, None, first, now_us=place.now_us)
    (taken,) = take(place, 9)
    assert taken.id == second
    with pytest.raises(ValueError, match="160"):
        place.enqueue(lane="x" * 161)


def test_a_lease_from_a_clock_that_was_set_back_ends(place: Place) -> None:
    job_id = place.enqueue()
    place.later(25 * 3600)
    place.runner(spawn=lambda run: None).round()
    place.later(-25 * 3600)
    runner = place.runner()
    runner.round()
    assert place.row(job_id).leased_until == place.now_us + MINUTE_US
    place.later(60)
    place.work_off(runner)
    place.later(10)
    place.work_off(runner)
    assert place.row(job_id).state == "done"


def test_what_is_seen(place: Place) -> None:
    with read(place.database) as session:
        seen = look(session, place.now_us)
        assert (seen.jobs, seen.schedules, seen.leases, seen.events) == (False,) * 4
        assert seen.next_us is None
    place.enqueue(in_s=30)
    with read(place.database) as session:
        assert look(session, place.now_us).next_us == place.now_us + 30_000_000
    place.enqueue()
    place.later(7)
    with read(place.database) as session:
        assert look(session, place.now_us).jobs
        assert backlog(session, place.now_us).oldest_job_us == 7_000_000


def test_two_workers_do_not_wait_for_each_other(place: Place) -> None:
    """SKIP LOCKED; on SQLite one writes at a time."""
    if place.database.kind == "sqlite":
        pytest.skip("SQLite has one writer")
    ids = {place.enqueue() for _ in range(2)}
    with write(place.database) as one:
        first = leases.take(
            one, [KIND.name], 1, token="a", holder="", now_us=place.now_us, lease_us=1
        )
        (second,) = take(place, 9, "b")
    assert {first[0].id, second.id} == ids
