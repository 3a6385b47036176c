"""Make and withdraw API keys."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.permissions import normalise_all
from llm_cost_ops.server.access import store
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.access.secret import digest, new_secret
from llm_cost_ops.server.audit import record as audit
from llm_cost_ops.server.db.session import WriteSession

MAX_NAME = 255


class KeyRequestError(DomainError):
    """A key that cannot be made as it was asked for."""


class KeyPermissionError(DomainError):
    """A key that would be able to do more than its maker."""

    code = "INSUFFICIENT_PERMISSIONS"


class KeyUnknown(DomainError):
    """No such key in this organization."""

    code = "NOT_FOUND"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key and its secret, which is shown once and stored nowhere."""

    secret: str
    key: store.ApiKey


def issue_key(
    session: WriteSession,
    *,
    organization_id: str,
    name: str,
    scopes: Iterable[str],
    prefix: str,
    now_us: int,
    expires_at: int | None = None,
    maker: Principal | None = None,
    request_id: str | None = None,
) -> IssuedKey:
    """Make a key. Without a `maker` it is the operator's doing and may hold anything.

    A key can do no more than its maker, and no longer. `expires_at` in microseconds. Raises
    PermissionTextError, KeyRequestError, KeyPermissionError.
    """
    name = name.strip()
    if not name or len(name) > MAX_NAME:
        raise KeyRequestError(f"must have 1 to {MAX_NAME} characters", field="name")
    wanted = normalise_all(scopes)
    if not wanted:
        raise KeyRequestError("must name at least one permission", field="scopes")
    if expires_at is not None and expires_at <= now_us:
        raise KeyRequestError("must lie in the future", field="expires_at")
    expires_at = _within(maker, wanted, expires_at)
    secret = new_secret(prefix)
    key = store.ApiKey(
        id=single_id("key", now_us // 1_000, secrets.randbits(80)),
        organization_id=organization_id,
        name=name,
        prefix=prefix,
        last_four=secret[-4:],
        scopes=wanted,
        created_by=maker.key_id if maker else None,
        created_at=now_us,
        expires_at=expires_at,
        revoked_at=None,
        last_used_at=None,
    )
    store.insert_key(session, key, digest(secret))
    audit.record(
        session,
        organization_id=organization_id,
        actor_id=key.created_by,
        action="auth.api_key.created",
        resource_type="api_key",
        resource_id=key.id,
        after={"name": name, "scopes": sorted(wanted), "expires_at": expires_at},
        request_id=request_id,
        now_us=now_us,
    )
    return IssuedKey(secret, key)


def _within(maker: Principal | None, wanted: frozenset[str], expires_at: int | None) -> int | None:
    """The expiry of a key made by `maker`. Raises when it would outdo its maker."""
    if maker is None:
        return expires_at
    beyond = maker.missing(sorted(wanted))
    if beyond:
        raise KeyPermissionError(
            f"The key that makes this one does not hold {', '.join(beyond)}.", field="scopes"
        )
    if maker.expires_at is None:
        return expires_at
    if expires_at is not None and expires_at > maker.expires_at:
        raise KeyPermissionError(
            "must not lie after the expiry of the key that makes it", field="expires_at"
        )
    return maker.expires_at if expires_at is None else expires_at


def withdraw_key(
    session: WriteSession,
    organization_id: str,
    key_id: str,
    *,
    now_us: int,
    actor_id: str | None = None,
    request_id: str | None = None,
) -> store.ApiKey:
    """Revoke a key; a second time changes nothing. Raises KeyUnknown."""
    key = store.get_key(session, organization_id, key_id)
    if key is None:
        raise KeyUnknown("API key not found")
    if key.revoked_at is not None:
        return key
    store.set_revoked(session, organization_id, key_id, now_us)
    audit.record(
        session,
        organization_id=organization_id,
        actor_id=actor_id,
        action="auth.api_key.revoked",
        resource_type="api_key",
        resource_id=key_id,
        before={"name": key.name, "scopes": sorted(key.scopes)},
        request_id=request_id,
        now_us=now_us,
    )
    return key
