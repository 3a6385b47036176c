"""Settings of scheduled deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from llm_cost_ops.server.settings.spec import setting


def _absolute(values: tuple[str, ...]) -> str | None:
    fits = all(PurePath(value).is_absolute() for value in values)
    return None if fits else "absolute paths"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSettings:
    """`[schedules]`: files that are made and delivered at set times."""

    folders: tuple[str, ...] = setting(
        (),
        "Directories of the worker below which schedules may write, each organization in one of "
        "its own. None: no schedule writes to a folder.",
        check=_absolute,
    )
    attach_max_kb: int = setting(
        7_000,
        "Larger files are not attached to mail: it has a link instead.",
        low=0,
        high=100_000,
    )
    link_days: int = setting(
        7,
        "How long a link in a message fetches its file without signing in.",
        low=1,
        high=90,
    )
    keep_files_days: int = setting(
        30,
        "How long delivered files are kept, to fetch them.",
        low=1,
        high=3650,
    )
    keep_runs_days: int = setting(
        400,
        "How long it is kept what was delivered when and to whom.",
        low=31,
        high=3650,
    )
