"""The app at a fixed time."""

from __future__ import annotations

from tests.server.exports.conftest import application, live_server, sqlite_application

__all__ = ["application", "live_server", "sqlite_application"]
