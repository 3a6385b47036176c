"""Apps that people sign in to."""

from __future__ import annotations

from tests.support.people import doors, sqlite_doors

__all__ = ["doors", "sqlite_doors"]
