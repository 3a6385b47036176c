"""Reports that take longer than a request may."""

from __future__ import annotations

from typing import Any

import pytest

from llm_cost_ops.client.policy import Flow, Sleep
from llm_cost_ops.client.resources.reports import WAIT_SECONDS, Report, asked_for
from llm_cost_ops.exceptions import TimeoutError


class Answering:
    """A caller that answers with these states, the last one over and over."""

    def __init__(self, *states: str) -> None:
        self.states = list(states)
        self.asked: list[str] = []

    def write(self, method: str, path: str, body: Any) -> Flow[Any]:
        del body
        return self._answer(f"{method} {path}")

    def get(self, path: str, *, fresh: bool) -> Flow[Any]:
        assert fresh
        return self._answer(f"GET {path}")

    def _answer(self, asked: str) -> Flow[Any]:
        self.asked.append(asked)
        yield from ()
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return {"id": "rpt_1", "status": state}


def played(answering: Any, body: dict[str, Any]) -> tuple[Report, float]:
    """The report, and how long was slept for it."""
    flow, slept = asked_for(answering, body), 0.0
    while True:
        try:
            action = next(flow)
        except StopIteration as end:
            return end.value, slept
        assert isinstance(action, Sleep)
        slept += action.seconds


def test_one_that_is_still_made_is_waited_for() -> None:
    answering = Answering("pending", "pending", "completed")
    found, slept = played(answering, {"wait": True})
    assert found.status == "completed"
    assert answering.asked == ["POST /reports/generate", *["GET /reports/rpt_1"] * 2]
    assert 0 < slept < 2


def test_one_that_is_not_waited_for_comes_as_it_is() -> None:
    answering = Answering("pending")
    assert played(answering, {"wait": False})[0].status == "pending"
    assert answering.asked == ["POST /reports/generate"]


def test_waiting_ends() -> None:
    answering = Answering("pending")
    with pytest.raises(TimeoutError, match="rpt_1 is not made after 600 s"):
        played(answering, {"wait": True})
    assert WAIT_SECONDS / 2 <= len(answering.asked) < WAIT_SECONDS
