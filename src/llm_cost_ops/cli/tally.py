"""What became of the records of a file, and how that is told."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llm_cost_ops.cli.output import Column, Listing, show_rows
from llm_cost_ops.cli.profile import Output, Profile

SHOWN_PROBLEMS = 20
SHOWN_FILES = 20
COUNTS = ("records", "created", "duplicates", "corrected", "failed", "skipped", "unpriced")
FIELDS = ("file", "format", "import_id", *COUNTS, "partially_priced", "undone", "problems")
COLUMNS = (
    Column("file"),
    Column("format"),
    Column("records", kind="count"),
    Column("created", kind="count"),
    Column("duplicates", kind="count"),
    Column("corrected", kind="count"),
    Column("failed", kind="count"),
    Column("skipped", kind="count"),
    Column("unpriced", kind="count"),
    Column("import_id", "import", optional=True),
)


@dataclass(slots=True)
class Tally:
    """One file's counts. `skipped` rows had nothing to bill; `unpriced` ones were created, without
    a price; `failed` are rows that could not be read and records that were refused."""

    file: str
    format: str | None = None
    import_id: str | None = None
    records: int = 0
    created: int = 0
    duplicates: int = 0
    corrected: int = 0
    failed: int = 0
    skipped: int = 0
    unpriced: int = 0
    partially_priced: int = 0
    undone: bool = False
    problems: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def fail(
        self, message: str, *, line: int | None, name: str | None = None, event: str | None = None
    ) -> None:
        """Count a fault; the first ones are kept with their texts."""
        self.failed += 1
        if len(self.problems) < SHOWN_PROBLEMS:
            given = {"line": line, "field": name, "event_id": event, "message": message}
            self.problems.append({key: value for key, value in given.items() if value is not None})

    def count(self, answer: Mapping[str, Any]) -> None:
        """Add the counts of a batch's answer; its refused items are counted by `fail`."""
        self.created += answer["created"]
        self.duplicates += answer["duplicates"]
        self.corrected += answer.get("corrected", 0)
        for result in answer["results"]:
            status = result.get("cost_status")
            if status != "priced" and result["status"] == "created":
                self.unpriced += status == "unpriced"
                self.partially_priced += status == "partially_priced"

    def wire(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FIELDS}


def show_tallies(profile: Profile, tallies: Sequence[Tally], *, dry_run: bool) -> None:
    """The summary on standard output, the problems on standard error."""
    totals: dict[str, Any] = {
        name: sum(getattr(tally, name) for tally in tallies) for name in COUNTS
    }
    totals["dry_run"] = dry_run
    shown = list(tallies)
    if profile.format is Output.TABLE:
        if len(shown) > SHOWN_FILES and not profile.verbose:
            shown = [t for t in shown if t.failed or t.created or t.corrected][:SHOWN_FILES]
        if len(tallies) > 1:
            shown = [*shown, _total(tallies, totals)]
    rows = [tally.wire() for tally in shown]
    show_rows(profile, rows, Listing(COLUMNS, FIELDS, totals, empty="Nothing to import."))
    if dry_run:
        profile.note("Dry run: nothing was sent.")
    for tally in tallies:
        _tell_problems(tally)


def _total(tallies: Sequence[Tally], totals: Mapping[str, Any]) -> Tally:
    total = Tally(f"{len(tallies):,} files")
    for name in COUNTS:
        setattr(total, name, totals[name])
    return total


def _tell_problems(tally: Tally) -> None:
    from llm_cost_ops.cli.tables import safe

    for problem in tally.problems:
        parts = [tally.file]
        if "line" in problem:
            parts.append(f"line {problem['line']}")
        if "event_id" in problem:
            parts.append(f"event {problem['event_id']}")
        fault = " ".join(str(problem[k]) for k in ("field", "message") if k in problem)
        print(safe(f"{', '.join(parts)}: {fault}"), file=sys.stderr)
    untold = tally.failed - len(tally.problems)
    if tally.problems and untold > 0:
        print(f"{tally.file}: {untold:,} more problems", file=sys.stderr)
    if tally.undone:
        print(f"{tally.file}: nothing of it was kept (--atomic)", file=sys.stderr)
