"""The running app, and one whose months are closed."""

from __future__ import annotations

from tests.server.periods.conftest import place, quick
from tests.support.application import application, sqlite_application
from tests.support.live import live_server

__all__ = ["application", "live_server", "place", "quick", "sqlite_application"]
