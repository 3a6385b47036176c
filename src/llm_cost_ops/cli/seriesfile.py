"""A dated series from a file or standard input, and the options that say how it is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from llm_cost_ops.cli.output import Row
from llm_cost_ops.cli.textlines import text_lines
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


SeriesFile = Annotated[
    str | None,
    typer.Option(
        "--series",
        metavar="FILE",
        help="Instead of the ledger: CSV lines of date,value; - is stdin.",
    ),
]
StepLength = Annotated[
    Interval | None, typer.Option(help="Step of the series; read off its dates when left out.")
]
GapsAre = Annotated[
    Gaps, typer.Option(help="What a step without a row is; one with an empty value is missing.")
]
AsOf = Annotated[
    str | None,
    typer.Option(help="Leave out steps not over at this instant, ISO 8601, such as today's."),
]


def series_of(file: str, interval: Interval | None, gaps: Gaps, as_of: str | None) -> Series:
    """The series of a file (`-`: standard input), without steps not over at `as_of`; bytes that are
    no UTF-8 make a date or number that is refused.

    Raises CommandError where there is no such file, SeriesError and InstantError.
    """
    from llm_cost_ops.core.instant import parse_instant
    from llm_cost_ops.core.series import finished
    from llm_cost_ops.core.seriestext import read_series

    with text_lines(file, errors="replace") as lines:
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


def rounded(name: str) -> Callable[[Row], Decimal]:
    """An estimate to be looked at: six significant digits; the other formats have more."""

    def read(row: Row) -> Decimal:
        return Decimal(f"{Decimal(f'{row[name]:.6g}'):f}")

    return read
