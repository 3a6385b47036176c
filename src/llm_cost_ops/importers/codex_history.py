"""Which lines of a Codex rollout are the session's own, and which it copied from its parent.

A forked session and a spawned agent begin with a copy of the parent's history, token counts
included and stamped anew; counting it again multiplies the parent by the number of its children.
The copy ends with the first turn that was begun at or after the session itself. Turn ids are
UUIDv7 and hold the time when the turn was begun; where they are not, `started_at` of the task
does, and where that is missing too, the stamp of the line, because the whole copy is written
within the second in which the session is created.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast
from uuid import UUID

from llm_cost_ops.core.instant import parse_instant, to_micros
from llm_cost_ops.importers.fields import text_of

_COPY_SPAN_MS = 2000
_SECOND_MS = 1000


def parent_of(meta: Mapping[str, object]) -> str | None:
    """The id of the session that this one was forked or spawned from, by any of its spellings."""
    spawned = _member(_member(meta.get("source"), "subagent"), "thread_spawn")
    parents = (
        meta.get("forked_from_id"),
        meta.get("parent_thread_id"),
        _member(spawned, "parent_thread_id"),
    )
    for value in parents:
        found = text_of(value, "parent_thread_id")
        if found is not None:
            return found
    return None


def _member(value: object, name: str) -> object:
    """A member of what may be an object, as `source` is in spawned sessions and text in others."""
    return cast("dict[str, object]", value).get(name) if isinstance(value, dict) else None


class History:
    """Tells, line by line, whether the reader is past the copied history (`own`)."""

    def __init__(self) -> None:
        self.thread: str | None = None
        self.parent: str | None = None
        self.own = True
        self._begun_ms: int | None = None
        self._had_turn = False

    def session(self, meta: Mapping[str, object], written: str | None) -> bool:
        """Take in a `session_meta` line; True for the session's own, which is the first."""
        identity = text_of(meta.get("id"), "id") or text_of(meta.get("session_id"), "session_id")
        if self.thread is not None:
            # Another session's header, before a turn of our own, opens copied history.
            if identity != self.thread and not self._had_turn:
                self.own = False
            return False
        self.thread = identity
        self.parent = parent_of(meta)
        self.own = self.parent is None
        self._begun_ms = (
            _uuid_ms(identity) or _stamp_ms(meta.get("timestamp")) or _stamp_ms(written)
        )
        return True

    def turn(self, payload: Mapping[str, object], written: str | None) -> None:
        """Take in the begin of a turn (`turn_context`, `task_started`)."""
        if (
            self.own
            or self._begun_ms is None
            or self._began_since(payload, written, self._begun_ms)
        ):
            self.own = self._had_turn = True

    def _began_since(
        self, payload: Mapping[str, object], written: str | None, begun_ms: int
    ) -> bool:
        turn_ms = _uuid_ms(text_of(payload.get("turn_id"), "turn_id"))
        if turn_ms is not None:
            return turn_ms >= begun_ms
        started = payload.get("started_at")
        if isinstance(started, int):
            return started >= begun_ms // _SECOND_MS
        stamp_ms = _stamp_ms(written)
        return stamp_ms is not None and stamp_ms > begun_ms + _COPY_SPAN_MS


def _uuid_ms(text: str | None) -> int | None:
    """Milliseconds since 1970 in a UUIDv7; None for anything else."""
    try:
        identity = UUID(text or "")
    except ValueError:
        return None
    return identity.int >> 80 if identity.version == 7 else None


def _stamp_ms(value: object) -> int | None:
    return to_micros(parse_instant(value)) // 1000 if isinstance(value, str) and value else None
