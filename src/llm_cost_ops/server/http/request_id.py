"""The id of a request: the caller's when it is sane, else one of ours; echoed in every answer."""

from __future__ import annotations

import random
import re
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any

from llm_cost_ops.core.ids import single_id

HEADER = "X-Request-ID"
RAW_HEADER = b"x-request-id"
_SANE = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")

current: ContextVar[str] = ContextVar("request_id", default="")
"""The request being worked on, for log lines written below the edge."""


def choose(given: bytes | None, time_ms: int) -> str:
    """The caller's id if it is 1 to 128 letters, digits and `._:-`, otherwise a new one.

    Anything else could break log lines, headers and the column that stores it.
    """
    if given is not None and _SANE.fullmatch(given):
        return given.decode("ascii")
    # No secret, and asking the operating system would give the interpreter's lock away each time.
    return single_id("req", time_ms, random.getrandbits(80))


def request_id(scope: MutableMapping[str, Any]) -> str:
    """The id of the request of this ASGI scope; empty outside of the edge."""
    state: dict[str, Any] = scope.get("state") or {}
    found: str = state.get("request_id", "")
    return found
