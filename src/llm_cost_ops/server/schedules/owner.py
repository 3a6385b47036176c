"""In whose name a schedule runs, and what that one may do at the moment of a run.

A schedule is of whoever made it, or changed it last: it shows no more than that one may see, and it
pauses when that one may no longer. Programs that act for somebody own none: their consent is no
lasting one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.permissions import normalise
from llm_cost_ops.server.access.principal import OWN_PROGRAM, Principal, acting_for
from llm_cost_ops.server.access.store import get_key
from llm_cost_ops.server.audit.who import OPERATOR
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.identity.grants import grants_of
from llm_cost_ops.server.identity.users import is_ended

_KEYS = "key_"


class NoOwner(DomainError):
    """The caller cannot own a schedule."""

    code = "INSUFFICIENT_PERMISSIONS"


@dataclass(frozen=True, slots=True)
class Owner:
    """A credential, and the person it stands for."""

    key_id: str
    user_id: str | None


def owner_of(principal: Principal) -> Owner:
    """Raises NoOwner."""
    lasting = principal.key_id == OPERATOR or principal.key_id.startswith(_KEYS)
    person = principal.user_id is not None and principal.client_id in (None, OWN_PROGRAM)
    if not lasting and not person:
        raise NoOwner("Schedules are made by people and by API keys.")
    return Owner(principal.key_id, principal.user_id)


def is_own(principal: Principal, owner: Owner) -> bool:
    """Whether the caller is who owns it."""
    if owner.user_id is not None:
        return principal.user_id == owner.user_id
    return principal.key_id == owner.key_id


def acting(
    session: ReadSession, organization_id: str, owner: Owner, required: Sequence[str], now_us: int
) -> Principal | str:
    """The owner with what it reaches by these permissions now; or why it may not."""
    found = _principal(session, organization_id, owner, now_us)
    if isinstance(found, str):
        return found
    scopes = [normalise(scope) for scope in required]
    if not found.holds(*scopes):
        return f"its owner lacks permissions: {', '.join(found.missing(scopes))}"
    return replace(found, reach=found.reach_of(scopes))


def _principal(
    session: ReadSession, organization_id: str, owner: Owner, now_us: int
) -> Principal | str:
    if owner.key_id == OPERATOR:
        return Principal(OPERATOR, organization_id, frozenset({"*"}))
    scopes: frozenset[str] | None = None
    if owner.key_id.startswith(_KEYS):
        key = get_key(session, organization_id, owner.key_id)
        if key is None or not key.active(now_us):
            return "the API key of its owner was revoked or has expired"
        scopes = key.scopes
    if owner.user_id is None:
        return Principal(owner.key_id, organization_id, scopes or frozenset())
    if is_ended(session, organization_id, owner.user_id):
        return "its owner was disabled or removed"
    grants = grants_of(session, organization_id, owner.user_id)
    if not grants.enabled:
        return "its owner was disabled or removed"
    return acting_for(
        grants,
        key_id=owner.key_id,
        organization_id=organization_id,
        user_id=owner.user_id,
        scopes=scopes,
    )
