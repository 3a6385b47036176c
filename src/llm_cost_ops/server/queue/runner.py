"""The runner: looks what is due, relays events, fires schedules, takes jobs and runs them.

One loop does the housekeeping and the heartbeats; each job has a thread, at most `concurrency` at
a time. Time, randomness and threads are injected: `round` is one turn of the loop, and a test that
calls it with a clock of its own runs years in seconds.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import DatabaseUnavailable, SerializationRetry
from llm_cost_ops.server.db.session import WriteSession, read, write_retrying
from llm_cost_ops.server.http.logs import logger, redact_text
from llm_cost_ops.server.queue import leases
from llm_cost_ops.server.queue.look import look
from llm_cost_ops.server.queue.metrics import QueueMetrics
from llm_cost_ops.server.queue.outbox import relay
from llm_cost_ops.server.queue.places import Group
from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.schedule import fire_due, keep_system_schedules
from llm_cost_ops.server.queue.work import (
    Again,
    Effect,
    GiveUp,
    Handler,
    Job,
    Kind,
    LeaseLost,
    Work,
)

T = TypeVar("T")
Spawn = Callable[[Callable[[], None]], object]
BEATS_A_LEASE = 3
_MICROS = 1_000_000
_SYSTEM_RANDOM = random.SystemRandom()
_OUTAGE = exponential(first_s=0.5, most_s=15.0)
_UNAVAILABLE = (DatabaseUnavailable, SerializationRetry)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a runner goes about it: `waiting` are the places of kinds that wait, beside those of the
    others. `poll_s` is the longest it does not look."""

    concurrency: int = 4
    waiting: int = 16
    poll_s: float = 1.0
    lease_s: float = 60.0
    drain_s: float = 30.0


def in_thread(run: Callable[[], None]) -> None:
    """A thread that does not keep the process: a job that will not end is given back."""
    threading.Thread(target=run, name="job", daemon=True).start()


