"""Databases of the fault tests; see `tests.support.database`."""

from __future__ import annotations

from tests.support.database import (
    database_clones,
    database_kind,
    database_settings,
    postgres_settings,
    sqlite_settings,
)
from tests.support.database import pytest_configure as pytest_configure

__all__ = [
    "database_clones",
    "database_kind",
    "database_settings",
    "postgres_settings",
    "sqlite_settings",
]
