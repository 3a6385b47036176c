"""What a test of every operation knows of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """The scope that it requires (None: any key), and which `also`; bodies that it takes: in them
    `@new` stands for a text that was not there before; a query with what it requires."""

    scope: str | None
    bodies: tuple[Body, ...] = ()
    also: tuple[str, ...] = ()
    query: str = ""
