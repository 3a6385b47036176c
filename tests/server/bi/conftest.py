"""The running app at a fixed time."""

from __future__ import annotations

from tests.server.exports.conftest import application, sqlite_application

__all__ = ["application", "sqlite_application"]
