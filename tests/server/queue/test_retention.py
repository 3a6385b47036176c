"""What is kept for how long: jobs, events, slots, idempotency keys."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select, update

from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.http.tables import idempotency_keys
from llm_cost_ops.server.queue import jobs as queue_jobs
from llm_cost_ops.server.queue.outbox import Event, publish
from llm_cost_ops.server.queue.runner import Pace, Runner
from llm_cost_ops.server.queue.tables import jobs, outbox, schedule_runs
from llm_cost_ops.server.settings import WorkerSettings
from tests.server.queue.conftest import Place

DAY_S = 86_400
SETTINGS = WorkerSettings(keep_finished_days=7, keep_dead_days=90, keep_events_hours=24)


def worker(place: Place) -> Runner:
    return Runner(
        place.database,
        queue_jobs.work(SETTINGS, place.clock),
        place.clock,
        pace=Pace(),
        spawn=lambda run: run(),
        sleep=place.later,
    )


def set_state(place: Place, job_id: str, state: str) -> None:
    with write(place.database) as session:
        session.execute(
            update(jobs).where(jobs.c.id == job_id).values(state=state, finished_at=place.now_us)
        )


def kept(place: Place, *ids: str) -> set[str]:
    return {row.id for row in place.rows(jobs)} & set(ids)


def save_key(place: Place, scope: str) -> None:
    with write(place.database) as session:
        session.execute(
            insert(idempotency_keys),
            {
                "scope": scope,
                "organization_id": "org-a",
                "request_digest": "d",
                "status": 200,
                "body": b"",
                "created_at": place.now_us,
                "expires_at": place.now_us + DAY_S * 1_000_000,
            },
        )


def test_everything_goes_when_its_time_is_over_and_not_before(place: Place) -> None:
    made = {state: place.enqueue() for state in ("done", "discarded", "dead", "ready")}
    for state in ("done", "discarded", "dead"):
        set_state(place, made[state], state)
    save_key(place, "k")
    with write(place.database) as session:
        publish(session, [Event("org-a", "usage", {"n": 1})], now_us=place.now_us)
    runner = worker(place)
    place.work_off(runner)
    ids = list(made.values())
    place.later(DAY_S - 600)
    place.work_off(runner)
    assert len(place.rows(outbox)) == len(place.rows(idempotency_keys)) == 1
    place.later(600)
    place.work_off(runner)
    assert place.rows(outbox) == place.rows(idempotency_keys) == []
    place.later(6 * DAY_S - 600)
    place.work_off(runner)
    assert kept(place, *ids) == set(ids)
    place.later(600)
    place.work_off(runner)
    assert kept(place, *ids) == {made["dead"], made["ready"]}
    place.later(83 * DAY_S - 600)
    place.work_off(runner)
    assert made["dead"] in kept(place, *ids)
    place.later(600)
    place.work_off(runner)
    assert kept(place, *ids) == {made["ready"]}
    slots = [row.fire_at for row in place.rows(schedule_runs)]
    assert min(slots) >= place.now_us - 35 * DAY_S * 1_000_000


def test_an_event_that_was_not_relayed_is_kept_for_ever(quick_place: Place) -> None:
    with write(quick_place.database) as session:
        publish(session, [Event("org-a", "usage", {"n": 1})], now_us=quick_place.now_us)
        for purge in queue_jobs._purges(SETTINGS, quick_place.now_us + 10**15):
            purge(session)
    assert len(quick_place.rows(outbox)) == 1


def test_much_goes_in_portions_and_a_stopping_worker_stops_between(
    quick_place: Place, monkeypatch: Any
) -> None:
    monkeypatch.setattr(queue_jobs, "CHUNK", 3)
    ids = [quick_place.enqueue() for _ in range(8)]
    for job_id in ids:
        set_state(quick_place, job_id, "done")
    runner = worker(quick_place)
    quick_place.work_off(runner)
    quick_place.later(8 * DAY_S)
    stop_at = iter([False, True, True])
    monkeypatch.setattr(Runner, "stopping", property(lambda self: next(stop_at, False)))
    runner.round()
    assert len(kept(quick_place, *ids)) == 2
    with write(quick_place.database) as session:
        (row,) = session.execute(
            select(jobs).where(jobs.c.kind == queue_jobs.RETENTION.name, jobs.c.state == "ready")
        )
        assert (row.attempts, row.last_error) == (0, "the worker stops")
    quick_place.work_off(runner)
    assert kept(quick_place, *ids) == set()
