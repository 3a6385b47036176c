"""The running app."""

from __future__ import annotations

from tests.support.application import application, sqlite_application
from tests.support.live import live_server

__all__ = ["application", "live_server", "sqlite_application"]
