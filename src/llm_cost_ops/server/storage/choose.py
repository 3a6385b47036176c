"""The storage of the settings."""

from __future__ import annotations

from pathlib import Path

from llm_cost_ops.server.db.urls import DatabaseKind, kind_of, normalise_url
from llm_cost_ops.server.settings import StorageSettings
from llm_cost_ops.server.storage.folder import Folder
from llm_cost_ops.server.storage.objects import Objects, store_of
from llm_cost_ops.server.storage.storage import Storage

FOLDER = "cost-ops-files"


def open_storage(settings: StorageSettings, database_url: str) -> Storage:
    """Where the settings say; nothing is read or made yet. Raises StorageUnavailable when a
    setting or the extra `storage` lacks."""
    if settings.backend == "local":
        return Folder(folder_of(settings, database_url))
    return Objects(store_of(settings))


def folder_of(settings: StorageSettings, database_url: str) -> Path:
    """The folder of `local`."""
    if settings.directory is not None:
        return Path(settings.directory).expanduser().absolute()
    if kind_of(database_url) is DatabaseKind.SQLITE:
        database = normalise_url(database_url).database
        if database is not None:
            return Path(database).parent / FOLDER
    return Path.cwd() / FOLDER
