"""Schedules of files: what is exported when, where it goes, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llm_cost_ops.client.caller import Caller, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.lists import listed, scoped
from llm_cost_ops.client.rows import Row

Destination = Mapping[str, Any] | str
_PATH = "/exports/schedules"


class Schedule(Row):
    """A schedule, without the secrets of its destinations."""

    __slots__ = ()

    id: str
    name: str
    what: str
    parameters: dict[str, Any]
    frequency: str
    time: str | None
    day: str | None
    cron: str | None
    timezone: str
    period: str
    catch_up: str
    destinations: list[dict[str, Any]]
    paused: bool
    paused_reason: str | None
    next_run_at: str | None


class ScheduleRun(Row):
    """A run of a schedule: its file, and what became of it at each destination."""

    __slots__ = ()

    id: str
    schedule_id: str
    scheduled_for: str
    status: str
    file: dict[str, Any] | None
    facts: dict[str, str]
    deliveries: list[dict[str, Any]]
    error: str | None


class SchedulingCalls:
    """What `client.export` does of schedules."""

    _caller: Caller
    _schedules = _PATH

    @endpoint
    def schedule(
        self,
        organization_id: str | None = None,
        *,
        delivery: Destination | Sequence[Destination],
        frequency: str | None = None,
        time: str | None = None,
        day: str | int | None = None,
        cron: str | None = None,
        timezone: str | None = None,
        period: str | None = None,
        catch_up: str | None = None,
        name: str | None = None,
        **export: Any,
    ) -> Flow[Schedule]:
        """Deliver an export again and again.

        `frequency`: hourly, daily, weekly, monthly, or `cron` with five fields; `time` HH:MM in
        the `timezone`; `day` a weekday, or a day of the month. `delivery`: one destination or
        several, such as `{"type": "email", "recipients": [..]}`. `period` is what a run is about,
        else the hour, day, week or month before it. Further arguments are those of `create`
        (`format`, `type`, `include_fields`, filters). Raises ValidationError naming the argument.
        """
        body = {
            "name": name,
            "frequency": frequency,
            "time": time,
            "day": day,
            "cron": cron,
            "timezone": timezone,
            "period": period,
            "catch_up": catch_up,
            "delivery": delivery,
            "organization_id": organization_id,
            **export,
        }
        given = {name: value for name, value in body.items() if value is not None}
        answer = yield from self._caller.write("POST", self._schedules, scoped(self._caller, given))
        return one(answer, Schedule)


class ReportSchedulingCalls(SchedulingCalls):
    """The same of `client.reports`: `type`, `format` and what else `generate` takes."""

    _schedules = "/reports/schedules"


class ScheduleCalls:
    _caller: Caller

    @endpoint
    def list(self, **query: Any) -> Flow[Page[Schedule]]:
        """The organization's schedules, the newest first."""
        return listed(self._caller, _PATH, scoped(self._caller, query), Schedule)

    @endpoint
    def get(self, schedule_id: str, /) -> Flow[Schedule]:
        """One schedule. Raises NotFoundError."""
        return one((yield from self._caller.get(_path(schedule_id), fresh=True)), Schedule)

    @endpoint
    def update(self, schedule_id: str, /, **fields: Any) -> Flow[Schedule]:
        """Change a schedule; what is not named stays. It runs in your name from then on."""
        answer = yield from self._caller.write("PATCH", _path(schedule_id), fields)
        return one(answer, Schedule)

    @endpoint
    def delete(self, schedule_id: str, /) -> Flow[None]:
        """Remove a schedule; files that were delivered stay as long as they are kept."""
        yield from self._caller.write("DELETE", _path(schedule_id))

    @endpoint
    def pause(self, schedule_id: str, /) -> Flow[Schedule]:
        """Let a schedule rest until it is resumed."""
        path = _path(schedule_id, "pause")
        return one((yield from self._caller.write("POST", path)), Schedule)

    @endpoint
    def resume(self, schedule_id: str, /) -> Flow[Schedule]:
        """Go on with the next time; what fell into the pause is not made up for."""
        path = _path(schedule_id, "resume")
        return one((yield from self._caller.write("POST", path)), Schedule)

    @endpoint
    def run(self, schedule_id: str, /) -> Flow[ScheduleRun]:
        """Run a schedule now, beside its own times; `get_run` tells what becomes of it."""
        path = _path(schedule_id, "run")
        return one((yield from self._caller.write("POST", path)), ScheduleRun)

    @endpoint
    def runs(self, schedule_id: str, /, **query: Any) -> Flow[Page[ScheduleRun]]:
        """Runs of a schedule, the newest first; `status` narrows them."""
        return listed(self._caller, _path(schedule_id, "runs"), query, ScheduleRun)

    @endpoint
    def get_run(self, run_id: str, /) -> Flow[ScheduleRun]:
        """One run. Raises NotFoundError."""
        return one((yield from self._caller.get(_path("runs", run_id), fresh=True)), ScheduleRun)

    @endpoint
    def download(self, run_id: str, /) -> Flow[bytes]:
        """The file of a run, as long as it is kept. Raises NotFoundError."""
        return (yield from self._caller.file(_path("runs", run_id, "file")))


class Schedules(ScheduleCalls, SyncResource):
    """`client.export.schedules`"""


class AsyncSchedules(ScheduleCalls, AsyncResource):
    """`client.export.schedules` of the asynchronous client"""


def _path(*parts: str) -> str:
    return _PATH + "".join(f"/{segment(part)}" for part in parts)
