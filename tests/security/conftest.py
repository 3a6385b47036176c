"""The checks on the real app."""

from __future__ import annotations

from tests.support.application import application, sqlite_application
from tests.support.database import (
    database_clones,
    database_kind,
    database_settings,
    mysql_settings,
    postgres_settings,
    sqlite_settings,
)

__all__ = [
    "application",
    "database_clones",
    "database_kind",
    "database_settings",
    "mysql_settings",
    "postgres_settings",
    "sqlite_application",
    "sqlite_settings",
]
