"""The checks of docs/security.md, each in a module named after its number."""

from __future__ import annotations

from tests.support.application import application, sqlite_application
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
from tests.support.live import live_server
from tests.support.people import doors, sqlite_doors

__all__ = [
    "application",
    "database",
    "database_clones",
    "database_kind",
    "database_settings",
    "doors",
    "empty_database",
    "live_server",
    "mysql_settings",
    "postgres_settings",
    "server_settings",
    "sqlite_application",
    "sqlite_doors",
    "sqlite_settings",
]
