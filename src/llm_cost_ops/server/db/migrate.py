"""Schema migrations: the packaged Alembic scripts run from code, one process at a time.

Each kind of database has its own way to be safe against a second runner and a crash: PostgreSQL
holds an advisory lock and commits each revision whole; SQLite runs all pending revisions in one
transaction that holds the write lock; MySQL holds a named lock and resumes (see `resumable`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from llm_cost_ops.server.db.classify import classify
from llm_cost_ops.server.db.engine import Database, open_maintenance_database
from llm_cost_ops.server.db.errors import DatabaseConfiguration
from llm_cost_ops.server.db.migration_lock import locked_connection
from llm_cost_ops.server.db.session import ReadSession, read
from llm_cost_ops.server.db.urls import DatabaseKind, normalise_url
from llm_cost_ops.server.settings import DatabaseSettings

SCRIPTS = Path(__file__).parent / "migrations"
LOCK_WAIT_SECONDS = 60.0

_version = Table("alembic_version", MetaData(), Column("version_num", String(32)))


@dataclass(frozen=True, slots=True)
class Revision:
    """One migration: its id, the one before it, and the first line of its text."""

    id: str
    down: str | None
    summary: str


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Where a database stands. `current` is None before the first migration.

    `known` is False when its revision is not among ours: it was made by a newer release.
    """

    current: str | None
    head: str | None
    pending: tuple[Revision, ...]
    known: bool

    @property
    def up_to_date(self) -> bool:
        return self.known and not self.pending


@dataclass(frozen=True, slots=True)
class Migrations:
    """The scripts of one directory and the waiting of their runner; tests bring their own."""

    scripts: Path = SCRIPTS
    lock_wait_seconds: float = LOCK_WAIT_SECONDS
    sleep: Callable[[float], object] = time.sleep
    monotonic: Callable[[], float] = time.monotonic

    def upgrade(self, settings: DatabaseSettings, revision: str = "head") -> SchemaState:
        """Run the pending migrations up to `revision`; nothing when there are none.

        Creates a SQLite file that is not there. Raises `DatabaseUnavailable` (also when another
        process migrates for longer than `lock_wait_seconds`) and `DatabaseConfiguration` for an
        unknown revision.
        """
        return self._run(settings, command.upgrade, revision)

    def downgrade(self, settings: DatabaseSettings, revision: str) -> SchemaState:
        """Undo migrations down to `revision` (`-1`: the last one, `base`: all)."""
        return self._run(settings, command.downgrade, revision)

    def prepare(self, settings: DatabaseSettings) -> None:
        """Before a process works on a database: migrate where the settings ask for it.

        Raises `DatabaseConfiguration` for a schema that is behind, and `DatabaseUnavailable`.
        """
        if settings.auto_migrate:
            self.upgrade(settings)
            return
        database = open_maintenance_database(settings)
        try:
            state = self.state_of(database)
        finally:
            database.dispose()
        if state.pending:
            raise DatabaseConfiguration(
                f"{len(state.pending)} migrations are pending: run `cost-ops migrate` first, or "
                "set database.auto_migrate."
            )

    def history(self) -> list[Revision]:
        """All migrations, the newest first."""
        return [_revision(script) for script in self._directory().walk_revisions()]

    def state(self, session: ReadSession) -> SchemaState:
        return self._state_at(current(session))

    def state_of(self, database: Database) -> SchemaState:
        """Like `state`; a SQLite file that does not exist is a database without a schema."""
        if database.kind is DatabaseKind.SQLITE and not _sqlite_exists(database.settings):
            return self._state_at(None)
        with read(database) as session:
            return self.state(session)

    def _state_at(self, at: str | None) -> SchemaState:
        directory = self._directory()
        head = directory.get_current_head()
        try:
            between = list(directory.iterate_revisions(head, at)) if head else []
        except RevisionError:
            return SchemaState(at, head, (), known=False)
        pending = tuple(_revision(script) for script in reversed(between))
        return SchemaState(at, head, pending, known=True)

    def _run(
        self, settings: DatabaseSettings, action: Callable[..., Any], revision: str
    ) -> SchemaState:
        try:
            with self.connection(settings) as connection:
                config = self.config()
                config.attributes["connection"] = connection
                action(config, revision)
                return self._state_at(_current(connection))
        except CommandError as error:
            raise DatabaseConfiguration(f"The migration cannot run: {error}") from error
        except Exception as error:
            failure = classify(error)
            if failure is None or failure is error:
                raise
            raise failure from error

    @contextmanager
    def connection(self, settings: DatabaseSettings) -> Generator[Connection]:
        """A connection that holds the migration lock; also what the `alembic` command uses."""
        with locked_connection(
            settings, self.lock_wait_seconds, self.sleep, self.monotonic
        ) as connection:
            yield connection

    def config(self) -> Config:
        config = Config()
        config.set_main_option("script_location", str(self.scripts).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        return config

    def _directory(self) -> ScriptDirectory:
        return ScriptDirectory.from_config(self.config())


def current(session: ReadSession) -> str | None:
    """The revision of the database; None before the first migration."""
    return _current(session.connection)


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_version.name):
        return None
    found: Sequence[str] = connection.scalars(select(_version.c.version_num)).all()
    return found[0] if found else None


def _revision(script: Any) -> Revision:
    return Revision(script.revision, script.down_revision, (script.doc or "").partition("\n")[0])


def _sqlite_exists(settings: DatabaseSettings) -> bool:
    return Path(str(normalise_url(settings.url).database)).exists()
