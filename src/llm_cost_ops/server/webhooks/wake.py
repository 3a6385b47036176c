"""When an endpoint is attended to: now, in its lane, or at a later time, by an alarm.

The alarm is no job of the lane, because a job that waits there would hold up those behind it. One
alarm is set for an endpoint at a time; it is superseded by an earlier one and does nothing then.
"""

from __future__ import annotations

from collections.abc import Iterable

from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.queue.enqueue import NewJob, Priority, enqueue, enqueue_all, held_ready
from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.work import Kind
from llm_cost_ops.server.webhooks import store

PUMP = Kind(
    "webhooks.deliver",
    max_attempts=20,
    time_limit_s=300.0,
    retry=exponential(first_s=1.0, most_s=60.0),
    waits=True,
)
ALARM = Kind("webhooks.alarm", max_attempts=20, retry=exponential(first_s=1.0, most_s=60.0))


def pump_now(
    session: WriteSession, organization_id: str, endpoint_ids: Iterable[str], *, now_us: int
) -> None:
    """Attend to endpoints now, each in its own lane. A job that waits there already will see what
    is written before this commits: another would make the lane longer with each event."""
    lanes = {_lane(endpoint_id): endpoint_id for endpoint_id in sorted(endpoint_ids)}
    waiting = held_ready(session, lanes)
    jobs = [
        NewJob(
            PUMP,
            {"endpoint_id": endpoint_id},
            organization_id,
            priority=Priority.HIGH,
            lane=lane,
        )
        for lane, endpoint_id in lanes.items()
        if lane not in waiting
    ]
    enqueue_all(session, jobs, now_us=now_us)
    session.announce()  # a worker that looked meanwhile passed over the jobs that are held here


def _lane(endpoint_id: str) -> str:
    return f"webhooks/{endpoint_id}"


def wake_at(
    session: WriteSession, organization_id: str, endpoint_id: str, at_us: int, *, now_us: int
) -> None:
    """Attend to an endpoint at a time, or earlier when that is set already."""
    row = store.locked(session, organization_id, endpoint_id)
    if row is None or (row["wake_at"] is not None and now_us < row["wake_at"] <= at_us):
        return
    store.change_endpoint(session, organization_id, endpoint_id, {"wake_at": at_us})
    payload = {"endpoint_id": endpoint_id, "at": at_us}
    job = NewJob(ALARM, payload, organization_id, run_at=at_us, priority=Priority.HIGH)
    enqueue(session, job, now_us=now_us)


def woken(
    session: WriteSession, organization_id: str, endpoint_id: str, at_us: int, *, now_us: int
) -> None:
    """An alarm went off: attend to the endpoint unless an earlier alarm took its place."""
    row = store.locked(session, organization_id, endpoint_id)
    if row is None or row["wake_at"] != at_us:
        return
    store.change_endpoint(session, organization_id, endpoint_id, {"wake_at": None})
    pump_now(session, organization_id, [endpoint_id], now_us=now_us)
