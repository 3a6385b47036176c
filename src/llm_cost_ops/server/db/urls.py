"""Database URLs as the documents write them, as SQLAlchemy and our drivers need them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from sqlalchemy import URL, exc, make_url

from llm_cost_ops.server.db.errors import DatabaseConfiguration


class DatabaseKind(StrEnum):
    """The databases we are tested on. MariaDB speaks as MySQL does."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"
    MYSQL = "mysql"


_KINDS = {
    "sqlite": DatabaseKind.SQLITE,
    "postgres": DatabaseKind.POSTGRESQL,
    "postgresql": DatabaseKind.POSTGRESQL,
    "mysql": DatabaseKind.MYSQL,
    "mariadb": DatabaseKind.MYSQL,
}
_DRIVERS = {
    DatabaseKind.SQLITE: "sqlite+pysqlite",
    DatabaseKind.POSTGRESQL: "postgresql+psycopg",
    DatabaseKind.MYSQL: "mysql+pymysql",
}


def kind_of(url: str | URL) -> DatabaseKind:
    name = url.drivername if isinstance(url, URL) else url.partition(":")[0]
    kind = _KINDS.get(name.partition("+")[0].lower())
    if kind is None:
        raise DatabaseConfiguration(
            "The database URL must begin with sqlite:, postgresql:// or mysql://."
        )
    return kind


def normalise_url(text: str, *, directory: Path | None = None) -> URL:
    """`sqlite:FILE`, `postgres://`, `mariadb://` .. with our driver and an absolute SQLite path.

    A relative SQLite path is below `directory` (the working directory). Raises
    `DatabaseConfiguration` without repeating the URL, because it may hold a password.
    """
    kind = kind_of(text)
    scheme, _, rest = text.partition(":")
    if kind is DatabaseKind.SQLITE:
        return _sqlite(rest, directory or Path.cwd())
    if not rest.startswith("//"):
        raise DatabaseConfiguration(f"The database URL must begin with {scheme}://.")
    try:
        url = make_url(f"{_DRIVERS[kind]}:{rest}")
    except (exc.ArgumentError, ValueError):
        raise DatabaseConfiguration(
            "The database URL cannot be parsed; special characters of the password are written "
            "as %XX."
        ) from None
    if not url.database:
        raise DatabaseConfiguration("The database URL must end in /NAME, the database's name.")
    return url


def _sqlite(rest: str, directory: Path) -> URL:
    name = rest
    if rest.startswith("//"):
        host, slash, name = rest[2:].partition("/")
        if host or not slash:
            raise DatabaseConfiguration(
                "A SQLite URL is sqlite:FILE, sqlite:///FILE or, from the root, sqlite:////FILE."
            )
    if not name or name == ":memory:" or name.startswith("file:"):
        raise DatabaseConfiguration(
            "The SQLite database must be a file: what is kept in memory is lost at the next start."
        )
    path = directory / Path(name).expanduser()
    return URL.create(_DRIVERS[DatabaseKind.SQLITE], database=str(path))
