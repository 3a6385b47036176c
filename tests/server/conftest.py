"""Tests of the server run on real databases; see `tests.support.database`."""

from __future__ import annotations

from tests.support.database import (
    database,
    database_clones,
    database_kind,
    database_settings,
    empty_database,
    mysql_settings,
    postgres_settings,
    server_settings,
    sqlite_settings,
)
from tests.support.database import pytest_configure as pytest_configure

__all__ = [
    "database",
    "database_clones",
    "database_kind",
    "database_settings",
    "empty_database",
    "mysql_settings",
    "postgres_settings",
    "server_settings",
    "sqlite_settings",
]
