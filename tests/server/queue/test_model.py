"""Random operations of two workers on the queue, against a model in memory (hypothesis)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete

from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.queue import leases
from llm_cost_ops.server.queue.dead_letters import WrongState, discard, replay
from llm_cost_ops.server.queue.enqueue import Priority
from llm_cost_ops.server.queue.tables import jobs
from llm_cost_ops.server.queue.work import Job, Kind, LeaseLost
from tests.server.queue.conftest import Place

LEASE_US = 60_000_000
WAIT_US = 7_000_000
NAMES = ("a", "b")
Known = tuple[Any, ...]


@dataclass
class Model:
    """What a job's row must say."""

    id: str
    priority: int
    run_at: int
    lane: str | None
    position: int | None
    max_attempts: int
    state: str = "ready"
    attempts: int = 0
    token: str | None = None
    until: int | None = None

    def row(self) -> Known:
        return (self.state, self.attempts, self.run_at, self.token, self.until, self.position)

    def free(self, state: str) -> None:
        self.state, self.token, self.until = state, None, None


class Queue(RuleBasedStateMachine):
    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.place = Place(self.database)
        with write(self.database) as session:
            session.execute(delete(jobs))
        self.model: dict[str, Model] = {}
        self.names: dict[str, str] = {}
        self.taken: list[Job] = []
        self.tokens = 0

    @rule(
        priority=st.sampled_from(Priority),
        in_s=st.sampled_from([0, 0, 0, 0, 5]),
        lane=st.sampled_from([None, "a", "a", "b"]),
        once=st.sampled_from([None, None, None, *NAMES]),
        max_attempts=st.integers(1, 3),
    )
    def enqueue(
        self, priority: Priority, in_s: int, lane: str | None, once: str | None, max_attempts: int
    ) -> None:
        self.place.later(0.001)
        kind = Kind("test.job", max_attempts)
        job_id = self.place.enqueue(kind=kind, in_s=in_s, priority=priority, lane=lane, once=once)
        if once in self.names:
            assert job_id == self.names[once]
            return
        if once is not None:
            self.names[once] = job_id
        run_at = self.place.now_us + in_s * 1_000_000
        position = None if lane is None else self._end_of(lane)
        self.model[job_id] = Model(job_id, int(priority), run_at, lane, position, max_attempts)

    def _end_of(self, lane: str) -> int:
        found = [m.position or 0 for m in self._unfinished(lane)]
        return max(found, default=0) + 1

    def _unfinished(self, lane: str) -> list[Model]:
        return [
            m for m in self.model.values() if m.lane == lane and m.state in ("ready", "running")
        ]

    @rule(seconds=st.sampled_from([0.001, 7, 61, -30]))
    def time_passes(self, seconds: float) -> None:
        self.place.later(seconds)

    @rule(count=st.integers(1, 4))
    def take(self, count: int) -> None:
        self.tokens += 1
        token, now_us = f"t{self.tokens}", self.place.now_us
        with write(self.database) as session:
            taken = leases.take(
                session, ["test.job"], count, token=token, holder="", now_us=now_us,
                lease_us=LEASE_US,
            )  # fmt: skip
        expected = self._due(count)
        assert [job.id for job in taken] == expected
        for job in taken:
            model = self.model[job.id]
            model.state, model.token, model.until = "running", token, now_us + LEASE_US
            model.attempts += 1
            assert job.attempt == model.attempts
        self.taken += taken

    def _due(self, count: int) -> list[str]:
        found: list[str] = []
        for priority in Priority:
            due = sorted(
                (m.run_at, m.id)
                for m in self.model.values()
                if m.state == "ready" and m.priority == priority and m.run_at <= self.place.now_us
            )
            plain = [i for _, i in due if self.model[i].lane is None]
            found += plain[: count - len(found)]
            heads = [i for _, i in due if self._leads(self.model[i])]
            found += heads[: count - len(found)]
        return found

    def _leads(self, job: Model) -> bool:
        if job.lane is None:
            return False
        others = self._unfinished(job.lane)
        first = min(others, key=lambda m: (m.position or 0, m.id))
        return first is job and all(m.state == "ready" for m in others)

    @rule(pick=st.integers(0, 99), end=st.sampled_from(["finish", "retry", "uncounted", "bury"]))
    def end(self, pick: int, end: str) -> None:
        """Any worker that ever had a job says how it ended; only the one that has it is heard."""
        if not self.taken:
            return
        job = self.taken[pick % len(self.taken)]
        model, now_us = self.model[job.id], self.place.now_us
        ours = model.state == "running" and model.token == job.lease
        try:
            with write(self.database) as session:
                if end == "finish":
                    leases.finish(session, job, now_us=now_us)
                elif end == "bury":
                    leases.bury(session, job, reason="x", now_us=now_us)
                else:
                    leases.retry(
                        session, job, run_at=now_us + WAIT_US, reason="x", counted=end == "retry"
                    )
        except LeaseLost:
            assert not ours
            return
        assert ours
        model.free({"finish": "done", "bury": "dead"}.get(end, "ready"))
        if end in ("retry", "uncounted"):
            model.run_at = now_us + WAIT_US
            model.attempts -= end == "uncounted"

    @rule()
    def heartbeat(self) -> None:
        until = self.place.now_us + LEASE_US
        held = {job.id: job for job in self.taken}.values()
        with write(self.database) as session:
            lost = leases.extend(session, held, until)
        for job in held:
            model = self.model[job.id]
            ours = model.state == "running" and model.token == job.lease
            assert (job.id in lost) is not ours
            if ours:
                model.until = until

    @rule()
    def reap(self) -> None:
        now_us = self.place.now_us
        with write(self.database) as session:
            leases.reap(session, lambda kind, attempt: WAIT_US, now_us=now_us, lease_us=LEASE_US)
        for model in self.model.values():
            if model.state == "running" and (model.until or 0) <= now_us:
                dead = model.attempts >= model.max_attempts
                model.free("dead" if dead else "ready")
                model.run_at = now_us if dead else now_us + WAIT_US

    @rule(pick=st.integers(0, 99))
    def give_back(self, pick: int) -> None:
        if not self.taken:
            return
        job = self.taken[pick % len(self.taken)]
        with write(self.database) as session:
            leases.give_back(session, [job])
        model = self.model[job.id]
        if model.state == "running" and model.token == job.lease:
            model.free("ready")
            model.attempts -= 1

    @rule(pick=st.integers(0, 99), again=st.booleans())
    def operate(self, pick: int, again: bool) -> None:
        if not self.model:
            return
        model = list(self.model.values())[pick % len(self.model)]
        allowed = model.state in (("dead", "discarded") if again else ("dead", "ready"))
        try:
            with write(self.database) as session:
                change = replay if again else discard
                change(session, None, model.id, now_us=self.place.now_us)
        except WrongState:
            assert not allowed
            return
        assert allowed
        if again:
            model.position = None if model.lane is None else self._end_of(model.lane)
            model.free("ready")
            model.attempts, model.run_at = 0, self.place.now_us
        else:
            model.free("discarded")

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        found = {
            row.id: (
                row.state, row.attempts, row.run_at, row.lease, row.leased_until, row.lane_position
            )
            for row in self.place.rows(jobs)
        }  # fmt: skip
        assert found == {job_id: model.row() for job_id, model in self.model.items()}

    @invariant()
    def at_most_one_of_a_lane_runs(self) -> None:
        for lane in NAMES:
            assert sum(m.state == "running" for m in self._unfinished(lane)) <= 1


EXAMPLES = {"sqlite": 60, "postgresql": 15, "mysql": 15}


def test_the_queue_does_what_the_model_does(
    database: Database, request: pytest.FixtureRequest
) -> None:
    Queue.database = database
    print("seed", request.config.getoption("--hypothesis-seed", None))
    run_state_machine_as_test(
        Queue,
        settings=settings(
            max_examples=EXAMPLES[database.kind],
            stateful_step_count=30,
            deadline=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        ),
    )
