"""Links that work once: to welcome somebody, to invite, to set a new password, to prove an address.

The secret in a link has 256 bits and is stored as its SHA-256, so that who reads the database
cannot use it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select, update

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.db.dialects import insert_ignore
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.tables import one_time_links

PURPOSES = frozenset({"consent", "invite", "reset", "second_step", "verify", "welcome"})
SECRET_BYTES = 32
MAX_SECRET = 64
REFUSED = "This link does not work, or no longer. Ask for a new one."
_ROW = one_time_links.c


class LinkRefused(DomainError):
    """A link that is unknown, used, ended, or for something else: which of them is not told."""

    code = "LINK_INVALID"


@dataclass(frozen=True, slots=True)
class Link:
    """What a link is for. Times in microseconds since 1970 UTC."""

    purpose: str
    account_id: str | None
    organization_id: str | None
    user_id: str | None
    detail: Mapping[str, Any]
    created_at: int
    expires_at: int


def make_link(
    session: WriteSession,
    purpose: str,
    *,
    now_us: int,
    lives_us: int,
    account_id: str | None = None,
    organization_id: str | None = None,
    user_id: str | None = None,
    detail: Mapping[str, object] | None = None,
) -> str:
    """The secret of a new link, which is shown or sent once and works until `lives_us` from now."""
    if purpose not in PURPOSES:
        raise ValueError(f"no purpose of links: {purpose}")
    secret = secrets.token_urlsafe(SECRET_BYTES)
    session.execute(
        insert(one_time_links),
        {
            "digest": _digest(secret),
            "purpose": purpose,
            "account_id": account_id,
            "organization_id": organization_id,
            "user_id": user_id,
            "detail": None if detail is None else dumps(detail),
            "created_at": now_us,
            "expires_at": now_us + lives_us,
            "used_at": None,
        },
    )
    return secret


# lint: allow tenant-scope: the secret is the credential, the tenant is what it tells
def look_at_link(session: ReadSession, secret: str, purpose: str, *, now_us: int) -> Link:
    """What an unused link is for, without using it. Raises LinkRefused."""
    found = None
    if secret and len(secret) <= MAX_SECRET:
        statement = select(one_time_links).where(
            _ROW.digest == _digest(secret),
            _ROW.purpose == purpose,
            _ROW.used_at.is_(None),
            _ROW.expires_at > now_us,
        )
        found = session.execute(statement).mappings().first()
    if found is None:
        raise _refused()
    return Link(
        purpose=found["purpose"],
        account_id=found["account_id"],
        organization_id=found["organization_id"],
        user_id=found["user_id"],
        detail=loads(found["detail"]) if found["detail"] else {},
        created_at=int(found["created_at"]),
        expires_at=int(found["expires_at"]),
    )


# lint: allow tenant-scope: the secret is the credential, the tenant is what it tells
def use_link(session: WriteSession, secret: str, purpose: str, *, now_us: int) -> Link:
    """What a link is for; of several who use it at once, one succeeds. Raises LinkRefused."""
    link = look_at_link(session, secret, purpose, now_us=now_us)
    used = session.execute(
        update(one_time_links)
        .where(_ROW.digest == _digest(secret), _ROW.used_at.is_(None))
        .values(used_at=now_us)
    )
    if used.rowcount != 1:
        raise _refused()
    return link


def cancel_links(
    session: WriteSession,
    purpose: str,
    *,
    account_id: str | None = None,
    now_us: int,
    organization_id: str | None = None,
    user_id: str | None = None,
) -> None:
    """End the unused links of this purpose of an account, or of a user of an organization."""
    own = (
        [_ROW.account_id == account_id]
        if account_id is not None
        else [_ROW.organization_id == organization_id, _ROW.user_id == user_id]
    )
    session.execute(
        update(one_time_links)
        .where(_ROW.purpose == purpose, _ROW.used_at.is_(None), *own)
        .values(used_at=now_us)
    )


def spend(session: WriteSession, purpose: str, text: str, *, now_us: int, lives_us: int) -> bool:
    """Whether this text, which somebody else made to be used once, is used for the first time. It
    is remembered until `lives_us` from now and a while longer."""
    digest, mine = _digest(f"{purpose} {text}"), secrets.token_hex(16)
    session.execute(
        insert_ignore(session.kind, one_time_links, ["digest"]),
        {
            "digest": digest,
            "purpose": purpose,
            "detail": dumps({"by": mine}),
            "created_at": now_us,
            "expires_at": now_us + lives_us,
            "used_at": now_us,
        },
    )
    # Not every database tells whether a row was written, so whose it is tells.
    kept = session.execute(select(_ROW.detail).where(_ROW.digest == digest)).scalar()
    return kept is not None and loads(kept).get("by") == mine


# lint: allow tenant-scope: what has ended is nobody's any more
def remove_ended_links(session: WriteSession, before_us: int) -> int:
    """Delete the links that ended before this instant. Returns how many."""
    gone = session.execute(delete(one_time_links).where(_ROW.expires_at < before_us))
    return gone.rowcount


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _refused() -> LinkRefused:
    return LinkRefused(REFUSED)
