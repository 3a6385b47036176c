"""Who is calling."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from llm_cost_ops.core import permissions


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of an API key: one organization, some scopes. `expires_at` in microseconds.

    A caller may name the organization by its id or its slug.
    """

    key_id: str
    organization_id: str
    scopes: frozenset[str]
    expires_at: int | None = None
    organization_slug: str | None = None

    def holds(self, *required: str) -> bool:
        """Whether every one of the canonical permissions is held."""
        return permissions.holds(self.scopes, required)

    def missing(self, required: Iterable[str]) -> list[str]:
        """Those that are not held, in order."""
        return permissions.missing(self.scopes, required)
