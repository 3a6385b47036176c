"""A crowd that wants forecasts: some are made, some wait, the others are told to come again."""

from __future__ import annotations

import threading
from functools import partial
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from anyio import create_task_group

from llm_cost_ops.server.forecasts.turns import AT_ONCE, WAITING, in_turn
from llm_cost_ops.server.http.problems import Problem


def test_more_than_may_wait_are_told_to_come_again() -> None:
    request: Any = SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace()), scope={})
    gate = threading.Event()
    made: list[int] = []
    most: list[int] = []
    running: set[int] = set()

    def work(number: int) -> None:
        running.add(number)
        most.append(len(running))
        assert gate.wait(60)
        running.discard(number)
        made.append(number)

    async def crowd() -> None:
        async with create_task_group() as group:
            for number in range(AT_ONCE + WAITING):
                group.start_soon(in_turn, request, partial(work, number))
            while len(running) < AT_ONCE:
                await anyio.sleep(0.001)
            with pytest.raises(Problem) as refused:
                await in_turn(request, partial(work, -1))
            assert refused.value.status == 503
            assert int(refused.value.headers["Retry-After"]) > 0  # type: ignore[index]
            gate.set()
        await in_turn(request, partial(work, 99))

    anyio.run(crowd)
    assert sorted(made) == [*range(AT_ONCE + WAITING), 99]
    assert max(most) <= AT_ONCE
