"""How far a long import or export is, with its rate, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from llm_cost_ops.cli.profile import Profile

EVERY_RECORDS = 200

Tick = Callable[[], None]


@contextmanager
def progress(
    profile: Profile, name: str, size: int | None, read: Callable[[], int]
) -> Generator[Tick]:
    """Gives what is to be called for each record. Where standard error is no terminal, or with
    --quiet, nothing is shown."""
    if profile.quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    from llm_cost_ops.cli.tables import console_of, safe

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn() if size else MofNCompleteColumn(),
        TextColumn("{task.fields[records]:,} records, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=console_of(profile, stderr=True), transient=True) as bar:
        task = bar.add_task(safe(name), total=size, records=0, rate=0)
        records = 0

        def tick() -> None:
            nonlocal records
            records += 1
            if records % EVERY_RECORDS == 0:
                seconds = bar.tasks[0].elapsed or 1
                bar.update(task, completed=read(), records=records, rate=records / seconds)

        yield tick


@contextmanager
def download(profile: Profile, name: str) -> Generator[Callable[[int], None]]:
    """Gives what is to be told how many bytes have come; how many will, nobody knows."""
    if profile.quiet or not sys.stderr.isatty():
        yield lambda _size: None
        return
    from rich.progress import (
        DownloadColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TransferSpeedColumn,
    )

    from llm_cost_ops.cli.tables import console_of, safe

    columns = [
        SpinnerColumn(),
        TextColumn("{task.description}"),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    ]
    with Progress(*columns, console=console_of(profile, stderr=True), transient=True) as bar:
        task = bar.add_task(safe(name), total=None)
        yield lambda size: bar.update(task, completed=size)
