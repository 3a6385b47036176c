"""Claude Code session logs (`~/.claude/projects/<project>/<session>.jsonl`).

The log writes an assistant message once per content block, each time with the counts so far, so
one call is one (message id, request id) and its last counts stand. Time and attributes are those
of the first line, so that they do not move while the log grows. Messages of the client itself
(`<synthetic>`) are no calls. A side conversation may repeat messages of its parent under another
request id: within one file the copy is dropped. An advisor's work is its own call with its own
model, which the message's counts do not contain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.importers.attribution import provider_of_model
from llm_cost_ops.importers.counts import anthropic_counts, anthropic_terms
from llm_cost_ops.importers.fields import amount_of, text_of
from llm_cost_ops.importers.identity import Ordinals, natural_id
from llm_cost_ops.importers.loglines import log_lines
from llm_cost_ops.importers.problem import ImportProblem, RowError, problem_at
from llm_cost_ops.importers.record import (
    GROWING,
    ImportOptions,
    ItemStream,
    Record,
    Row,
    metadata,
)
from llm_cost_ops.importers.times import stamp

SOURCE = "claude-code"
SYNTHETIC = "<synthetic>"
_ADVISOR = "advisor_message"
# The message id says where the model ran.
_HOSTS = {"msg_bdrk_": "aws", "msg_vrtx_": "google"}

Key = tuple[str, str]


@dataclass(slots=True)
class _Call:
    """A call as the log has told it so far: first line, last usage block."""

    line: int
    row: Row
    message: Mapping[str, object]
    usage: Mapping[str, object]


def read_claude_code(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    calls: dict[Key, _Call] = {}
    ordinals = Ordinals()
    for item in log_lines(stream, options.max_row_bytes, (b'"usage"',)):
        if isinstance(item, ImportProblem):
            yield item
            continue
        try:
            _hear(calls, ordinals, item.line, item.row)
        except DomainError as error:
            yield problem_at(item.line, error)
    originals: dict[str, list[_Call]] = {}
    for key, call in calls.items():
        if call.row.get("isSidechain") is not True:
            originals.setdefault(key[0], []).append(call)
    for key, call in calls.items():
        if call.row.get("isSidechain") is True and _is_copy(call, originals.get(key[0], [])):
            continue
        try:
            yield from _records(key, call, options)
        except DomainError as error:
            yield problem_at(call.line, error)


def _hear(calls: dict[Key, _Call], ordinals: Ordinals, line: int, row: Row) -> None:
    """Take in one line; lines that report no usage of an assistant message are passed over."""
    message = row.get("message")
    if row.get("type") not in ("assistant", None) or not isinstance(message, dict):
        return
    told = cast("Row", message)
    usage = told.get("usage")
    if not isinstance(usage, dict) or told.get("model") == SYNTHETIC:
        return
    message_id = text_of(told.get("id"), "message.id") or text_of(row.get("uuid"), "uuid")
    # Without any id nothing tells a repeated line from another call.
    key = (
        (message_id, _request_id(row, message_id))
        if message_id is not None
        else (ordinals.event_id(row), "")
    )
    call = calls.get(key)
    if call is None:
        calls[key] = _Call(line, _outline(row), _without_content(told), cast("Row", usage))
    else:
        call.usage = cast("Row", usage)


def _request_id(row: Row, message_id: str) -> str:
    """Newer logs leave the request id out. Anthropic's message ids are unique without it; those
    that gateways make up are so only within a session."""
    given = text_of(row.get("requestId"), "requestId")
    if given is not None or message_id.startswith("msg_"):
        return given or ""
    return text_of(row.get("sessionId"), "sessionId") or ""


def _is_copy(call: _Call, originals: list[_Call]) -> bool:
    """Whether a side conversation's message repeats one of the main conversation with its input."""
    return any(_input_of(call) == _input_of(original) for original in originals)


def _input_of(call: _Call) -> list[object]:
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return [call.usage.get(name) for name in names]


_KEPT = (
    "type", "timestamp", "requestId", "sessionId", "session_id", "cwd", "version", "gitBranch",
    "isSidechain", "agentId", "costUSD",
)  # fmt: skip


def _outline(row: Row) -> Row:
    return {name: row[name] for name in _KEPT if name in row}


def _without_content(message: Row) -> Row:
    return {name: message[name] for name in ("id", "model") if name in message}


def _records(key: Key, call: _Call, options: ImportOptions) -> Iterator[Record]:
    model = text_of(call.message.get("model"), "message.model") or options.model
    if model is None:
        raise RowError("is required", field="message.model")
    identity = [part for part in key if part]
    counts = anthropic_counts(call.usage)
    if counts:
        yield _record(identity, call, model, call.usage, counts, options)
    for number, block in enumerate(_advice(call.usage)):
        advised = text_of(block.get("model"), "usage.iterations.model")
        counts = anthropic_counts(block)
        if advised is not None and counts:
            yield _record([*identity, f"advisor-{number}"], call, advised, block, counts, options)


def _advice(usage: Mapping[str, object]) -> list[Mapping[str, object]]:
    rounds = usage.get("iterations")
    blocks = cast("list[object]", rounds) if isinstance(rounds, list) else []
    found = [cast("Row", block) for block in blocks if isinstance(block, dict)]
    return [block for block in found if block.get("type") == _ADVISOR]


def _record(
    identity: list[str],
    call: _Call,
    model: str,
    usage: Mapping[str, object],
    counts: dict[str, int],
    options: ImportOptions,
) -> Record:
    row = call.row
    return {
        "source": SOURCE,
        "event_id": natural_id(*identity),
        "timestamp": stamp(row.get("timestamp"), "timestamp"),
        "provider": options.provider or _provider(identity[0], model),
        "model": model,
        "usage": counts,
        **anthropic_terms(usage),
        "metadata": metadata(
            session_id=text_of(row.get("sessionId", row.get("session_id")), "sessionId"),
            project=_project(text_of(row.get("cwd"), "cwd")),
            cwd=text_of(row.get("cwd"), "cwd"),
            version=text_of(row.get("version"), "version"),
            git_branch=text_of(row.get("gitBranch"), "gitBranch"),
            sidechain=True if row.get("isSidechain") is True else None,
            agent_id=text_of(row.get("agentId"), "agentId"),
            claude_code_cost_usd=amount_of(row.get("costUSD"), "costUSD"),
        ),
        GROWING: True,
    }


def _provider(message_id: str, model: str) -> str:
    for start, host in _HOSTS.items():
        if message_id.startswith(start):
            return host
    return provider_of_model(model) or "anthropic"


def _project(cwd: str | None) -> str | None:
    return cwd.replace("\\", "/").rstrip("/").rpartition("/")[2] or None if cwd else None
