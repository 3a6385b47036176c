"""The running app."""

from __future__ import annotations

from tests.support.application import application, sqlite_application

__all__ = ["application", "sqlite_application"]
