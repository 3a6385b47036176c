"""Database URLs in every documented spelling."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_cost_ops.server.db.errors import DatabaseConfiguration
from llm_cost_ops.server.db.urls import normalise_url

HERE = Path("/srv/ledger")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:cost-ops.db", "/srv/ledger/cost-ops.db"),
        ("sqlite:data/cost-ops.db", "/srv/ledger/data/cost-ops.db"),
        ("sqlite:/var/lib/x.db", "/var/lib/x.db"),
        ("sqlite:///cost-ops.db", "/srv/ledger/cost-ops.db"),
        ("sqlite:////var/lib/x.db", "/var/lib/x.db"),
        ("sqlite+pysqlite:///x y%.db", "/srv/ledger/x y%.db"),
    ],
)
def test_sqlite_paths_become_absolute(text: str, path: str) -> None:
    url = normalise_url(text, directory=HERE)
    assert url.drivername == "sqlite+pysqlite"
    assert url.database == path


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("postgres://u:p@h/db", "postgresql+psycopg://u:p@h/db"),
        ("postgresql://u:p@h:5433/db", "postgresql+psycopg://u:p@h:5433/db"),
        ("postgresql+asyncpg://h/db?sslmode=require", "postgresql+psycopg://h/db?sslmode=require"),
        ("mysql://u:p%40q@h/db", "mysql+pymysql://u:p%40q@h/db"),
        ("mariadb://u@h:3307/db", "mysql+pymysql://u@h:3307/db"),
        ("MariaDB+mysqldb://u@h/db", "mysql+pymysql://u@h/db"),
    ],
)
def test_servers_get_our_drivers(text: str, rendered: str) -> None:
    assert normalise_url(text).render_as_string(hide_password=False) == rendered


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cost-ops.db",
        "oracle://u:secret@h/db",
        "postgresql:u:secret@h/db",
        "postgresql://u:secret@h",
        "postgresql://u:secret@h/",
        "postgresql://u:secret@h:port/db",
        "mysql://",
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite://host/file.db",
        "sqlite::memory:",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory",
    ],
)
def test_others_are_refused_without_repeating_them(text: str) -> None:
    with pytest.raises(DatabaseConfiguration) as caught:
        normalise_url(text)
    assert "secret" not in str(caught.value)
