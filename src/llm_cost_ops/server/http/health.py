"""Is this process alive, healthy, ready? Asked often and by anyone, so answers live for a second.

`/live` looks at nothing. `/health` and `/ready` ask the database, one question at a time however
many ask us; a database that hangs costs the asker two seconds and nobody else anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from anyio import to_thread

from llm_cost_ops.core.instant import format_instant
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import PASSING
from llm_cost_ops.server.db.health import Finding, findings, ping_ms
from llm_cost_ops.server.db.migrate import Migrations, SchemaState
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.settings import Settings

FRESH_SECONDS = 1.0
ANSWER_SECONDS = 2.0
FINDINGS_SECONDS = 600.0
FINDINGS_RETRY_SECONDS = 5.0
HEALTHY = "healthy"
DEGRADED = "degraded"
UNHEALTHY = "unhealthy"


@dataclass(slots=True)
class _Checked:
    """What the last look found. `at_s` is monotonic; `schema` is None when it could not be read."""

    at_s: float
    database: dict[str, object]
    cache: dict[str, object]
    schema: SchemaState | None = None

    @property
    def database_up(self) -> bool:
        return self.database["status"] == HEALTHY


class Health:
    """The state of one server process. `warnings` are further complaints, asked at each look."""

    def __init__(self, database: Database, clock: Clock, settings: Settings, version: str) -> None:
        self.draining = False
        self.warnings: list[Callable[[], Sequence[str]]] = []
        self._database = database
        self._clock = clock
        self._version = version
        self._started_s = clock.monotonic()
        self._cache = _cache_of(settings)
        self._migrations = Migrations()
        self._schema: SchemaState | None = None
        self._findings: Sequence[Finding] | None = None
        self._last: _Checked | None = None
        self._looking: asyncio.Task[_Checked] | None = None
        self._log = logger("health")

    async def health(self) -> tuple[int, dict[str, object]]:
        """Status and body of `/health`: 503 without a database, 200 without a cache."""
        checked = await self._checked()
        status = HEALTHY if checked.cache["status"] == HEALTHY else DEGRADED
        if not checked.database_up:
            status = UNHEALTHY
        body: dict[str, object] = {
            "status": status,
            "timestamp": format_instant(self._clock.now()),
            "version": self._version,
            "uptime_seconds": int(self._clock.monotonic() - self._started_s),
            "checks": {"database": checked.database, "cache": checked.cache},
        }
        return (503 if status == UNHEALTHY else 200), body

    async def ready(self) -> tuple[int, dict[str, object]]:
        """Status and body of `/ready`: 503 while stopping, without a database, or before its
        migrations. A schema newer than ours is served: that is a rolling upgrade."""
        if self.draining:
            return 503, self._readiness("draining", {}, [])
        checked = await self._checked()
        schema = checked.schema
        migrations = "unknown" if schema is None else "pending" if schema.pending else "current"
        if schema is not None and not schema.known:
            migrations = "newer"
        checks: dict[str, object] = {
            "database": checked.database,
            "migrations": {"status": migrations},
        }
        ready = checked.database_up and migrations in ("current", "newer")
        warnings = [str(finding) for finding in self._findings or ()]
        for complain in self.warnings:
            warnings.extend(complain())
        return (200 if ready else 503), self._readiness(
            "ready" if ready else "not_ready", checks, warnings
        )

    def _readiness(
        self, status: str, checks: dict[str, object], warnings: list[str]
    ) -> dict[str, object]:
        return {
            "status": status,
            "timestamp": format_instant(self._clock.now()),
            "version": self._version,
            "checks": checks,
            "warnings": warnings,
        }

    async def _checked(self) -> _Checked:
        """The last look, or a new one that everyone who asks meanwhile shares."""
        last = self._last
        if last is not None and self._clock.monotonic() - last.at_s < FRESH_SECONDS:
            return last
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())
            self._looking.add_done_callback(self._looked)
        return await asyncio.shield(self._looking)

    def _looked(self, task: asyncio.Task[_Checked]) -> None:
        self._looking = None
        if not task.cancelled() and task.exception() is None:
            self._last = task.result()

    async def _look(self) -> _Checked:
        cache: dict[str, object] = await self._bounded(self._cache) or _down("no answer")
        found = await self._bounded(self._ask)
        if found is None:
            return _Checked(self._clock.monotonic(), _down("no answer"), cache)
        found.cache = cache
        return found

    async def _bounded(self, ask: Callable[[], Any]) -> Any:
        """What `ask` says within two seconds, else None; its thread is left to end by itself."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await to_thread.run_sync(ask, abandon_on_cancel=True)
        except TimeoutError:
            return None

    def _ask(self) -> _Checked:
        try:
            took_ms = ping_ms(self._database, monotonic=self._clock.monotonic)
            database: dict[str, object] = {"status": HEALTHY, "latency_ms": int(took_ms)}
            schema = self._schema_now()
        except PASSING as error:
            return _Checked(self._clock.monotonic(), _down(error.message), {})
        return _Checked(self._clock.monotonic(), database, {}, schema)

    def _schema_now(self) -> SchemaState:
        """Read anew until it is current; from then on a rolling upgrade can only move it on."""
        if self._schema is None or not self._schema.up_to_date:
            with read(self._database) as session:
                self._schema = self._migrations.state(session)
        return self._schema

    def examine(self) -> Sequence[Finding]:
        """Look whether the database keeps what it acknowledges, for the warnings of `/ready`.

        Takes the write lock on SQLite, so it is no part of a look. Raises DatabaseUnavailable.
        """
        self._findings = findings(self._database)
        return self._findings

    async def keep_examining(self) -> None:
        """Examine every ten minutes, and every few seconds until it worked once."""
        while True:
            known = self._findings is not None
            await asyncio.sleep(FINDINGS_SECONDS if known else FINDINGS_RETRY_SECONDS)
            try:
                await to_thread.run_sync(self.examine)
            except PASSING as error:
                self._log.warning("durability not examined", reason=error.message)


def _down(error: str) -> dict[str, object]:
    return {"status": UNHEALTHY, "error": error}


def _cache_of(settings: Settings) -> Callable[[], dict[str, object]]:
    """The check of the cache: each process keeps its own unless Redis is configured."""
    url = settings.redis.url
    if url is None:
        return lambda: {"status": HEALTHY}
    try:
        import redis  # an extra
    except ModuleNotFoundError:
        return lambda: _down("the redis extra is not installed")
    timeout_s = min(settings.redis.socket_timeout_seconds, ANSWER_SECONDS / 2)
    connect: Any = redis.Redis
    client: Any = connect.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)

    def ask() -> dict[str, object]:
        try:
            client.ping()
        except redis.RedisError:
            return _down("Redis does not answer.")
        return {"status": HEALTHY}

    return ask


def old_book(built_at: date, max_age_days: int, clock: Clock) -> Callable[[], Sequence[str]]:
    """The complaint about a price book that is older than it should be."""

    def complain() -> Sequence[str]:
        age_days = (clock.now().date() - built_at).days
        if age_days <= max_age_days:
            return ()
        return (f"The price book is {age_days} days old; new models may have no price.",)

    return complain
