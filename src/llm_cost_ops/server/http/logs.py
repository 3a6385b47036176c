"""One JSON line per event on standard error, with secrets taken out by name and by shape.

Bodies and query strings are never logged. What a driver or a library says goes through the same
redaction, because connection errors like to repeat the URL with its password.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any, TextIO, cast

import msgspec
import structlog

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.server.http.request_id import current
from llm_cost_ops.server.settings import LoggingSettings

REDACTED = "[redacted]"
REQUESTS = "request"
"""The logger of the edge: thousands of lines a second, whose only free texts it redacts itself."""
_MAX_DEPTH = 6
PIPE_BYTES = 4096
"""What Linux writes to a pipe without another's bytes between (PIPE_BUF)."""
_SECRET_NAMES = re.compile(
    r"(?:^|[_-])(?:authorization|cookie|credentials?|digest|key|passwd|password|pwd|secret|token)s?$"
    r"|^(?:api|secret)_?key|^dsn$|database_url$|redis_url$",
    re.IGNORECASE,
)
_SECRET_VALUES = re.compile(
    r"(?P<scheme>\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|(?P<userinfo>[a-z][a-z0-9+.-]*://[^\s:@/]*:)[^\s@/]+(?=@)"
    r"|(?P<pair>\b(?:password|passwd|secret|api_?key|access_token)=)[^\s&;,'\"]+"
    r"|\b(?:sk|rk|pk|whsec|llmco_sk)[_-][A-Za-z0-9_-]{12,}"
    r"|\b[A-Za-z0-9]{1,16}_(?:[A-Za-z0-9]{1,12}_)?[A-Za-z0-9]{49}\b"
    r"|\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}",
    re.IGNORECASE,
)


def redact_text(text: str) -> str:
    """The text without anything that looks like a key, a token or a password in a URL."""
    return _SECRET_VALUES.sub(_shorten, text)


def _shorten(match: re.Match[str]) -> str:
    kept = match.group("scheme") or match.group("userinfo") or match.group("pair") or ""
    return f"{kept}{REDACTED}"


def redact(value: object, depth: int = 0) -> object:
    """The value as it may be logged: by name where there is one, by shape everywhere."""
    if isinstance(value, str):
        return redact_text(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if depth >= _MAX_DEPTH:
        return REDACTED
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return {str(k): _named(str(k), v, depth) for k, v in pairs}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redact(item, depth + 1) for item in cast("Sequence[object]", value)]
    return redact_text(str(value))


def _named(name: str, value: object, depth: int) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value  # counts of tokens are no tokens
    return REDACTED if _SECRET_NAMES.search(name) else redact(value, depth + 1)


def _redacting(_: object, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    if event.get("logger") == REQUESTS and "exception" not in event:
        return event
    return {name: _named(name, value, 0) for name, value in event.items()}


def _with_request_id(_: object, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    identifier = current.get()
    if identifier:
        event.setdefault("request_id", identifier)
    return event


def _json(event: Mapping[str, object], **_: object) -> str:
    first = {name: event[name] for name in ("timestamp", "level", "event") if name in event}
    return msgspec.json.encode({**first, **event}).decode()


def _shared() -> list[Any]:
    return [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_request_id,
        structlog.processors.format_exc_info,
        _redacting,
    ]


class _StandardError:
    """Whatever stands for standard error at the moment of writing.

    A log that cannot be written (its disk is full, its reader is gone) costs lines and not calls:
    they are counted, and the count is the first thing said when it can be written again.
    """

    def __init__(self) -> None:
        self._lost = 0

    def write(self, text: str) -> int:
        try:
            if self._lost:
                sys.stderr.write(_json({"level": "warning", "event": "log lines lost",
                                        "lines": self._lost}) + "\n")  # fmt: skip
                self._lost = 0
            return sys.stderr.write(text)
        except OSError:
            self._lost += text.count("\n") or 1
            return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):  # told by the next write
            sys.stderr.flush()


def abandon_unwritten() -> None:
    """At the end of a process: what standard error could not take is not tried once more, because
    Python then ends with 120 whatever the process came to."""
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


class RequestLog:
    """One line per answered request, as `logger(REQUESTS).info("request", ...)` would write it.

    Lines of JSON are written together when the event loop comes round: a write of its own for each
    gives the interpreter's lock away thousands of times a second.
    """

    def __init__(self) -> None:
        self._log = logger(REQUESTS)
        self._target = _request_lines
        self._lines: list[bytes] = []

    def write(self, now_us: int, fields: Mapping[str, object]) -> None:
        """`now_us` is the line's time in microseconds since 1970. Texts must be redacted."""
        if self._target is None:
            self._log.info("request", **fields)
            return
        head = {"timestamp": format_micros(now_us), "level": "info", "event": "request"}
        line = msgspec.json.encode({**head, "logger": REQUESTS, **fields}) + b"\n"
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._flush, self._target)
        self._lines.append(line)

    def _flush(self, target: TextIO) -> None:
        lines, self._lines = self._lines, []
        for text in in_pieces(lines):
            target.write(text.decode())
            target.flush()


def in_pieces(lines: Sequence[bytes]) -> Iterator[bytes]:
    """Whole lines, in pieces that a pipe takes in one go: several processes may write to it."""
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) > PIPE_BYTES:
            yield piece
            piece = b""
        piece += line
    if piece:
        yield piece


_request_lines: TextIO | None = None
"""Where lines of requests go when they are JSON and their level is written."""


def configure_logging(settings: LoggingSettings, stream: TextIO | None = None) -> None:
    """Send every log line of this process, ours and the libraries', to `stream` (stderr)."""
    target = stream if stream is not None else cast("TextIO", _StandardError())
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    last: Any = (
        structlog.dev.ConsoleRenderer(colors=False)
        if settings.format == "text"
        else structlog.processors.JSONRenderer(serializer=_json)
    )
    _configure_own(level, last, target)
    global _request_lines
    wanted = settings.format != "text" and level <= logging.INFO
    _request_lines = target if wanted else None
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *_shared()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic", "sqlalchemy"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # it would log query strings


def _configure_own(level: int, last: Any, target: TextIO) -> None:
    structlog.configure(
        processors=[*_shared(), last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger bound to the configuration of this moment: take it when an app is built.

    Without `configure_logging` (an app inside another program) only warnings are written.
    """
    if not structlog.is_configured():
        last = structlog.processors.JSONRenderer(serializer=_json)
        _configure_own(logging.WARNING, last, cast("TextIO", _StandardError()))
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger().bind(logger=name)
    return bound
