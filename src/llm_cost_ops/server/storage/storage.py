"""Files that the server keeps for later: in a folder, S3, Google Cloud Storage or Azure Blob.

    from llm_cost_ops.server.storage.choose import open_storage

    storage = open_storage(settings.storage, settings.database.url)  # cheap; asks nothing yet
    count = storage.put("reports/org_1/rep_2", chunks)   # Iterable[bytes] -> bytes written
    storage.size("reports/org_1/rep_2")                  # int, or None when there is none
    for chunk in storage.get("reports/org_1/rep_2", 100, 200):   # bytes 100 to 199
        ...
    storage.delete("reports/org_1/rep_2")                # also when there is none

It is synchronous, as routes and handlers of jobs are; neither may hold a transaction meanwhile. A
key that can be read is whole: when `put` fails, whatever was there before is there still. Keys are
made of our ids, never of a caller's text; `put` again replaces. Every verb raises
StorageUnavailable: the answer 503 with Retry-After as it stands, an attempt to repeat for a job.

To reach a storage with somebody's own credentials, make a StorageSettings of them. Its endpoint is
then theirs, too: judge it as any URL that a caller gives before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Protocol

from llm_cost_ops.server.http.problems import Problem

CHUNK = 8 * 1024 * 1024
"""Bytes of the largest piece that is held at once."""
RETRY_SECONDS = 15
UNTIL_CONFIGURED_SECONDS = 3600
MAX_KEY = 512
NOT_INSTALLED, MALFORMED, ENVIRONMENT = "not_installed", "malformed_credentials", "environment"
"""Reasons of StorageUnusable."""
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


class StorageUnavailable(Problem):
    """503: nothing was kept, or nothing can be read now. `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int = RETRY_SECONDS) -> None:
        super().__init__(
            503, "SERVICE_UNAVAILABLE", message, headers={"Retry-After": str(retry_after)}
        )
        self.retry_after = retry_after


class StorageUnusable(StorageUnavailable):
    """The same until somebody changes something: no attempt is answered otherwise. `reason` says
    what, for programs."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, UNTIL_CONFIGURED_SECONDS)
        self.reason = reason


class NotKept(LookupError):
    """There is no such key."""


class Storage(Protocol):
    """Where files are kept, by key. Raises StorageUnavailable, and ValueError for a wrong key."""

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        """Keep what comes, whole or not at all; the number of bytes. What `chunks` raises is
        raised."""
        ...

    def size(self, key: str) -> int | None:
        """In bytes; None when there is no such key."""
        ...

    def get(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to and without `end` (None: to the last), piece by piece.
        Raises NotKept before the first."""
        ...

    def delete(self, key: str) -> None:
        """Leave no such key."""
        ...

    def tidy(self, before_s: float) -> int:
        """Remove what writers that died before then (seconds since 1970) left; how many. Object
        stores do so by a lifecycle rule."""
        ...


def checked(key: str) -> str:
    """The key, which goes into paths and URLs as it is. Raises ValueError."""
    if len(key) > MAX_KEY or not _KEY.fullmatch(key):
        raise ValueError("a key has names of letters, digits and ._- between slashes")
    return key
