"""Codex session logs (`~/.codex/sessions/**/rollout-*.jsonl`).

`token_count` events carry the running total of the session and the usage of the last response. A
call is the growth of the total; an event that repeats the total is a notice, and where the total
falls (compaction, rollback) the last response's own usage stands. Since version 0.153 each
response also writes a `token_usage_record` with its id, just before the event that mirrors it: the
record is the call then, and it also covers compactions, which the events leave out. Input contains
cached tokens, output contains reasoning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import IO, NamedTuple, cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.importers.attribution import provider_of_model
from llm_cost_ops.importers.codex_history import History
from llm_cost_ops.importers.counts import without_zeros
from llm_cost_ops.importers.fields import count_of, object_of, text_of
from llm_cost_ops.importers.identity import content_digest, natural_id
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

SOURCE = "codex"
_WORDS = (
    b"token_count", b"token_usage_record", b"session_meta", b"turn_context", b"task_started",
    b"thread_settings_applied",
)  # fmt: skip
_TIERS = {"priority": "priority", "fast": "priority", "default": "standard", "standard": "standard"}
_UNMIRRORED = 16


class Counts(NamedTuple):
    """Counts of one response, or running totals."""

    input: int
    cached: int
    written: int
    output: int
    reasoning: int


def read_codex(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    session = _Session(options)
    line = 0
    for item in log_lines(stream, options.max_row_bytes, _WORDS):
        if isinstance(item, ImportProblem):
            yield item
            continue
        line = item.line
        try:
            yield from session.hear(item.row)
        except DomainError as error:
            yield problem_at(line, error)
    if session.copied and not session.history.own:
        yield ImportProblem(
            line,
            None,
            f"all {session.copied} token counts are copied from session {session.history.parent}",
            skipped=True,
        )


class _Session:
    """What the log has said so far."""

    def __init__(self, options: ImportOptions) -> None:
        self.history = History()
        self.copied = 0
        self._options = options
        self._meta: Mapping[str, object] = {}
        self._model: str | None = None
        self._tier: str | None = None
        self._turn: str | None = None
        self._total: Counts | None = None
        self._epoch = 0
        self._responses: set[str] = set()
        self._unmirrored: deque[tuple[Counts | None, Counts | None]] = deque(maxlen=_UNMIRRORED)

    def hear(self, row: Row) -> Iterator[Record]:
        """Take in one line; yields the call that it reports, if it reports one."""
        payload = object_of(row.get("payload"), "payload")
        written = text_of(row.get("timestamp"), "timestamp")
        kind = row.get("type")
        if kind == "event_msg":
            kind = payload.get("type")
        if kind == "session_meta" and self.history.session(payload, written):
            self._meta = payload
        elif kind in ("turn_context", "task_started"):
            self.history.turn(payload, written)
            self._model = text_of(payload.get("model"), "payload.model") or self._model
            self._turn = text_of(payload.get("turn_id"), "payload.turn_id") or self._turn
        elif kind == "thread_settings_applied":
            self._settle(object_of(payload.get("thread_settings"), "payload.thread_settings"))
        elif kind == "token_usage_record":
            yield from self._record(payload, written)
        elif kind == "token_count":
            yield from self._count(object_of(payload.get("info"), "payload.info"), written)

    def _settle(self, settings: Mapping[str, object]) -> None:
        self._model = text_of(settings.get("model"), "thread_settings.model") or self._model
        if "service_tier" in settings:
            tier = text_of(settings.get("service_tier"), "thread_settings.service_tier")
            self._tier = _TIERS.get(tier or "")

    def _record(self, payload: Mapping[str, object], written: str | None) -> Iterator[Record]:
        usage = _counts(payload.get("usage"))
        if usage is None:
            raise RowError("is required", field="payload.usage")
        thread = text_of(payload.get("thread_id"), "payload.thread_id")
        if (thread is not None and thread != self.history.thread) or (
            thread is None and not self.history.own
        ):
            self.copied += 1
            return
        response = text_of(payload.get("response_id"), "payload.response_id")
        identity = response or content_digest([self.history.thread, written, usage])
        if identity in self._responses:
            return
        self._responses.add(identity)
        self._unmirrored.append((usage, _counts(payload.get("thread_token_usage"))))
        yield from self._call(natural_id(identity), written, usage)

    def _count(self, info: Mapping[str, object], written: str | None) -> Iterator[Record]:
        total, last = _counts(info.get("total_token_usage")), _counts(info.get("last_token_usage"))
        if total is None and last is None:
            return
        previous, self._total = self._total, total or self._total
        if not self.history.own:
            self.copied += 1
            return
        if self._mirrors(total, last):
            return
        usage = self._growth(previous, total, last)
        if usage is not None:
            yield from self._call(self._event_id(written, total, last), written, usage)

    def _mirrors(self, total: Counts | None, last: Counts | None) -> bool:
        """Whether the event repeats a `token_usage_record` that was counted already."""
        for index, (usage, thread_total) in enumerate(self._unmirrored):
            if (last is not None and last == usage) or (
                total is not None and total == thread_total
            ):
                del self._unmirrored[index]
                return True
        return False

    def _growth(
        self, previous: Counts | None, total: Counts | None, last: Counts | None
    ) -> Counts | None:
        if total is None or previous is None:
            return last or total
        if total == previous:
            return None
        if any(now < before for now, before in zip(total, previous, strict=True)):
            self._epoch += 1
            return last or total
        return Counts(*(now - before for now, before in zip(total, previous, strict=True)))

    def _event_id(self, written: str | None, total: Counts | None, last: Counts | None) -> str:
        """The running total names the call, whatever was written before or after it."""
        thread = self.history.thread
        if thread is None or total is None:
            return content_digest([thread, written, total, last])
        return natural_id(thread, str(self._epoch), f"{total.input}+{total.output}")

    def _call(self, event_id: str, written: str | None, usage: Counts) -> Iterator[Record]:
        if not any(usage):
            return
        if usage.cached + usage.written > usage.input:
            raise RowError("more tokens cached than sent", field="cached_input_tokens")
        model = self._model or self._options.model
        if model is None:
            raise RowError("the session names no model: give one with --model", field="model")
        yield {
            "source": SOURCE,
            "event_id": event_id,
            "timestamp": stamp(written, "timestamp"),
            "provider": self._provider(model),
            "model": model,
            "usage": without_zeros(
                {
                    "input_tokens": usage.input,
                    "cache_read_tokens": usage.cached,
                    "cache_write_tokens": usage.written,
                    "output_tokens": usage.output,
                    "output_reasoning_tokens": usage.reasoning,
                }
            ),
            "service_tier": self._tier,
            "metadata": self._metadata(),
            GROWING: True,
        }

    def _provider(self, model: str) -> str:
        named = text_of(self._meta.get("model_provider"), "model_provider")
        known = named if named and provider_id(named) else None
        return self._options.provider or known or provider_of_model(model) or "openai"

    def _metadata(self) -> dict[str, object]:
        git = object_of(self._meta.get("git"), "git")
        cwd = text_of(self._meta.get("cwd"), "cwd")
        return metadata(
            session_id=self.history.thread,
            parent_session_id=self.history.parent,
            turn_id=self._turn,
            project=cwd.replace("\\", "/").rstrip("/").rpartition("/")[2] if cwd else None,
            cwd=cwd,
            version=text_of(self._meta.get("cli_version"), "cli_version"),
            originator=text_of(self._meta.get("originator"), "originator"),
            git_branch=text_of(git.get("branch"), "git.branch"),
        )


def _counts(value: object) -> Counts | None:
    if not isinstance(value, dict):
        return None
    block = cast("Row", value)
    names = (
        ("input_tokens",),
        ("cached_input_tokens", "cache_read_input_tokens"),
        ("cache_write_input_tokens",),
        ("output_tokens",),
        ("reasoning_output_tokens",),
    )
    return Counts(*(_first(block, *choices) for choices in names))


def _first(block: Mapping[str, object], *names: str) -> int:
    found = (count_of(block.get(name), name) for name in names)
    return next((count for count in found if count is not None), 0)
