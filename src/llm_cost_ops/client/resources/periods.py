"""Billing periods: months that are closed, and what their statements say."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.client.caller import Caller, many, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.lists import scoped
from llm_cost_ops.client.rows import Row

_PATH = "/periods"


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
    def close(self, period: str, /, *, strict: bool = False) -> Flow[Row]:
        """Freeze a month that is over; `.warnings`. Raises ConflictError where it is not over or
        not the next, and with `strict` while a call of it has no price."""
        body = {"strict": True} if strict else {}
        return one((yield from self._caller.write("POST", _path(period, "close"), body)), Row)

    @endpoint
    def reopen(self, period: str, /, reason: str) -> Flow[Row]:
        """Open the last closed month again; the audit log keeps the reason. Raises ConflictError
        for another month."""
        body = {"reason": reason}
        return one((yield from self._caller.write("POST", _path(period, "reopen"), body)), Row)

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
