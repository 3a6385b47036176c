"""PostgreSQL connections through psycopg 3 that give up on a server that says nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.waiting import Ready
from sqlalchemy import URL, Engine, create_engine, event

from llm_cost_ops.server.db.pool import ClosingPool
from llm_cost_ops.server.db.waits import Waits
from llm_cost_ops.server.settings import DatabaseSettings

IDLE_IN_TRANSACTION_SECONDS = 600
"""A session that forgot its transaction would hold back vacuum; a slow export may take minutes."""


class TimedConnection(psycopg.Connection[Any]):
    """Raises OperationalError and closes itself when an answer takes longer than `answer_seconds`.

    The server's own statement_timeout cannot help when the server, or the way to it, hangs; TCP
    keepalive cannot when something in between still acknowledges packets.
    """

    answer_seconds: float | None = None

    def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
        if self.answer_seconds is not None:
            gen = self._bounded(gen, time.monotonic() + self.answer_seconds)
        return super().wait(gen, *arguments, **options)

    def _bounded(self, gen: Any, deadline: float) -> Generator[Any, Any, Any]:
        """`gen` step by step; psycopg wakes a waiting step every tenth of a second."""
        try:
            state = next(gen)
            while True:
                ready = yield state
                if ready == Ready.NONE and time.monotonic() > deadline:
                    self.pgconn.finish()
                    raise psycopg.OperationalError("the server did not answer in time")
                state = gen.send(ready)
        except StopIteration as done:
            return done.value

    @contextmanager
    def answering_within(self, seconds: float) -> Generator[None]:
        usual, self.answer_seconds = self.answer_seconds, seconds
        try:
            yield
        finally:
            self.answer_seconds = usual


def postgresql_engine(url: URL, settings: DatabaseSettings, waits: Waits) -> Engine:
    engine = create_engine(
        url,
        poolclass=ClosingPool,
        pool_size=settings.pool_size,
        max_overflow=settings.max_overflow,
        pool_timeout=settings.pool_timeout_seconds,
        pool_recycle=settings.pool_recycle_seconds,
        pool_use_lifo=True,
        isolation_level="READ COMMITTED",
        hide_parameters=True,
        echo=settings.echo,
        json_serializer=_as_given,
        json_deserializer=_as_text,
        connect_args=connect_arguments(settings, waits),
    )

    def do_connect(
        _dialect: object, _record: object, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> TimedConnection:
        return TimedConnection.connect(*arguments, **options)

    def on_connect(connection: TimedConnection, _record: object) -> None:
        connection.autocommit = True
        connection.execute(session_settings(waits).encode())
        connection.autocommit = False
        connection.answer_seconds = waits.answer_seconds

    event.listen(engine, "do_connect", do_connect)
    event.listen(engine, "connect", on_connect)
    return engine


def connect_arguments(settings: DatabaseSettings, waits: Waits) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "connect_timeout": math.floor(settings.connect_timeout_seconds),
        "application_name": "llm-cost-ops",
        "keepalives": 1,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }
    if waits.answer_seconds is not None:
        arguments["tcp_user_timeout"] = math.ceil(waits.answer_seconds * 1000)
    return arguments


def session_settings(waits: Waits) -> str:
    """One round trip of SET: poolers refuse them as start-up options."""
    return (
        f"SET statement_timeout = {waits.statement_ms};"
        f"SET lock_timeout = {waits.lock_ms};"
        f"SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION_SECONDS}s';"
        "SET TIME ZONE 'UTC'"
    )


def _as_given(text: str) -> str:
    """JSON columns carry JSON text on every database: what was validated is what is stored."""
    return text


def _as_text(raw: str | bytes) -> str:
    return raw.decode() if isinstance(raw, bytes) else raw
