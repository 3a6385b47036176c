"""`export`: calls, or groups of them, as a file."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from llm_cost_ops.cli.command import single
from llm_cost_ops.cli.costs import (
    EndDate,
    Filters,
    Metadata,
    Models,
    Projects,
    Providers,
    StartDate,
    Tags,
    Users,
    Zone,
    filters_of,
    period_of,
)
from llm_cost_ops.cli.failure import ARGUMENTS, GENERAL, OK, CommandError
from llm_cost_ops.cli.profile import Profile

if TYPE_CHECKING:
    from llm_cost_ops.cli.connect import Api

ALL_TIME = "all-time"
STANDARD_OUTPUT = "-"
LOST = "the connection was lost in the middle of the file"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What is no fault of the arguments."""

_FORMATS = {
    ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".xlsx": "xlsx",
    ".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow",
}  # fmt: skip
_PACKED = (".gz", ".zst")
_OF_FORMAT = "csv, json, jsonl, xlsx, parquet, arrow, focus"
Format = Annotated[str, typer.Option("-f", "--format", help=f"{_OF_FORMAT}.")]
Period = Annotated[str | None, typer.Option(help="Named period; else all calls.")]
Fields = Annotated[str | None, typer.Option(help="The columns, with commas, in this order.")]
GroupBy = Annotated[
    str | None, typer.Option("--group-by", help="Dimensions of aggregates, with commas.")
]
Metrics = Annotated[str | None, typer.Option(help="Further metrics of aggregates.")]
Type = Annotated[
    str,
    typer.Option(
        "--type",
        help="costs, usage, calls (for an import), aggregates, audit, pricing or budgets.",
    ),
]
BillingPeriod = Annotated[
    str | None, typer.Option(help="A month such as 2026-10, as its books have it.")
]
FocusVersion = Annotated[str | None, typer.Option(help="Of focus: 1.2, 1.3 or 1.4.")]
FocusFile = Annotated[str | None, typer.Option(help="Of focus: csv or parquet.")]
FocusGrain = Annotated[str | None, typer.Option(help="Of focus: hour or day.")]
Compression = Annotated[
    str | None, typer.Option("--compress", help="gzip or zstd, of the whole file.")
]
Delimiter = Annotated[str | None, typer.Option(help="Of CSV: comma, semicolon or tab.")]
Bom = Annotated[bool, typer.Option("--bom", help="Begin CSV with a byte order mark, for Excel.")]
Totals = Annotated[
    bool, typer.Option("--totals", help="End CSV with a line of totals per currency.")
]
DecimalMark = Annotated[str | None, typer.Option(help="Of CSV: point or comma.")]


@single("export", organization=True, prints=False)
def export(
    profile: Profile,
    file: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="Where to; - is standard output.")
    ],
    form: Annotated[
        str | None,
        typer.Option("-f", "--format", help=f"{_OF_FORMAT}; else by the file's name, or csv."),
    ] = None,
    type_: Type = "costs",
    start_date: StartDate = None,
    end_date: EndDate = None,
    period: Period = None,
    billing_period: BillingPeriod = None,
    fields: Fields = None,
    group_by: GroupBy = None,
    metrics: Metrics = None,
    provider: Providers = None,
    model: Models = None,
    project: Projects = None,
    user: Users = None,
    tag: Tags = None,
    metadata: Metadata = None,
    filter_: Filters = None,
    timezone: Zone = None,
    focus_version: FocusVersion = None,
    focus_file: FocusFile = None,
    focus_grain: FocusGrain = None,
    compress: Compression = None,
    delimiter: Delimiter = None,
    decimal: DecimalMark = None,
    bom: Bom = False,
    totals: Totals = False,
) -> int:
    """Write calls with what they cost to a file, the oldest first; amounts have all their digits.

    Excel keeps 15 digits of a number: its first sheet has the totals as text, too.

    $ cost-ops export --period last-month --output costs.csv
    $ cost-ops export -f xlsx --start-date 2026-10-01 --end-date 2026-10-31 --output october.xlsx
    $ cost-ops export --type aggregates --group-by project,model --output projects.csv
    $ cost-ops export -f parquet --provider openai --output openai.parquet
    $ cost-ops export -f focus --billing-period 2026-10 --output october.csv
    $ cost-ops export -f focus --focus-version 1.3 --period last-month --output focus.csv
    """
    return _exported(profile, query_of({**locals(), "form": form or _named(file)}), file)


