"""Billing periods: months that are closed, and what their statements say."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.client.caller import Caller, many, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow, Sleep
from llm_cost_ops.client.resources.lists import scoped
from llm_cost_ops.client.rows import Row
from llm_cost_ops.exceptions import TimeoutError

_PATH = "/periods"
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.5, 5.0
WAIT_SECONDS = 600.0
UNDER_WAY = ("closing", "reopening")


def settled(
    caller: Caller, period: str, verb: str, body: dict[str, Any], timeout: float
) -> Flow[Row]:
    """The month once it is closed, or open again. Raises TimeoutError."""
    found = one((yield from caller.write("POST", _path(period, verb), body)), Row)
    pause, waited = _FIRST_WAIT_SECONDS, 0.0
    while found["status"] in UNDER_WAY:
        if waited >= timeout:
            raise TimeoutError(
                f"{period} is {found['status']} after {timeout:g} s: does a worker run "
                "(`cost-ops worker`)?"
            )
        yield Sleep(pause)
        waited += pause
        pause = min(pause * 1.5, _LONGEST_WAIT_SECONDS)
        found = one((yield from caller.get(_path(period), fresh=True)), Row)
    return found


class PeriodCalls:
    _caller: Caller

    @endpoint
    def list(self) -> Flow[Page[Row]]:
        """The calendar months (UTC) from the first call to now: `.period`, `.status`."""
        return many((yield from self._caller.get(_PATH, scoped(self._caller, {}))), Row)

    @endpoint
    def get(self, period: str, /) -> Flow[Row]:
        """One month, such as `2026-10`; `.totals` per currency once it is closed."""
        return one((yield from self._caller.get(_path(period))), Row)

    @endpoint
    def close(
        self, period: str, /, *, strict: bool = False, timeout: float = WAIT_SECONDS
    ) -> Flow[Row]:
        """Freeze a month that is over; `.warnings`. Raises ConflictError where it is not over or
        not the next, and with `strict` while a call of it has no price; TimeoutError when its books
        are not added up after `timeout` seconds (it is frozen then, and a worker goes on)."""
        body = {"strict": True} if strict else {}
        return (yield from settled(self._caller, period, "close", body, timeout))

    @endpoint
    def reopen(self, period: str, /, reason: str, *, timeout: float = WAIT_SECONDS) -> Flow[Row]:
        """Open the last closed month again; the audit log keeps the reason. Raises ConflictError
        for another month, TimeoutError when it is not open after `timeout` seconds."""
        return (yield from settled(self._caller, period, "reopen", {"reason": reason}, timeout))

    @endpoint
    def statement(self, period: str, /) -> Flow[Row]:
        """What a month cost: `.totals`, `.calls` by provider, model, project and team, and
        `.corrections` by the month that they correct."""
        return one((yield from self._caller.get(_path(period, "statement"))), Row)

    @endpoint
    def statement_file(self, period: str, /, *, format: str = "csv") -> Flow[bytes]:
        """The statement as a file, csv or json."""
        params: dict[str, Any] = {"format": format}
        return (yield from self._caller.file(_path(period, "statement"), params))


def _path(*parts: str) -> str:
    return "/".join([_PATH, *(segment(part) for part in parts)])


class Periods(PeriodCalls, SyncResource):
    """`client.periods`"""


class AsyncPeriods(PeriodCalls, AsyncResource):
    """`client.periods` of the asynchronous client"""
