"""Reports that take longer than a request may."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.client.policy import Flow, Sleep
from llm_cost_ops.client.resources.reports import WAIT_SECONDS, Report, asked_for
from llm_cost_ops.exceptions import CostOpsError, TimeoutError


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


def test_a_file_that_is_here_may_be_awaited(tmp_path: Path) -> None:
    report = Report({"id": "rpt_1"}).holding(b"%PDF")

    async def awaited() -> tuple[bytes, Path]:
        return await report.download(), await report.save(tmp_path / "awaited.pdf")

    assert asyncio.run(awaited()) == (b"%PDF", tmp_path / "awaited.pdf")
    assert report.download() + b"-1.7" == b"%PDF-1.7"
    saved = report.save(str(tmp_path / "plain.pdf"))
    assert saved == tmp_path / "plain.pdf"
    assert saved.with_suffix(".md").name == "plain.md"
    assert [each.read_bytes() for each in sorted(tmp_path.iterdir())] == [b"%PDF"] * 2


def test_a_file_that_is_not_whole_leaves_the_one_that_was_there(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        Report({"id": "rpt_1"}).holding(b"%PDF").save(tmp_path)
    with pytest.raises(CostOpsError, match=r"client.reports.download\('rpt_1'\)"):
        Report({"id": "rpt_1"}).save(tmp_path / "none.pdf")
    assert list(tmp_path.iterdir()) == []