def _named(file: str) -> str:
    """The format that the name of a file says, such as `costs.jsonl.gz`."""
    path = Path(file.lower())
    path = path.with_suffix("") if path.suffix in _PACKED else path
    return _FORMATS.get(path.suffix, "csv")


def query_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the API is asked for, from the options of a command by their names. Raises
    CommandError."""
    when = (given["billing_period"], given["period"], given["start_date"], given["end_date"])
    filters = ("provider", "model", "project", "user", "tag", "metadata", "filter_")
    of_groups = given["group_by"] is not None and given["type_"] == "costs"
    return {
        **_when(*when),
        **filters_of(*(given[name] for name in filters)),
        "format": given["form"],
        "type": "aggregates" if of_groups else given["type_"],
        "include_fields": given["fields"],
        "group_by": given["group_by"],
        "metrics": given["metrics"],
        "timezone": given["timezone"],
        "focus_version": given["focus_version"],
        "focus_file": given["focus_file"],
        "focus_grain": given["focus_grain"],
        "compression": given["compress"],
        "delimiter": given["delimiter"],
        "decimal": given["decimal"],
        "bom": given["bom"] or None,
        "totals": given["totals"] or None,
    }


def _when(
    billing_period: str | None, period: str | None, start_date: str | None, end_date: str | None
) -> dict[str, Any]:
    if billing_period is None:
        return period_of(period, start_date, end_date, ALL_TIME)
    if period or start_date or end_date:
        raise CommandError("--billing-period has its own dates", exit_code=ARGUMENTS)
    return {"billing_period": billing_period}


def _exported(profile: Profile, params: dict[str, Any], file: str) -> int:
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        fetch(profile, api, "/costs/export", params, file)
    return OK


def fetch(profile: Profile, api: Api, path: str, params: dict[str, Any], file: str) -> None:
    """Write what the API answers to a file, or to standard output for `-`."""
    if file == STANDARD_OUTPUT:
        api.download(path, params, _Piped(sys.stdout.buffer))
        return
    with replacing(profile, Path(file)) as target:
        api.download(path, params, target)
    profile.note(f"{target.size:,} bytes written to {file}.")


class _Piped:
    """Standard output: what was written cannot be taken back, so there is one attempt."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._begun = False

    def restart(self) -> None:
        if self._begun:
            raise CommandError(LOST)
        self._begun = True

    def write(self, data: bytes) -> None:
        self._out.write(data)


class _Part:
    """A file that comes, and how much of it there is."""

    def __init__(self, file: IO[bytes], tick: Callable[[int], None]) -> None:
        self._file = file
        self._tick = tick
        self.size = 0

    def restart(self) -> None:
        """An attempt begins."""
        from llm_cost_ops.client import files

        if not files.restart(self._file, self.size):
            raise CommandError(LOST)
        self.size = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.size += len(data)
        self._tick(self.size)


@contextmanager
def replacing(profile: Profile, path: Path) -> Generator[_Part]:
    """A file that takes the place of what is there, on the disk, when the block ends well; a pipe
    or device is written to. Raises CommandError where that cannot be."""
    from llm_cost_ops.cli.progress import download
    from llm_cost_ops.client import files

    try:
        with files.replacing(path) as file, download(profile, path.name) as tick:
            yield _Part(file, tick)
    except OSError as error:
        told = f"{path}: {error.strerror or error}"
        if error.errno in _NO_ROOM:
            raise CommandError(told, code="IO_ERROR", exit_code=GENERAL) from None
        raise CommandError(told, exit_code=ARGUMENTS) from None


def put(profile: Profile, content: bytes, file: str) -> None:
    """Write what is there whole to a file, or to standard output for `-`."""
    if file == STANDARD_OUTPUT:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
        return
    with replacing(profile, Path(file)) as target:
        target.write(content)
    profile.note(f"{target.size:,} bytes written to {file}.")
