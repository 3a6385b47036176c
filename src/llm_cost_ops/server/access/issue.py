"""Make, change, rotate and withdraw API keys."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.grants import Grant, beyond
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.permissions import missing, normalise_all
from llm_cost_ops.server.access import store
from llm_cost_ops.server.access.networks import normalise_networks, within
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.access.secret import MAX_PREFIX, digest, new_secret
from llm_cost_ops.server.audit import record as audit
from llm_cost_ops.server.db.session import WriteSession

MAX_NAME = 255
ENVIRONMENTS = ("live", "test", "staging")
_MICROS = 1_000_000


class KeyRequestError(DomainError):
    """A key that cannot be made or changed as it was asked for."""


class KeyPermissionError(DomainError):
    """A key that would be able to do more than its maker."""

    code = "INSUFFICIENT_PERMISSIONS"


class KeyUnknown(DomainError):
    """No such key in this organization."""

    code = "NOT_FOUND"


class KeyConflict(DomainError):
    """A key that was revoked, has ended or was replaced already."""

    code = "CONFLICT"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key and its secret, which is shown once and stored nowhere."""

    secret: str
    key: store.ApiKey


def prefix_of(configured: str, environment: str | None) -> str:
    """The prefix of a key for an environment: `sk_live_` is `sk_test_` there. Raises
    KeyRequestError for another environment than live, test or staging."""
    if environment is None:
        return configured
    if environment not in ENVIRONMENTS:
        raise KeyRequestError(f"must be one of {', '.join(ENVIRONMENTS)}", field="environment")
    stem = configured.removesuffix("_")
    head, _, last = stem.rpartition("_")
    if last in ENVIRONMENTS:
        stem = head
    prefix = f"{stem}_{environment}_" if stem else f"{environment}_"
    return prefix if len(prefix) <= MAX_PREFIX else f"sk_{environment}_"


def issue_key(
    session: WriteSession,
    *,
    organization_id: str,
    name: str,
    scopes: Iterable[str],
    prefix: str,
    now_us: int,
    expires_at: int | None = None,
    environment: str | None = None,
    allowed_networks: Iterable[str] | None = None,
    user_id: str | None = None,
    maker: Principal | None = None,
    request_id: str | None = None,
) -> IssuedKey:
    """Make a key. Without a `maker` it is the operator's doing and may hold anything.

    A key can do no more than its maker, no longer, and from nowhere else; without
    `allowed_networks` it has those of its maker. `user_id` is the user whose key it is, by itself
    the user who makes it: it ends with the user. `expires_at` in microseconds. Raises
    PermissionTextError, NetworkTextError, KeyRequestError, KeyPermissionError.
    """
    wanted = normalise_all(scopes)
    if not wanted:
        raise KeyRequestError("must name at least one permission", field="scopes")
    if expires_at is not None and expires_at <= now_us:
        raise KeyRequestError("must lie in the future", field="expires_at")
    owner = _owner(session, organization_id, user_id, maker)
    networks = normalise_networks(allowed_networks or ())
    if not networks and maker is not None:
        networks = maker.allowed_networks
    _no_more(maker, owner, wanted, networks)
    secret = new_secret(prefix_of(prefix, environment))
    key = store.ApiKey(
        id=_new_id(now_us),
        organization_id=organization_id,
        name=_name(name),
        prefix=prefix_of(prefix, environment),
        last_four=secret[-4:],
        scopes=wanted,
        created_by=maker.key_id if maker else None,
        created_at=now_us,
        expires_at=_no_longer(maker, expires_at),
        revoked_at=None,
        last_used_at=None,
        user_id=owner,
        environment=environment,
        allowed_networks=networks,
    )
    store.insert_key(session, key, digest(secret))
    _record(session, key, "created", maker, request_id, now_us, after=_told(key))
    return IssuedKey(secret, key)


def rotate_key(
    session: WriteSession,
    organization_id: str,
    key_id: str,
    *,
    overlap_seconds: int,
    now_us: int,
    maker: Principal | None = None,
    request_id: str | None = None,
) -> IssuedKey:
    """A key that follows this one, with the same name, rights and length of life; this one ends
    after `overlap_seconds`. Only who holds all of its rights, and may make keys of its user, may
    have the new secret.

    Raises KeyUnknown, KeyConflict, KeyPermissionError.
    """
    old = _found(session, organization_id, key_id)
    if not old.active(now_us):
        raise KeyConflict("The key was revoked or has ended; make a new one.")
    if old.user_id is not None:
        _refuse_others(maker, old.user_id)
    _no_more(maker, old.user_id, old.scopes, old.allowed_networks)
    lives = None if old.expires_at is None else now_us + old.expires_at - old.created_at
    secret = new_secret(old.prefix)
    key = replace(
        old,
        id=_new_id(now_us),
        last_four=secret[-4:],
        created_by=maker.key_id if maker else None,
        created_at=now_us,
        expires_at=_shortened(maker, lives),
        last_used_at=None,
    )
    ends = now_us + overlap_seconds * _MICROS
    ends = ends if old.expires_at is None else min(ends, old.expires_at)
    if not store.set_replaced(session, organization_id, key_id, by=key.id, expires_at=ends):
        raise KeyConflict("The key was rotated already; rotate the one that replaced it.")
    store.insert_key(session, key, digest(secret))
    after = {**_told(key), "replaces": old.id, "old_expires_at": ends}
    _record(session, old, "rotated", maker, request_id, now_us, before=_told(old), after=after)
    return IssuedKey(secret, key)


