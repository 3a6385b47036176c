"""No module or folder whose name says nothing.

Prevents the file that eats the house: `utils`, `helpers` and `service` refuse no line, so every
line that lacks an obvious place lands there until nobody can say what the file is for.
"""

from __future__ import annotations

from collections.abc import Iterator

from tools.lint.source import Finding, Source

NAME = "room-names"
EMPTY_WORDS = frozenset(
    "common helper helpers manager managers misc service stuff util utilities utils".split()
)


def check(source: Source) -> Iterator[Finding]:
    if not source.is_python:
        return
    parts = [*source.path.parent.parts, source.path.stem]
    for part in parts:
        if empty := EMPTY_WORDS & set(part.lower().split("_")):
            word = min(empty)
            message = f"{part!r} says nothing ({word}): name the noun or the verb it holds"
            yield Finding(source.path, 0, NAME, message)
