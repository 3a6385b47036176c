"""The operations of files: exports and schedules, for tests of every operation."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.operation import Body, Operation

SCHEDULE: Body = {
    "frequency": "monthly",
    "time": "09:00",
    "day": 31,
    "timezone": "Europe/Berlin",
    "format": "excel",
    "catch_up": "all",
    "delivery": [
        {"type": "email", "recipients": ["finance@example.com"]},
        {"type": "slack", "url": "https://hooks.invalid/x"},
    ],
}

EXPORTS: Mapping[str, Operation] = {
    **dict.fromkeys(
        (
            "exportCosts",
            "getFocusMetadata",
            "listSchedules",
            "getSchedule",
            "deleteSchedule",
            "pauseSchedule",
            "resumeSchedule",
            "runSchedule",
            "listScheduleRuns",
            "getScheduleRun",
            "downloadScheduleRun",
        ),
        Operation("export:data", also=("read:costs",)),
    ),
    "createSchedule": Operation(
        "export:data",
        (SCHEDULE, {"cron": "0 9 * * 1", "delivery": {"method": "download"}, "name": "@new"}),
        also=("read:costs",),
    ),
    "updateSchedule": Operation(
        "export:data", ({"time": "10:00", "period": "last-7-days"},), also=("read:costs",)
    ),
    "changeSchedule": Operation(
        "export:data", ({"name": "y", "paused": True},), also=("read:costs",)
    ),
}

BY_LINK = frozenset({"fetchDelivery"})
"""Operations that a signed link opens: tests/server/schedules has their tests."""
