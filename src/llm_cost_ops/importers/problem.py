"""What cannot be imported: rows (reported, the file goes on) and whole files (raised)."""

from __future__ import annotations

from dataclasses import dataclass

from llm_cost_ops.core.errors import DomainError


@dataclass(frozen=True, slots=True)
class ImportProblem:
    """A row that gives no record. `line` counts from 1; in Parquet files it is the row.

    `skipped` marks a row that was understood and has nothing to bill (a failed call, an answer
    from a cache); the others are faults.
    """

    line: int
    field: str | None
    message: str
    skipped: bool = False


class ImportFormatError(DomainError):
    """The file or the options make no sense as a whole: nothing can be read."""


class RowError(DomainError):
    """One row is at fault; the readers turn it into an ImportProblem."""


class NothingToBill(RowError):
    """The row is understood and stands for nothing that a provider bills."""


def problem_at(line: int, error: DomainError) -> ImportProblem:
    return ImportProblem(line, error.field, error.message, isinstance(error, NothingToBill))
