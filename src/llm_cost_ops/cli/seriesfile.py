"""A dated series from a file or standard input, and the options that say how it is read."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from llm_cost_ops.cli.failure import ARGUMENTS, CommandError

if TYPE_CHECKING:
    from llm_cost_ops.core.series import Series


class Interval(StrEnum):
    """Steps of a series."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Gaps(StrEnum):
    """What a step without a row is."""

    MISSING = "missing"
    ZERO = "zero"


def series_of(file: str, interval: Interval | None, gaps: Gaps, as_of: str | None) -> Series:
    """The series of a file (`-`: standard input), without steps not over at `as_of`.

    Raises CommandError where there is no such file, SeriesError and InstantError.
    """
    from llm_cost_ops.core.instant import parse_instant
    from llm_cost_ops.core.series import finished
    from llm_cost_ops.core.seriestext import read_series

    with _lines(file) as lines:
        read = read_series(lines, interval=interval, gaps=gaps)
    return read if as_of is None else finished(read, parse_instant(as_of, "as_of"))


@contextmanager
def _lines(file: str) -> Generator[Iterable[str]]:
    if file == "-":
        yield _decoded(sys.stdin.buffer)
        return
    try:
        with Path(file).open("rb") as stream:
            yield _decoded(stream)
    except FileNotFoundError:
        raise CommandError(f"{file}: there is no such file", exit_code=ARGUMENTS) from None


def _decoded(stream: Iterable[bytes]) -> Iterator[str]:
    """Lines as text; bytes that are no UTF-8 make a date or number that is refused."""
    for number, line in enumerate(stream):
        text = line.decode("utf-8", "replace")
        yield text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}") if number == 0 else text
