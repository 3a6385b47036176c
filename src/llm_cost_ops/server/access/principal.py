"""Who is calling."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from llm_cost_ops.core import permissions


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a credential: one organization, some scopes. `expires_at` in microseconds.

    `key_id` is the id of the credential, of whichever kind. A caller may name the organization by
    its id or its slug. `user_id` is the user it stands for, with `account_id` if that one signed
    in and `team_ids` of the teams. `client_id` is the OAuth client that acts for somebody.
    `allowed_networks` (CIDR) are those it is accepted from, none for any.
    """

    key_id: str
    organization_id: str
    scopes: frozenset[str]
    expires_at: int | None = None
    organization_slug: str | None = None
    user_id: str | None = None
    account_id: str | None = None
    team_ids: tuple[str, ...] = ()
    environment: str | None = None
    allowed_networks: tuple[str, ...] = ()
    client_id: str | None = None

    @property
    def lives_until(self) -> int | None:
        """When who is behind the credential is no longer there, in microseconds. People stay when
        their session ends; keys and the clients of OAuth are nothing but their credential."""
        signed_in = self.account_id is not None and self.client_id is None
        return None if signed_in else self.expires_at

    def holds(self, *required: str) -> bool:
        """Whether every one of the canonical permissions is held."""
        return permissions.holds(self.scopes, required)

    def missing(self, required: Iterable[str]) -> list[str]:
        """Those that are not held, in order."""
        return permissions.missing(self.scopes, required)
