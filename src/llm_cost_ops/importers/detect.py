"""Which format a file has, told from its beginning and, where that leaves it open, its name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import cast

from llm_cost_ops.importers.exported import is_export
from llm_cost_ops.importers.focus import is_focus
from llm_cost_ops.importers.jsonvalues import WRAPPERS
from llm_cost_ops.importers.packed import beginning
from llm_cost_ops.importers.problem import ImportFormatError
from llm_cost_ops.importers.traces import AZURE_COLUMNS, MOONCAKE_FIELDS

_PARQUET = b"PAR1"
_BOM = b"\xef\xbb\xbf"
_DECODER = json.JSONDecoder(strict=False)
_KEY = re.compile(r'"([A-Za-z_]{1,40})"\s*:')
_BODY_KEYS = frozenset(
    {"choices", "usageMetadata", "candidates", "billed_units", "output", "usage"}
)
_SAMPLE = 64 * 1024
_HELICONE_TIMES = frozenset({"requestcreatedat", "responsecreatedat", "createdat"})


def detect(head: bytes, filename: str = "") -> str:
    """The name of the format in FORMATS. `head` is the beginning of the file, 64 KiB will do.

    Raises ImportFormatError when nothing tells; the caller then has to name the format.
    """
    if head.startswith(_PARQUET):
        return "parquet"
    text = _text(head)
    name = filename.lower().removesuffix(".gz").removesuffix(".zst")
    if text.lstrip()[:1] in ("{", "["):
        found = _json_format(text.lstrip(), name)
    else:
        found = _table_format(text, name)
    if found is None:
        raise ImportFormatError(
            "the format cannot be told from the file: name it with --format", field="format"
        )
    return found


def _text(head: bytes) -> str:
    return beginning(head, _SAMPLE).removeprefix(_BOM).decode("utf-8", "replace")


def _json_format(text: str, name: str) -> str | None:
    first, single = _first_object(text)
    keys = frozenset(first) or frozenset(_KEY.findall(text[:4096]))
    if is_export(keys):
        return "cost-ops"
    for rule in (_log_format, _page_format, _export_format):
        found = rule(first, keys, text)
        if found is not None:
            return found
    if keys & {"provider", "model", "model_id"}:
        return "jsonl" if single and not name.endswith(".json") else "json"
    return None


def _first_object(text: str) -> tuple[Mapping[str, object], bool]:
    """The first object of the file, within its array or wrapper, and whether lines stand alone."""
    lines = not text.startswith("[")
    position = 0 if lines else len(text) - len(text[1:].lstrip())
    try:
        value: object = _DECODER.raw_decode(text, position)[0]
    except (ValueError, RecursionError):
        return _partial(text)
    if not isinstance(value, dict):
        return {}, False
    outer = cast("dict[str, object]", value)
    for wrapper in WRAPPERS:
        items = outer.get(wrapper)
        if isinstance(items, list) and items and isinstance(items[0], dict):
            inner = cast("dict[str, object]", items[0])
            return (outer if "object" in outer or "results" in inner else inner), False
    return outer, lines and "\n" not in text[: text.find("}")].rstrip("\n")


def _partial(text: str) -> tuple[Mapping[str, object], bool]:
    """A first object that is longer than the sample: the keys that its beginning shows."""
    return dict.fromkeys(_KEY.findall(text[:4096])), "\n" not in text[:1024]


def _log_format(first: Mapping[str, object], keys: frozenset[str], text: str) -> str | None:
    if "sessionId" in keys and keys & {"uuid", "parentUuid", "leafUuid", "message", "snapshot"}:
        return "claude-code"
    message = first.get("message")
    if isinstance(message, Mapping) and "usage" in message and "choices" not in keys:
        return "claude-code"
    if first.get("type") == "system" and keys >= {"subtype", "session_id"}:
        return "claude-code"
    if keys >= {"type", "payload"} or first.get("type") == "session_meta":
        return "codex"
    if first.get("type") in ("summary", "file-history-snapshot", "queue-operation"):
        return "claude-code" if '"sessionId"' in text or '"leafUuid"' in text else None
    return None


def _page_format(_first: Mapping[str, object], keys: frozenset[str], text: str) -> str | None:
    if "organization.costs.result" in text:
        return "openai-costs"
    if "organization.usage." in text:
        return "openai-usage"
    if "uncached_input_tokens" in text:
        return "anthropic-usage"
    if '"starting_at"' in text and '"amount"' in text:
        return "anthropic-costs"
    if '"bucket"' in text and '"start_time"' in text and "data" in keys:
        return "openai-usage"
    return None


def _export_format(first: Mapping[str, object], keys: frozenset[str], _text: str) -> str | None:
    normal = {key.replace("_", "").lower() for key in keys}
    if keys >= MOONCAKE_FIELDS:
        return "mooncake-trace"
    found = _export_of(normal)
    if found is not None:
        return found
    if "custom_id" in keys or "response" in keys:
        return "responses"
    if keys & _BODY_KEYS and not ("provider" in keys and "usage" in keys and "choices" not in keys):
        return "responses"
    return "responses" if isinstance(first.get("meta"), Mapping) else None


def _export_of(normal: set[str]) -> str | None:
    """The gateway export with these columns (without case and underscores)."""
    if normal & {"requestid", "id"} and normal & {"calltype", "customllmprovider"}:
        return "litellm"
    if normal & {"usagedetails", "traceid"} and normal & {
        "starttime",
        "model",
        "providedmodelname",
    }:
        return "langfuse"
    if normal & {"requestid", "responseid"} and normal & _HELICONE_TIMES:
        return "helicone"
    return None


def _table_format(text: str, name: str) -> str | None:
    header = text.split("\n", 1)[0].rstrip("\r")
    if "\t" in header and "," not in header:
        return "tsv"
    columns = [column.strip().strip('"') for column in header.split(",")]
    if len(columns) < 2:
        return {"csv": "csv", "tsv": "tsv"}.get(name.rpartition(".")[2])
    if is_focus(columns):
        return "focus"
    if set(AZURE_COLUMNS) <= set(columns):
        return "azure-llm-trace"
    return _export_of({column.replace("_", "").lower() for column in columns}) or "csv"
