"""A dated series from a file or standard input, and the options that say how it is read."""

from __future__ import annotations

import re
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from llm_cost_ops.cli.failure import ARGUMENTS, CommandError
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.money import parse_decimal

if TYPE_CHECKING:
    from llm_cost_ops.core.series import Series


_BARE_POINT = re.compile(r"^(-?)\.(?=[0-9])", re.ASCII)


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
def named_as_typed(*options: str) -> Generator[None]:
    """Errors of these arguments name the option as it is typed: `as_of` is `--as-of`."""
    try:
        yield
    except DomainError as error:
        if error.field in options:
            error.field = "--" + error.field.replace("_", "-")
        raise


def number_of(text: str, field: str) -> Decimal:
    """A number of the command line, which may begin with its point. Raises AmountError."""
    return parse_decimal(_BARE_POINT.sub(r"\g<1>0.", text), field)


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
