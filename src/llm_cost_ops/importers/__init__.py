"""Readers for usage that other systems recorded: each turns a stream into records and problems.

    from llm_cost_ops import importers

    with open("spend.csv", "rb") as stream:
        head = stream.read(importers.HEAD_BYTES)
        stream.seek(0)
        for item in importers.read(stream, format=importers.detect(head, "spend.csv")):
            if isinstance(item, importers.ImportProblem): ...

A record has the shape of `POST /api/v1/usage` (or, where it carries a `cost`, of
`POST /api/v1/costs`), always with `source` and an `event_id` that comes out the same each time the
same content is read, so that importing a file twice stores nothing new. Keys with a leading
underscore are signals for the ingest layer (see `record`). Readers do no I/O but reading their
stream, and hold no more than a row at a time; those of agent logs hold one entry per call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO, cast

from llm_cost_ops.importers.anthropic_usage import read_anthropic_costs, read_anthropic_usage
from llm_cost_ops.importers.claude_code import read_claude_code
from llm_cost_ops.importers.codex import read_codex
from llm_cost_ops.importers.detect import detect
from llm_cost_ops.importers.exported import read_export
from llm_cost_ops.importers.focus import read_focus, read_parquet_table
from llm_cost_ops.importers.helicone import read_helicone
from llm_cost_ops.importers.langfuse import read_langfuse
from llm_cost_ops.importers.lines import HEAD_BYTES, binary
from llm_cost_ops.importers.litellm import read_litellm
from llm_cost_ops.importers.mapping import ColumnMapping, parse_mapping
from llm_cost_ops.importers.native import read_json, read_jsonl
from llm_cost_ops.importers.openai_costs import read_openai_costs
from llm_cost_ops.importers.openai_usage import read_openai_usage
from llm_cost_ops.importers.packed import DamagedError
from llm_cost_ops.importers.problem import ImportFormatError, ImportProblem
from llm_cost_ops.importers.record import (
    AGGREGATE,
    GROWING,
    LINE,
    ImportOptions,
    ItemStream,
    Reader,
    Record,
    finish,
    pop_signals,
)
from llm_cost_ops.importers.responses import read_responses
from llm_cost_ops.importers.tabular import read_csv, read_tsv
from llm_cost_ops.importers.traces import read_azure_trace, read_mooncake_trace

__all__ = [
    "AGGREGATE",
    "FORMATS",
    "GROWING",
    "HEAD_BYTES",
    "LINE",
    "ColumnMapping",
    "Format",
    "ImportFormatError",
    "ImportOptions",
    "ImportProblem",
    "Record",
    "detect",
    "parse_mapping",
    "pop_signals",
    "read",
]


@dataclass(frozen=True, slots=True)
class Format:
    """A file format: what it is, and its reader. `seeks`: the reader needs the file itself."""

    description: str
    reader: Reader
    seeks: bool = False


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "json": Format('our records: an array or {"records": [..]}', read_json),
        "jsonl": Format("our records, one per line", read_jsonl),
        "responses": Format(
            "raw provider responses and batch results, one per line", read_responses
        ),
        "csv": Format("any CSV, columns named by --map", read_csv),
        "tsv": Format("any TSV, columns named by --map", read_tsv),
        "parquet": Format(
            "any Parquet file, columns named by --map", read_parquet_table, seeks=True
        ),
        "cost-ops": Format("our exports of calls (JSON, JSON lines)", read_export),
        "focus": Format("our FOCUS exports (CSV, Parquet)", read_focus),
        "azure-llm-trace": Format("Azure LLM inference trace (CSV)", read_azure_trace),
        "mooncake-trace": Format("Mooncake trace (JSON lines)", read_mooncake_trace),
        "openai-usage": Format("pages of the OpenAI usage API", read_openai_usage),
        "openai-costs": Format("pages of the OpenAI costs API", read_openai_costs),
        "anthropic-usage": Format(
            "pages of the Anthropic messages usage report", read_anthropic_usage
        ),
        "anthropic-costs": Format("pages of the Anthropic cost report", read_anthropic_costs),
        "litellm": Format("LiteLLM spend logs (JSON, JSON lines, CSV)", read_litellm),
        "langfuse": Format("Langfuse observations export (JSON, JSON lines, CSV)", read_langfuse),
        "helicone": Format("Helicone requests export (JSON, JSON lines, CSV)", read_helicone),
        "claude-code": Format("Claude Code session log", read_claude_code),
        "codex": Format("Codex session log (rollout)", read_codex),
    }
)


def read(
    stream: IO[bytes] | IO[str], *, format: str, options: ImportOptions | None = None
) -> ItemStream:
    """Records and problems of an opened file, in its order; gzip and zstd are unpacked.

    Raises ImportFormatError, at once or when the first item is asked for, where the format is
    unknown or the file or the options cannot be read as it.
    """
    known = FORMATS.get(format)
    if known is None:
        raise ImportFormatError(f"{format!r} is not one of {', '.join(FORMATS)}", field="format")
    return _finished(stream, known, options or ImportOptions())


def _finished(stream: IO[bytes] | IO[str], known: Format, options: ImportOptions) -> ItemStream:
    try:
        for item in known.reader(_body(stream, known), options):
            yield item if isinstance(item, ImportProblem) else finish(item, options)
    except DamagedError as error:
        message = f"the {error.packing} data is damaged; the rest of the file was not read"
        yield ImportProblem(0, None, message)


def _body(stream: IO[bytes] | IO[str], known: Format) -> IO[bytes]:
    if not known.seeks:
        return binary(stream)
    if not isinstance(stream.read(0), bytes):
        raise ImportFormatError("the file must be opened in binary mode")
    return cast("IO[bytes]", stream)
