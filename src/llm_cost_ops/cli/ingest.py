"""`cost-ops ingest`: usage from files, standard input and agents' session logs into the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_cost_ops.cli.command import single
from llm_cost_ops.cli.failure import ARGUMENTS, GENERAL, OK, CommandError, report
from llm_cost_ops.cli.profile import Profile

if TYPE_CHECKING:
    from llm_cost_ops.cli.connect import Api
    from llm_cost_ops.cli.sending import Sending, SendOptions
    from llm_cost_ops.cli.sources import Place, Source
    from llm_cost_ops.cli.tally import Tally
    from llm_cost_ops.importers import ImportOptions, ImportProblem, Record

MAX_BATCH = 10_000

Paths = Annotated[list[str] | None, typer.Argument(help="Files and directories, like -f.")]
File = Annotated[
    list[str] | None,
    typer.Option(
        "-f",
        "--file",
        help="File to read, - for standard input, or a directory of Claude Code or Codex session "
        "logs; may be repeated.",
    ),
]
Provider = Annotated[
    str | None, typer.Option("-p", "--provider", help="Provider of records that name none.")
]
Model = Annotated[str | None, typer.Option("-m", "--model", help="Model of records without one.")]
FormatName = Annotated[str, typer.Option("--format", help="Format of the files; see above.")]
Map = Annotated[
    str | None,
    typer.Option("--map", help="Columns: field=COLUMN or field:=CONSTANT, with commas."),
]
BatchSize = Annotated[int, typer.Option("--batch-size", help="Records sent at once, 1 to 10000.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read only; send nothing.")]
SourceName = Annotated[
    str | None,
    typer.Option("--source", help="Replaces the source that is half of a record's identity."),
]
Zone = Annotated[str, typer.Option("--timezone", help="IANA zone of times without an offset.")]
Start = Annotated[
    str | None, typer.Option("--start", help="Instant that relative times count from.")
]
Name = Annotated[str | None, typer.Option("--name", help="Name of the import; else the file's.")]
SetField = Annotated[
    list[str] | None,
    typer.Option("--set", help="FIELD=VALUE for records without that field; repeatable."),
]
Delimiter = Annotated[str | None, typer.Option("--delimiter", help="Separator of CSV cells.")]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse calls that there is no price for.")]
Atomic = Annotated[bool, typer.Option("--atomic", help="All of a file, or nothing of it.")]


@single("ingest", organization=True)
def ingest(
    profile: Profile,
    paths: Paths = None,
    file: File = None,
    provider: Provider = None,
    model: Model = None,
    format: FormatName = "auto",
    map: Map = None,
    batch_size: BatchSize = 1000,
    dry_run: DryRun = False,
    source: SourceName = None,
    timezone: Zone = "UTC",
    start: Start = None,
    name: Name = None,
    set_: SetField = None,
    delimiter: Delimiter = None,
    strict: Strict = False,
    atomic: Atomic = False,
) -> int:
    """Import usage and costs. Importing a file again adds nothing: run an interrupted import anew.

    Each file is one import, which `cost-ops imports undo` takes back whole. Formats: json, jsonl
    (our records), responses (raw provider answers and batch results), csv, tsv, parquet (any
    columns, named by --map), openai-usage, openai-costs, anthropic-usage, anthropic-costs (pages of
    those APIs), litellm, langfuse, helicone (exports), cost-ops, focus (exports of another
    installation), claude-code, codex (session logs), azure-llm-trace, mooncake-trace; gzip and zstd
    are unpacked. The exit code is 1 when anything
    was refused.

    $ cost-ops ingest -f calls.jsonl
    $ cost-ops ingest -f in.csv --map 'provider:=openai,model=model,prompt_tokens=in,timestamp=at'
    $ cost-ops ingest -f ~/.claude/projects -f ~/.codex/sessions --set user_id=alice
    $ cat answers.jsonl | cost-ops ingest -f - --format responses --provider openai
    """
    if not 1 <= batch_size <= MAX_BATCH:
        raise CommandError(f"--batch-size must be from 1 to {MAX_BATCH}", exit_code=ARGUMENTS)
    from llm_cost_ops.cli.sending import SendOptions
    from llm_cost_ops.cli.sources import places
    from llm_cost_ops.importers import ImportOptions, parse_mapping

    found = places([*(file or ()), *(paths or ())])
    if not found and not (file or paths):
        raise CommandError("name a file: -f FILE, or - for standard input", exit_code=ARGUMENTS)
    _check_format(format)
    options = ImportOptions(
        source=source,
        provider=provider,
        model=model,
        mapping=parse_mapping(map) if map else None,
        time_zone=timezone,
        start=start,
        delimiter=delimiter,
        defaults=_defaults(set_ or ()),
        lines=True,
    )
    sending = None if dry_run else SendOptions(batch_size, atomic=atomic, strict=strict)
    return _Import(profile, format, options, sending, name).run(found)


def _check_format(format: str) -> None:
    from llm_cost_ops.importers import FORMATS

    if format != "auto" and format not in FORMATS:
        raise CommandError(
            f"--format must be auto or one of: {', '.join(FORMATS)}", exit_code=ARGUMENTS
        )


def _defaults(entries: Sequence[str]) -> dict[str, object]:
    """`project_id=web`, `tags=a,b`. Raises CommandError."""
    from llm_cost_ops.importers.mapping import TEXTS

    found: dict[str, object] = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals or not value or (name not in TEXTS and name != "tags"):
            known = ", ".join(sorted(TEXTS | {"tags"}))
            raise CommandError(
                f"--set {entry!r} is not FIELD=VALUE; fields: {known}", exit_code=ARGUMENTS
            )
        found[name] = [part for part in value.split(",") if part] if name == "tags" else value
    return found


class _Import:
    """One run of the command. Without `sending` it is a dry run."""

    def __init__(
        self,
        profile: Profile,
        format: str,
        options: ImportOptions,
        sending: SendOptions | None,
        name: str | None,
    ) -> None:
        self._profile = profile
        self._format = format
        self._options = options
        self._sending = sending
        self._name = name
        self._tallies: list[Tally] = []

    def run(self, found: Sequence[Place]) -> int:
        """The exit code; what was done before an error is told too."""
        from llm_cost_ops.cli.tally import show_tallies

        code = OK
        try:
            self._read_all(found)
        except (Exception, KeyboardInterrupt) as error:
            if not self._tallies:
                raise
            code = self._stopped(error)
        show_tallies(self._profile, self._tallies, dry_run=self._sending is None)
        failed = any(tally.failed for tally in self._tallies)
        return code or (GENERAL if failed else OK)

    def _stopped(self, error: BaseException) -> int:
        profile = self._profile
        code = report(error, verbose=profile.verbose, local=not profile.remote)
        if any(tally.import_id is not None for tally in self._tallies):
            profile.note("Stopped: run the same command again, nothing is stored twice.")
        return code

    def _read_all(self, found: Sequence[Place]) -> None:
        from llm_cost_ops.cli.connect import connected

        left_out = 0
        dry = self._sending is None
        with nullcontext() if dry else connected(self._profile, patient=True) as api:
            for place in found:
                left_out += not self._read(place, api)
        if left_out:
            self._profile.detail(f"{left_out:,} files are no session logs and were left out")

    def _read(self, place: Place, api: Api | None) -> bool:
        """False for a file in a directory that is no session log."""
        from llm_cost_ops.cli.progress import progress
        from llm_cost_ops.cli.sending import Sending
        from llm_cost_ops.cli.sources import opened
        from llm_cost_ops.cli.tally import Tally

        with opened(place, self._format) as source:
            if source.format is None and place.found:
                return False
            tally = Tally(place.name, source.format)
            self._tallies.append(tally)
            if source.format is None:
                return True
            with progress(self._profile, place.name, source.size, source.read) as tick:
                items = self._counted(source, tally, tick)
                if api is None or self._sending is None:
                    for _ in items:
                        pass
                else:
                    name = self._name or place.title
                    with Sending(api, tally, name, self._sending) as sending:
                        _send_all(sending, items)
        return True

    def _counted(self, source: Source, tally: Tally, tick: Any) -> Iterator[Record]:
        """The records of a source; its problems are told to the tally."""
        from llm_cost_ops.cli.sending import AtomicRefusal
        from llm_cost_ops.importers import ImportProblem, read

        for item in read(source.stream, format=source.format or "", options=self._options):
            tick()
            if not isinstance(item, ImportProblem):
                tally.records += 1
                yield item
            elif item.skipped:
                tally.skipped += 1
                self._tell_skipped(tally, item)
            else:
                tally.fail(item.message, line=item.line, name=item.field)
                if self._sending is not None and self._sending.atomic:
                    raise AtomicRefusal

    def _tell_skipped(self, tally: Tally, item: ImportProblem) -> None:
        self._profile.detail(f"{tally.file}, line {item.line}: skipped: {item.message}")


def _send_all(sending: Sending, items: Iterator[Record]) -> None:
    from llm_cost_ops.cli.sending import AtomicRefusal

    try:
        for record in items:
            sending.add(record)
        sending.finish()
    except AtomicRefusal:
        sending.give_up()