class Runner:
    """`run` until `stop`; or `round` by hand."""

    def __init__(
        self,
        database: Database,
        work: Work,
        clock: Clock,
        *,
        pace: Pace | None = None,
        metrics: QueueMetrics | None = None,
        holder: str = "",
        spawn: Spawn = in_thread,
        sleep: Callable[[float], object] = time.sleep,
        jitter: Callable[[], float] = _SYSTEM_RANDOM.random,
        token: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._database = database
        self._work = work
        self._clock = clock
        self._pace = pace or Pace()
        self._metrics = metrics
        self._holder = holder
        self._spawn = spawn
        self._sleep = sleep
        self._jitter = jitter
        self._token = token
        self._kinds: dict[str, tuple[Kind, Handler]] = {
            kind.name: (kind, handler) for kind, handler in work.handlers.items()
        }
        self._buried = {kind.name: told for kind, told in work.buried.items()}
        self._held: dict[str, tuple[Job, float]] = {}
        self._lock = threading.Lock()
        self._beat_at_s = 0.0
        self._scheduled = False
        self._stopping = False
        self._log = logger("worker")

    # --- the loop -----------------------------------------------------------------------------

    def run(self, *, until_idle: bool = False) -> None:
        """Work until `stop` (or until nothing is due and nothing runs), then drain: wait for what
        runs, and give back what does not end in time."""
        outages = 0
        while not self._stopping:
            busy = bool(self.held)  # then jobs that are due may have found no place
            try:
                wait_s = self.round()
                if outages:
                    self._log.info("database is back")
                outages = 0
            except _UNAVAILABLE as error:
                outages += 1
                if outages == 1:
                    self._log.warning("waiting for the database", reason=error.message)
                wait_s = _OUTAGE(outages, self._jitter())
            else:
                if until_idle and wait_s > 0 and not busy and not self.held:
                    break
            if wait_s > 0:
                self._database.bell.wait(wait_s)
        self._drain()

    def stop(self) -> None:
        """Take no more jobs. From any thread; `run` then returns within its `drain_s`."""
        self._stopping = True
        self._database.bell.ring()

    @property
    def stopping(self) -> bool:
        return self._stopping

    @property
    def held(self) -> list[Job]:
        """The jobs under way."""
        with self._lock:
            return [job for job, _ in self._held.values()]

    def round(self) -> float:
        """Do what is due; the seconds for which there is nothing more to do, 0 when there may be.

        Raises DatabaseUnavailable and SerializationRetry, after which a round may be begun again.
        """
        now_us = self._clock.micros()
        self._beat()
        if not self._scheduled:
            self._write(partial(keep_system_schedules, wanted=self._work.schedules, now_us=now_us))
            self._scheduled = True
        with read(self._database) as session:
            seen = look(session, now_us)
        acted = 0
        if seen.events:
            acted += self._write(
                partial(relay, subscriptions=self._work.subscriptions, now_us=now_us)
            )
        if seen.schedules:
            acted += self._write(partial(fire_due, now_us=now_us))
        if seen.leases:
            acted += self._reap(now_us)
        if seen.jobs or acted:
            acted += self._start(self._take(now_us))
        if acted:
            return 0.0
        ahead_s = self._pace.poll_s
        if seen.next_us is not None:
            ahead_s = min(ahead_s, (seen.next_us - now_us) / _MICROS)
        return max(ahead_s, 0.001)

    def _beat(self) -> None:
        """Keep the leases of what runs, now and then; not of what has had its time."""
        now_s = self._clock.monotonic()
        if now_s < self._beat_at_s or not self.held:
            return
        self._leave_late(now_s)
        held = self.held
        if not held:
            return
        until_us = self._clock.micros() + self._lease_us
        lost = self._write(partial(leases.extend, held=held, until_us=until_us))
        self._beat_at_s = now_s + self._pace.lease_s / BEATS_A_LEASE
        for job_id in lost:
            self._log.warning("lease lost", job=job_id)

    def _leave_late(self, now_s: float) -> None:
        """Let the leases of jobs end that take longer than their kind may, and give their places
        to others: a thread cannot be ended, but its result will be refused."""
        with self._lock:
            late = {
                job_id: job for job_id, (job, until_s) in self._held.items() if now_s >= until_s
            }
            self._held = {key: held for key, held in self._held.items() if key not in late}
        for job in late.values():
            self._log.error("job left: it takes too long", job=job.id, kind=job.kind)

    def _reap(self, now_us: int) -> int:
        def wait_us(name: str, attempt: int) -> int:
            retry = self._kinds[name][0].retry if name in self._kinds else _OUTAGE
            return round(retry(attempt, self._jitter()) * _MICROS)

        reaped = self._write(
            partial(
                leases.reap,
                wait_us=wait_us,
                now_us=now_us,
                lease_us=self._lease_us,
                buried=self._buried,
            )
        )
        if reaped:
            self._log.warning("jobs taken from workers that ended", count=reaped)
        return reaped

    def _take(self, now_us: int) -> list[Job]:
        groups = [] if self._stopping else self._groups()
        if not groups:
            return []

        def take(session: WriteSession) -> list[Job]:
            taken: list[Job] = []
            for group in groups:
                free = group.free()
                while free.count > 0:
                    new = leases.take(
                        session,
                        group.kinds,
                        free.count,
                        token=token,
                        holder=self._holder,
                        now_us=now_us,
                        lease_us=self._lease_us,
                        without=free.without,
                    )
                    taken += new
                    if len(new) < free.count:
                        break
                    group = group.with_jobs(new)
                    free = group.free()
            return taken

        token = self._token()
        return self._write(take)

    def _groups(self) -> list[Group]:
        """The kinds that share places, and who holds those."""
        held = self.held
        places = {False: self._pace.concurrency, True: self._pace.waiting}
        groups: list[Group] = []
        for waits, count in places.items():
            names = [name for name, (kind, _) in self._kinds.items() if kind.waits is waits]
            if names:
                own = [job for job in held if job.kind in names]
                groups.append(Group(names, count, own, shared=waits))
        return [group for group in groups if group.free().count > 0]

    def _start(self, taken: list[Job]) -> int:
        now_s = self._clock.monotonic()
        if taken and not self.held:
            self._beat_at_s = now_s + self._pace.lease_s / BEATS_A_LEASE
        with self._lock:
            self._held |= {
                job.id: (job, now_s + self._kinds[job.kind][0].time_limit_s) for job in taken
            }
        for job in taken:
            self._spawn(partial(self._execute, job))
        return len(taken)

    def _drain(self) -> None:
        until_s = self._clock.monotonic() + self._pace.drain_s
        try:
            while self.held and self._clock.monotonic() < until_s:
                self._beat()
                self._database.bell.wait(0.1)
            left = self.held
            if left:
                self._write(partial(leases.give_back, held=left))
                self._log.warning("jobs given back", count=len(left))
        except _UNAVAILABLE as error:
            self._log.warning("jobs left to their leases", reason=error.message)

    @property
    def _lease_us(self) -> int:
        return round(self._pace.lease_s * _MICROS)

    def _write(self, work: Callable[[WriteSession], T]) -> T:
        return write_retrying(self._database, work, sleep=self._sleep, jitter=self._jitter)

    # --- one job ------------------------------------------------------------------------------

    def _execute(self, job: Job) -> None:
        """Run a job and record what became of it; nothing that it does ends the worker."""
        began_s = self._clock.monotonic()
        outcome = "unknown"
        try:
            outcome = self._attempt(job)
        except LeaseLost:
            outcome = "lost"
            self._log.warning("job not recorded: it has another worker", job=job.id)
        except Exception as error:
            # Its lease will end, and then it is tried again.
            self._log.error("job not recorded", job=job.id, reason=redact_text(str(error)))
        finally:
            with self._lock:
                if job.id in self._held and self._held[job.id][0] is job:
                    del self._held[job.id]
            if self._metrics is not None:
                self._metrics.ran(job.kind, outcome, self._clock.monotonic() - began_s)
            self._database.bell.ring()

    def _attempt(self, job: Job) -> str:
        kind, handler = self._kinds[job.kind]
        try:
            effect = handler(_Running(self, job))
            self._settle(job, effect, partial(leases.finish, now_us=self._clock.micros()))
        except LeaseLost:
            raise
        except GiveUp as refused:
            return self._bury(job, refused.reason, refused.effect)
        except Again as again:
            if again.counted and job.attempt >= job.max_attempts:
                return self._bury(job, again.reason, again.effect)
            return self._postpone(job, kind, again)
        except BaseException as error:
            reason = redact_text(f"{type(error).__name__}: {error}")
            if job.attempt >= job.max_attempts:
                return self._bury(job, reason, None)
            return self._postpone(job, kind, Again(reason))
        return "done"

    def _postpone(self, job: Job, kind: Kind, again: Again) -> str:
        delay_s = again.delay_s
        if delay_s is None:
            delay_s = kind.retry(job.attempt, self._jitter())
        run_at = self._clock.micros() + round(delay_s * _MICROS)
        self._log.info("job postponed", job=job.id, kind=job.kind, reason=again.reason)
        self._settle(
            job,
            again.effect,
            partial(leases.retry, run_at=run_at, reason=again.reason, counted=again.counted),
        )
        return "retry" if again.counted else "postponed"

    def _bury(self, job: Job, reason: str, effect: Effect | None) -> str:
        self._log.error("job dead", job=job.id, kind=job.kind, reason=reason)
        now_us = self._clock.micros()
        told = self._buried.get(job.kind)

        def leave(session: WriteSession) -> None:
            if effect is not None:
                effect(session)
            if told is not None:
                told(session, job, reason)

        self._settle(job, leave, partial(leases.bury, reason=reason, now_us=now_us))
        return "dead"

    def _settle(self, job: Job, effect: Effect | None, end: Callable[..., None]) -> None:
        """Write the effect and the job's end in one transaction, waiting out an outage for as long
        as the lease may still be ours."""

        def work(session: WriteSession) -> None:
            if effect is not None:
                effect(session)
            end(session, job)

        until_s = self._clock.monotonic() + self._pace.lease_s
        tries = 0
        while True:
            try:
                self._write(work)
                return
            except _UNAVAILABLE:
                tries += 1
                wait_s = _OUTAGE(tries, self._jitter())
                if self._clock.monotonic() + wait_s >= until_s:
                    raise
                self._sleep(wait_s)

    def write_part(self, job: Job, work: Callable[[WriteSession], T]) -> T:
        """Commit a part of a job's effect if the job is still ours. Raises LeaseLost."""

        def part(session: WriteSession) -> T:
            result = work(session)
            leases.check(session, job, self._clock.micros() + self._lease_us)
            return result

        return self._write(part)


class _Running:
    """`work.Running` of a runner's job."""

    def __init__(self, runner: Runner, job: Job) -> None:
        self._runner = runner
        self.job = job

    @property
    def stopping(self) -> bool:
        return self._runner.stopping

    def write(self, work: Callable[[WriteSession], Any]) -> Any:
        return self._runner.write_part(self.job, work)
