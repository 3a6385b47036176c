"""Event ids that come out the same each time the same content is read.

A row without an id of its own is named by the digest of its content and, among equal rows of one
file, by its ordinal: two equal rows are two calls, the same file again adds nothing, and neither
the name of the file nor the position of the row matters.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from hashlib import sha256

MAX_ID = 200
_IN_MEMORY = 1_000_000


def content_digest(value: object) -> str:
    """32 hex digits over the canonical form of a JSON-like value, whatever the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def natural_id(*parts: str) -> str:
    """An id that the source gave, or its digest where it is too long or not plain text."""
    text = ":".join(parts)
    if len(text) <= MAX_ID and text.isascii() and text.isprintable():
        return text
    return content_digest(list(parts))


class Ordinals:
    """Names rows by content, and equal ones by ordinal.

    Counts in memory, and on disk when there are more than a million different rows.
    """

    def __init__(self, in_memory: int = _IN_MEMORY) -> None:
        self._limit = in_memory
        self._counts: dict[int, int] = {}
        self._spilled: Callable[[int], int] | None = None

    def event_id(self, content: object) -> str:
        """The digest of `content`, with `-1`, `-2` ... for the second, third ... equal one."""
        digest = content_digest(content)
        # Half the digest is enough to count by: a collision would only skip an ordinal, and the
        # id still holds the whole digest.
        earlier = self._count(int(digest[:15], 16))
        return f"{digest}-{earlier}" if earlier else digest

    def _count(self, key: int) -> int:
        if self._spilled is not None:
            return self._spilled(key)
        earlier = self._counts.get(key, 0)
        self._counts[key] = earlier + 1
        if len(self._counts) > self._limit:
            self._spilled = _on_disk(self._counts)
            self._counts = {}
        return earlier


def _on_disk(counts: dict[int, int]) -> Callable[[int], int]:
    """Go on counting in a private temporary database, which SQLite removes when it is closed."""
    database = sqlite3.connect("", isolation_level=None)
    database.execute(
        "CREATE TABLE seen (key INTEGER PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID"
    )
    database.execute("BEGIN")
    database.executemany("INSERT INTO seen VALUES (?, ?)", counts.items())

    def count(key: int) -> int:
        row = database.execute(
            "INSERT INTO seen VALUES (?, 1) "
            "ON CONFLICT (key) DO UPDATE SET count = count + 1 RETURNING count - 1",
            (key,),
        ).fetchone()
        return int(row[0])

    return count
