"""The period that another one is compared with."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from llm_cost_ops.core.period import ALL_TIME, HOUR_US, PeriodError, Window, days_window
from llm_cost_ops.core.report.compare import earlier, whole_days

BERLIN = ZoneInfo("Europe/Berlin")


def days(first: str, last: str) -> Window:
    return days_window(date.fromisoformat(first), date.fromisoformat(last), BERLIN)


@pytest.mark.parametrize(
    ("how", "window", "before"),
    [
        ("previous", ("2026-11-01", "2026-11-30"), ("2026-10-02", "2026-10-31")),
        ("previous", ("2026-03-29", "2026-03-29"), ("2026-03-28", "2026-03-28")),
        ("month", ("2026-03-01", "2026-03-31"), ("2026-02-01", "2026-02-28")),
        ("month", ("2026-02-01", "2026-02-28"), ("2026-01-01", "2026-01-31")),
        ("month", ("2026-03-30", "2026-03-31"), ("2026-02-28", "2026-02-28")),
        ("month", ("2026-01-05", "2026-01-10"), ("2025-12-05", "2025-12-10")),
        ("year", ("2024-02-01", "2024-02-29"), ("2023-02-01", "2023-02-28")),
        ("year", ("2025-02-01", "2025-02-28"), ("2024-02-01", "2024-02-29")),
        ("year", ("2026-01-01", "2026-12-31"), ("2025-01-01", "2025-12-31")),
    ],
)
def test_whole_days(how: str, window: tuple[str, str], before: tuple[str, str]) -> None:
    assert earlier(days(*window), BERLIN, how) == days(*before)


def test_a_part_of_a_day_is_compared_with_as_long_a_time() -> None:
    day = days("2026-11-10", "2026-11-10")
    noon = Window(day.start_us, day.start_us + 12 * HOUR_US)
    assert whole_days(noon, BERLIN) is None
    assert earlier(noon, BERLIN, "previous") == Window(day.start_us - 12 * HOUR_US, day.start_us)
    october = days("2026-10-10", "2026-10-10").start_us  # summer time: by the clock all the same
    assert earlier(noon, BERLIN, "month") == Window(october, october + 12 * HOUR_US)


def test_what_has_nothing_to_be_compared_with() -> None:
    day = days("2026-11-10", "2026-11-10")
    assert earlier(day, BERLIN, "none") is None
    assert earlier(ALL_TIME, BERLIN, "previous") is None
    assert earlier(Window(ALL_TIME.start_us, day.end_us), BERLIN, "year") is None
    with pytest.raises(PeriodError):
        earlier(day, BERLIN, "week")
