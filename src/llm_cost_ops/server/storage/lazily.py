"""The storage of a process, opened when it is first used: what lacks fails that use alone."""

from __future__ import annotations

from threading import Lock

from llm_cost_ops.server.settings import Settings
from llm_cost_ops.server.storage.choose import open_storage
from llm_cost_ops.server.storage.storage import Storage


class OnFirstUse:
    """`opened()` is the storage of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: Storage | None = None
        self._lock = Lock()

    def opened(self) -> Storage:
        """Raises StorageUnavailable."""
        with self._lock:
            if self._opened is None:
                settings = self._settings
                self._opened = open_storage(settings.storage, settings.database.url)
            return self._opened
