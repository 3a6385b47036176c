"""Whose turn it is to compute: a few requests of a process at a time, some more that wait for them,
and none beyond these, so that a crowd is told at once to come again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Request

from llm_cost_ops.server.http.edge import untimed
from llm_cost_ops.server.http.problems import unavailable

T = TypeVar("T")
AT_ONCE = 2
"""Forecasts and examinations that a process works on at the same time."""
WAITING = 16
RETRY_S = 5


async def in_turn(request: Request, work: Callable[[], T]) -> T:
    """The result of `work` in a thread of the few that compute. Raises Problem 503 where as many
    wait already as may."""
    check_room(request)
    untimed(request)
    return await to_thread.run_sync(work, limiter=_turns(request))


def check_room(request: Request) -> None:
    """Raises Problem 503 where as many wait for their turn already as may."""
    if _turns(request).statistics().tasks_waiting >= WAITING:
        raise unavailable("Too many forecasts and examinations are being made.", RETRY_S)


def _turns(request: Request) -> CapacityLimiter:
    state = request.app.state
    if not hasattr(state, "forecast_turns"):
        state.forecast_turns = CapacityLimiter(AT_ONCE)
    return state.forecast_turns
