"""Who is calling."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from llm_cost_ops.core import permissions
from llm_cost_ops.core.grants import EVERYWHERE, Grant, Grants, Reach, reach_of

OWN_PROGRAM = "cost-ops-cli"
"""The OAuth client that is built in: our command line, which acts as the person who signed in."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a credential: one organization, some scopes. `expires_at` in microseconds.

    `key_id` is the id of the credential, of whichever kind. A caller may name the organization by
    its id or its slug. `user_id` is the user it stands for, with `account_id` if that one signed
    in and `team_ids` of the teams. `client_id` is the OAuth client that acts for somebody.
    `allowed_networks` (CIDR) are those it is accepted from, none for any. `grants` are what the
    roles of the user give, none for a credential without a user. `reach` are the calls that the
    route it was admitted to may show or change. `confined`: an identity provider of the
    organization vouched for the person, who is so nowhere else and has proven no more to us.
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
    grants: tuple[Grant, ...] = ()
    reach: Reach = EVERYWHERE
    confined: bool = False

    @property
    def lives_until(self) -> int | None:
        """When who is behind the credential is no longer there, in microseconds. People stay when
        their session ends; keys and the clients of OAuth are nothing but their credential."""
        return None if self._signed_in else self.expires_at

    @property
    def is_account(self) -> bool:
        """Whether it is somebody as the whole account, in whichever organizations that is: neither
        confined, nor a program of one organization that the person consented to."""
        return self._signed_in and not self.confined

    @property
    def _signed_in(self) -> bool:
        return self.account_id is not None and self.client_id in (None, OWN_PROGRAM)

    def holds(self, *required: str) -> bool:
        """Whether every one of the canonical permissions is held."""
        return permissions.holds(self.scopes, required)

    def has_permission(self, permission: str) -> bool:
        """Whether a permission in any spelling is held. Raises PermissionTextError."""
        return self.holds(permissions.normalise(permission))

    def reach_of(self, required: Iterable[str]) -> Reach:
        """The calls that the canonical permissions reach by the conditions of the roles."""
        return reach_of(self.grants, required) if self.grants else EVERYWHERE

    @property
    def held(self) -> tuple[Grant, ...]:
        """What it can give to others."""
        return self.grants or (Grant(self.scopes),)

    def missing(self, required: Iterable[str]) -> list[str]:
        """Those that are not held, in order."""
        return permissions.missing(self.scopes, required)


def acting_for(
    grants: Grants,
    *,
    key_id: str,
    organization_id: str,
    user_id: str,
    scopes: frozenset[str] | None = None,
    expires_at: int | None = None,
    organization_slug: str | None = None,
    account_id: str | None = None,
    environment: str | None = None,
    allowed_networks: tuple[str, ...] = (),
    confined: bool = False,
) -> Principal:
    """The principal of a credential that stands for a user: what its `scopes` (None for all) and
    the user's `grants` of this moment both allow."""
    own = grants if scopes is None else grants.limited(scopes)
    return Principal(
        key_id,
        organization_id,
        own.scopes,
        expires_at,
        organization_slug,
        user_id=user_id,
        account_id=account_id,
        team_ids=own.team_ids,
        environment=environment,
        allowed_networks=allowed_networks,
        grants=own.parts,
        confined=confined,
    )