def update_key(
    session: WriteSession,
    organization_id: str,
    key_id: str,
    *,
    now_us: int,
    name: str | None = None,
    scopes: Iterable[str] | None = None,
    allowed_networks: Iterable[str] | None = None,
    expires_at: int | None = None,
    maker: Principal | None = None,
    request_id: str | None = None,
) -> store.ApiKey:
    """Rename a key, take scopes from it, let it end sooner, or change where it is accepted from;
    what is None stays. Raises PermissionTextError, NetworkTextError, KeyRequestError, KeyUnknown,
    KeyConflict, KeyPermissionError."""
    old = _found(session, organization_id, key_id)
    if not old.active(now_us):
        raise KeyConflict("The key was revoked or has ended.")
    key = old if name is None else replace(old, name=_name(name))
    if scopes is not None:
        key = replace(key, scopes=_narrowed(old, scopes))
    if allowed_networks is not None:
        key = replace(key, allowed_networks=normalise_networks(allowed_networks))
        if not within(key.allowed_networks, old.allowed_networks):
            _no_more(maker, key.user_id, key.scopes, key.allowed_networks)
    if expires_at is not None:
        if expires_at <= now_us:
            raise KeyRequestError("must lie in the future", field="expires_at")
        if old.expires_at is not None and expires_at > old.expires_at:
            raise KeyRequestError("can only come sooner", field="expires_at")
        key = replace(key, expires_at=expires_at)
    if key != old:
        store.save_key(session, organization_id, key)
        _record(
            session, key, "updated", maker, request_id, now_us, before=_told(old), after=_told(key)
        )
    return key


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
    key = _found(session, organization_id, key_id)
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


def _found(session: WriteSession, organization_id: str, key_id: str) -> store.ApiKey:
    key = store.get_key(session, organization_id, key_id)
    if key is None:
        raise KeyUnknown("API key not found")
    return key


def _new_id(now_us: int) -> str:
    return single_id("key", now_us // 1_000, secrets.randbits(80))


def _name(text: str) -> str:
    name = text.strip()
    if not name or len(name) > MAX_NAME:
        raise KeyRequestError(f"must have 1 to {MAX_NAME} characters", field="name")
    return name


def _owner(
    session: WriteSession, organization_id: str, user_id: str | None, maker: Principal | None
) -> str | None:
    """Whose key it is. A key of a user makes keys of that user alone: they too end with it."""
    if maker is not None and maker.user_id is not None:
        user_id = user_id or maker.user_id
        _refuse_others(maker, user_id)
    if user_id is not None and not store.user_may_sign_in(session, organization_id, user_id):
        raise KeyRequestError("is no user of the organization, or a disabled one", field="user_id")
    return user_id


def _refuse_others(maker: Principal | None, user_id: str) -> None:
    """Raises KeyPermissionError for a user who may not make keys of this one."""
    if maker is None or maker.user_id in (None, user_id):
        return
    limited = any(part.within.dimensions for part in maker.grants)
    if limited or not maker.holds("write:users"):
        raise KeyPermissionError("names another user than yours", field="user_id")


def _narrowed(old: store.ApiKey, scopes: Iterable[str]) -> frozenset[str]:
    wanted = normalise_all(scopes)
    if not wanted:
        raise KeyRequestError("must name at least one permission", field="scopes")
    beyond = missing(old.scopes, sorted(wanted))
    if beyond:
        raise KeyRequestError(
            f"can only be taken away; the key does not hold {', '.join(beyond)}", field="scopes"
        )
    return wanted


def _no_more(
    maker: Principal | None, owner: str | None, scopes: frozenset[str], networks: tuple[str, ...]
) -> None:
    """Raises KeyPermissionError for a key that would outdo its maker. The conditions of the maker's
    roles are those of its own keys, and of no others."""
    if maker is None:
        return
    own = owner == maker.user_id
    more = maker.missing(sorted(scopes)) if own else beyond(maker.held, Grant(scopes))
    if more:
        raise KeyPermissionError(
            f"The key that makes this one does not hold {', '.join(more)}.", field="scopes"
        )
    if not within(networks, maker.allowed_networks):
        raise KeyPermissionError(
            "must lie within the networks of the key that makes it", field="allowed_networks"
        )


def _no_longer(maker: Principal | None, expires_at: int | None) -> int | None:
    """The expiry of a key made by `maker`. Raises when it would outlive its maker."""
    if maker is None or maker.lives_until is None:
        return expires_at
    if expires_at is not None and expires_at > maker.lives_until:
        raise KeyPermissionError(
            "must not lie after the expiry of the key that makes it", field="expires_at"
        )
    return maker.lives_until if expires_at is None else expires_at


def _shortened(maker: Principal | None, expires_at: int | None) -> int | None:
    """The expiry of a key that was not asked for one: no later than its maker's."""
    if maker is None or maker.lives_until is None:
        return expires_at
    return maker.lives_until if expires_at is None else min(expires_at, maker.lives_until)


def _told(key: store.ApiKey) -> dict[str, object]:
    """What the audit log says of a key."""
    told: dict[str, object] = {
        "name": key.name,
        "scopes": sorted(key.scopes),
        "expires_at": key.expires_at,
    }
    for name in ("user_id", "environment"):
        if getattr(key, name) is not None:
            told[name] = getattr(key, name)
    if key.allowed_networks:
        told["allowed_networks"] = list(key.allowed_networks)
    return told


def _record(
    session: WriteSession,
    key: store.ApiKey,
    verb: str,
    maker: Principal | None,
    request_id: str | None,
    now_us: int,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    audit.record(
        session,
        organization_id=key.organization_id,
        actor_id=maker.key_id if maker else None,
        action=f"auth.api_key.{verb}",
        resource_type="api_key",
        resource_id=key.id,
        before=before,
        after=after,
        request_id=request_id,
        now_us=now_us,
    )
