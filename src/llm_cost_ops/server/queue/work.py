"""What a room hands to the worker: kinds of jobs, what is done for them, and what starts them.

A handler works outside any transaction and returns what is to be written. The runner writes that
in one transaction with the job's end, which only the holder of the lease can commit: the effect is
there exactly once, however often the handler ran.

    REPORT = Kind("reports.render")

    def render(running: Running) -> Effect | None:
        page = draw(running.job.payload)            # may take minutes, may run twice
        return lambda session: keep(session, page)  # once; nothing but the database in here

    Work(handlers={REPORT: render})
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.queue.retry import Retry, exponential

T = TypeVar("T")
Effect = Callable[[WriteSession], object]
"""Writes to the database and does nothing else; run again after a deadlock."""

MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job. `name` is stored with each job and must not change while there are some.

    An attempt that takes longer than `time_limit_s` is left to itself and counts as failed. Jobs
    that mostly wait for others, such as calls to strangers, have places of their own (`waits`), so
    that a slow stranger does not hold up everybody's work.
    """

    name: str
    max_attempts: int = 8
    time_limit_s: float = 3600.0
    retry: Retry = field(default_factory=exponential, compare=False)
    waits: bool = False

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= MAX_NAME:
            raise ValueError(f"a kind's name has 1 to {MAX_NAME} characters")
        if self.max_attempts < 1:
            raise ValueError("a job is attempted at least once")


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its handler sees it; `attempt` counts from 1. Numbers in `payload` are int or
    Decimal. A schedule's job has its slot as `scheduled_for` there, in microseconds."""

    id: str
    organization_id: str | None
    kind: str
    payload: Mapping[str, object]
    attempt: int
    max_attempts: int
    lease: str


class Running(Protocol):
    """A job under way, for its handler."""

    @property
    def job(self) -> Job: ...

    @property
    def stopping(self) -> bool:
        """Whether the worker is draining: a handler of minutes raises Again(counted=False)."""
        ...

    def write(self, work: Callable[[WriteSession], T]) -> T:
        """Commit a part of the job's effect before its end. Raises LeaseLost, and then nothing was
        written: another worker has the job."""
        ...


Handler = Callable[[Running], Effect | None]


class Again(Exception):
    """Raised by a handler: try again after `delay_s`, or after the kind's own wait.

    `effect` is written all the same. With `counted=False` this was no attempt.
    """

    def __init__(
        self,
        reason: str,
        *,
        delay_s: float | None = None,
        counted: bool = True,
        effect: Effect | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay_s = delay_s
        self.counted = counted
        self.effect = effect


class GiveUp(Exception):
    """Raised by a handler: no further attempt can help, so the job is dead at once."""

    def __init__(self, reason: str, *, effect: Effect | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.effect = effect


Buried = Callable[[WriteSession, Job, str], None]
"""Writes what a job that died leaves behind, with the reason, in the transaction of its end."""


class LeaseLost(Exception):
    """The job belongs to another worker, or was taken back; nothing of it may be written."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Whoever wants the events of a topic, and of the `further` ones in one order with them. Each
    organization's events reach `kind` in order, some at a time, as `payload["events"]`: a list of
    id, topic, created_at (microseconds), payload.

    `wanted` tells which of some organizations want any: no jobs are made for the others.
    """

    name: str
    topic: str
    kind: Kind
    further: tuple[str, ...] = ()
    wanted: Callable[[ReadSession, Collection[str]], Collection[str]] | None = None

    @property
    def topics(self) -> frozenset[str]:
        return frozenset((self.topic, *self.further))


@dataclass(frozen=True, slots=True)
class SystemSchedule:
    """A schedule that comes with the program; `name` is its identity."""

    name: str
    expression: str
    kind: Kind
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Work:
    """All that one room, or a whole worker, does."""

    handlers: Mapping[Kind, Handler] = field(default_factory=dict[Kind, Handler])
    subscriptions: Sequence[Subscription] = ()
    schedules: Sequence[SystemSchedule] = ()
    buried: Mapping[Kind, Buried] = field(default_factory=dict[Kind, Buried])


def together(rooms: Sequence[Work]) -> Work:
    """The work of all rooms. Raises ValueError for a name that two of them use, and for a kind
    that something starts and nothing handles."""
    handlers: dict[Kind, Handler] = {}
    buried: dict[Kind, Buried] = {}
    for room in rooms:
        handlers.update(room.handlers)
        buried.update(room.buried)
    subscriptions = [each for room in rooms for each in room.subscriptions]
    schedules = [each for room in rooms for each in room.schedules]
    for names in (
        [kind.name for room in rooms for kind in room.handlers],
        [each.name for each in subscriptions],
        [each.name for each in schedules],
    ):
        if len(set(names)) != len(names):
            raise ValueError(f"a name is used twice among {sorted(names)}")
    for kind in (*(each.kind for each in (*subscriptions, *schedules)), *buried):
        if kind not in handlers:
            raise ValueError(f"nothing handles {kind.name}")
    return Work(handlers, subscriptions, schedules, buried)
