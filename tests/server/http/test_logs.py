"""Log lines are JSON and hold no secret, wherever it stands."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.server.access.secret import new_secret
from llm_cost_ops.server.http import logs
from llm_cost_ops.server.http.logs import (
    REDACTED,
    REQUESTS,
    RequestLog,
    configure_logging,
    logger,
    redact,
)
from llm_cost_ops.server.settings import LoggingSettings

CANARY = "Zk3Qx9Lm2Vb7Np4Rt6Ws"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(logs, "_request_lines", None)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(LoggingSettings(level="info"), stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


SECRETS = [
    new_secret("sk_live_"),
    new_secret("acme_"),
    f"sk-{CANARY}{CANARY}",
    f"whsec_{CANARY}",
    f"Bearer {CANARY}",
    f"basic {CANARY}",
    f"eyJhbGciOi{CANARY}.eyJzdWIi{CANARY}.{CANARY}",
    f"postgresql://user:{CANARY}@db/ledger",
    f"password={CANARY}",
    f"https://x/?access_token={CANARY}&y=1",
]


@pytest.mark.parametrize("secret", SECRETS, ids=range(len(SECRETS)))
@pytest.mark.parametrize("wrap", [str, lambda s: f"before {s} after", lambda s: {"a": [s]}])
def test_a_secret_is_known_by_its_shape(secret: str, wrap: Any) -> None:
    shown = json.dumps(redact(wrap(secret)))
    assert CANARY not in shown
    assert secret not in shown
    assert REDACTED in shown


@pytest.mark.parametrize(
    "name",
    ["password", "api_key", "Authorization", "client_secret", "refresh_token", "database_url",
     "cookie", "X-API-Key", "dsn", "secret", "digest"],
)  # fmt: skip
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert redact({"outer": {name: CANARY}}) == {"outer": {name: REDACTED}}


@pytest.mark.parametrize(
    "value",
    [
        {"total_tokens": 5, "prompt_tokens": 7, "key_id": "key_01M7X9VDKBXBJC4FWF76YBXE4W"},
        {"path": "/api/v1/usage", "request_id": "req_01M7X9V5QJ88ZRA0PYZY4F9DRV"},
        {"model": "gpt-4o-2024-08-06", "reason": "The database does not answer."},
        {"url": "http://127.0.0.1:8080", "password": None},
    ],
)
def test_what_is_no_secret_stays(value: Any) -> None:
    assert redact(value) == value


def test_depth_is_bounded() -> None:
    deep: Any = "x"
    for _ in range(1000):
        deep = [deep]
    assert REDACTED in json.dumps(redact(deep))


def test_our_lines_and_the_libraries_lines_are_json_without_secrets(lines: Any) -> None:
    logger("room").info("done", api_key=CANARY, note=f"Bearer {CANARY}", count=3)
    logging.getLogger("sqlalchemy.pool").warning("cannot reach postgresql://u:%s@h/d", CANARY)
    try:
        raise ValueError(f"password={CANARY}")
    except ValueError as error:
        logger("room").error("failed", exc_info=error)
    ours, theirs, failed = lines()
    assert list(ours)[:3] == ["timestamp", "level", "event"]
    assert (ours["event"], ours["count"], ours["api_key"]) == ("done", 3, REDACTED)
    assert (theirs["logger"], theirs["level"]) == ("sqlalchemy.pool", "warning")
    assert "ValueError" in failed["exception"]
    assert CANARY not in json.dumps([ours, theirs, failed])


def test_a_line_break_cannot_forge_a_line(lines: Any) -> None:
    logger("room").info("path", path='x\r\n{"event":"forged"}')
    (line,) = lines()
    assert line["path"] == 'x\r\n{"event":"forged"}'


def test_less_important_lines_are_left_out(lines: Any) -> None:
    logger("room").debug("noise")
    assert lines() == []


def test_text_for_people() -> None:
    stream = io.StringIO()
    before = logging.getLogger().handlers[:]
    configure_logging(LoggingSettings(format="text"), stream)
    logger("room").info("done", count=3)
    logging.getLogger().handlers[:] = before
    structlog.reset_defaults()
    assert "done" in stream.getvalue()
    assert "count=3" in stream.getvalue()


class _FullDisk(io.StringIO):
    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)

    def flush(self) -> None:
        if self.full:
            raise OSError(28, "No space left on device")


def test_a_log_that_cannot_be_written_costs_lines_and_says_how_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = _FullDisk()
    monkeypatch.setattr(sys, "stderr", disk)
    structlog.reset_defaults()
    log = logger("test")
    log.warning("first")
    log.warning("second")
    disk.full = False
    log.warning("third")
    structlog.reset_defaults()
    lines = [json.loads(line) for line in disk.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["log lines lost", "third"]
    assert lines[0]["lines"] == 2


ANSWERED = {"method": "GET", "status": 200, "request_id": "req_1"}


async def answered_twice() -> list[int]:
    """How many lines there are before the loop comes round and after."""
    log = RequestLog()
    root = logging.getLogger().handlers[0]
    assert isinstance(root, logging.StreamHandler)
    found: list[int] = []
    for now_us in (1_749_988_800_000_000, 1_749_988_800_500_000):
        log.write(now_us, ANSWERED)
    for _ in range(2):
        found.append(root.stream.getvalue().count("\n"))
        await asyncio.sleep(0)
    return found


def test_lines_of_requests_are_those_of_a_logger_written_together(lines: Any) -> None:
    assert asyncio.run(answered_twice()) == [0, 2]
    logger(REQUESTS).info("request", **ANSWERED)
    first, second, usual = lines()
    assert first.pop("timestamp") == "2025-06-15T12:00:00Z"
    assert second.pop("timestamp") == "2025-06-15T12:00:00.500000Z"
    del usual["timestamp"]
    assert first == second == usual


@pytest.mark.parametrize(
    ("settings", "shown"),
    [(LoggingSettings(level="warning"), 0), (LoggingSettings(format="text"), 2)],
)
def test_requests_follow_the_level_and_the_format(
    settings: LoggingSettings, shown: int, lines: Any
) -> None:
    root = logging.getLogger().handlers[0]
    assert isinstance(root, logging.StreamHandler)
    configure_logging(settings, root.stream)
    assert asyncio.run(answered_twice()) == [shown, shown]


def test_lines_written_together_are_all_counted_when_they_are_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = _FullDisk()
    monkeypatch.setattr(sys, "stderr", disk)
    monkeypatch.setattr(logs, "_request_lines", logs._StandardError())
    structlog.reset_defaults()

    async def answered(count: int) -> None:
        log = RequestLog()
        for _ in range(count):
            log.write(0, ANSWERED)
        await asyncio.sleep(0)

    asyncio.run(answered(50))
    disk.full = False
    asyncio.run(answered(1))
    structlog.reset_defaults()
    lost, answered_line = [json.loads(line) for line in disk.getvalue().splitlines()]
    assert (lost["event"], lost["lines"]) == ("log lines lost", 50)
    assert answered_line["event"] == "request"


@given(st.lists(st.integers(1, 9000), max_size=40))
def test_pieces_are_whole_lines_that_a_pipe_takes_at_once(sizes: list[int]) -> None:
    lines = [b"x" * (size - 1) + b"\n" for size in sizes]
    pieces = list(logs.in_pieces(lines))
    assert b"".join(pieces) == b"".join(lines)
    for piece in pieces:
        assert piece.endswith(b"\n")
        assert len(piece) <= logs.PIPE_BYTES or piece.count(b"\n") == 1
