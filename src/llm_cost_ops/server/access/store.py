"""Queries on API keys."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, insert, or_, select, update

from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.access.tables import api_keys
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.tables import users

KEY = api_keys.c
_NAMED = 400
_COLUMNS = [column for column in KEY if column.name != "digest"]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key without its secret. Times are microseconds since 1970 UTC.

    `user_id` is the user whose key it is: it ends with the user. `allowed_networks` are the
    networks (CIDR) it is accepted from, none for any. `replaced_by` is the key that follows it.
    """

    id: str
    organization_id: str
    name: str
    prefix: str
    last_four: str
    scopes: frozenset[str]
    created_by: str | None
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None
    user_id: str | None = None
    environment: str | None = None
    allowed_networks: tuple[str, ...] = ()
    replaced_by: str | None = None

    def active(self, now_us: int) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now_us < self.expires_at)


def _api_key(row: Mapping[str, Any]) -> ApiKey:
    networks = row["allowed_networks"]
    values: dict[str, Any] = {
        **row,
        "scopes": frozenset(loads(row["scopes"])),
        "allowed_networks": tuple(loads(networks)) if networks else (),
    }
    return ApiKey(**values)


def insert_key(session: WriteSession, key: ApiKey, digest: str) -> None:
    values = {column.name: getattr(key, column.name) for column in _COLUMNS}
    values["scopes"] = dumps(sorted(key.scopes))
    values["allowed_networks"] = dumps(key.allowed_networks) if key.allowed_networks else None
    session.execute(insert(api_keys), {**values, "digest": digest})


# lint: allow tenant-scope: the digest is the credential, the tenant is what it tells
def find_by_digest(session: ReadSession, digest: str) -> ApiKey | None:
    row = session.execute(select(*_COLUMNS).where(KEY.digest == digest)).mappings().first()
    return None if row is None else _api_key(dict(row))


def get_key(session: ReadSession, organization_id: str, key_id: str) -> ApiKey | None:
    statement = select(*_COLUMNS).where(KEY.organization_id == organization_id, KEY.id == key_id)
    row = session.execute(statement).mappings().first()
    return None if row is None else _api_key(dict(row))


def names_of(
    session: ReadSession, organization_id: str, key_ids: Collection[str]
) -> dict[str, str]:
    """What these keys are called, for rooms that show which did something."""
    ids = sorted(key_ids)
    found: dict[str, str] = {}
    for start in range(0, len(ids), _NAMED):
        query = select(api_keys.c.id, api_keys.c.name).where(
            api_keys.c.organization_id == organization_id,
            api_keys.c.id.in_(ids[start : start + _NAMED]),
        )
        found.update((row.id, row.name) for row in session.execute(query))
    return found


def list_keys(
    session: ReadSession,
    organization_id: str,
    *,
    limit: int,
    offset: int = 0,
    after: str | None = None,
    user_id: str | None = None,
) -> list[ApiKey]:
    """Newest first; revoked ones too. `after` is the id of the last key of the page before."""
    statement = select(*_COLUMNS).where(KEY.organization_id == organization_id)
    if user_id is not None:
        statement = statement.where(KEY.user_id == user_id)
    if after is not None:
        statement = statement.where(KEY.id < after)
    statement = statement.order_by(KEY.id.desc()).limit(limit).offset(offset)
    return [_api_key(dict(row)) for row in session.execute(statement).mappings()]


def user_may_sign_in(session: ReadSession, organization_id: str, user_id: str) -> bool:
    """Whether a user of the organization is there and not disabled."""
    disabled_at = users.c.disabled_at
    statement = select(disabled_at.is_(None)).where(
        users.c.organization_id == organization_id, users.c.id == user_id
    )
    return bool(session.scalar(statement))


def set_revoked(session: WriteSession, organization_id: str, key_id: str, now_us: int) -> None:
    session.execute(
        update(api_keys)
        .where(KEY.organization_id == organization_id, KEY.id == key_id, KEY.revoked_at.is_(None))
        .values(revoked_at=now_us)
    )


def set_replaced(
    session: WriteSession, organization_id: str, key_id: str, *, by: str, expires_at: int
) -> bool:
    """Whether the key is replaced now and ends then; of several at once, one succeeds."""
    done = session.execute(
        update(api_keys)
        .where(
            KEY.organization_id == organization_id,
            KEY.id == key_id,
            KEY.replaced_by.is_(None),
            KEY.revoked_at.is_(None),
        )
        .values(replaced_by=by, expires_at=expires_at)
    )
    return done.rowcount == 1


def save_key(session: WriteSession, organization_id: str, key: ApiKey) -> None:
    """Write the name, scopes, networks and expiry of a key."""
    session.execute(
        update(api_keys)
        .where(KEY.organization_id == organization_id, KEY.id == key.id)
        .values(
            name=key.name,
            scopes=dumps(sorted(key.scopes)),
            allowed_networks=dumps(key.allowed_networks) if key.allowed_networks else None,
            expires_at=key.expires_at,
        )
    )


# lint: allow tenant-scope: only keys that were just used are named, by their ids
def touch(session: WriteSession, used: Mapping[str, int], apart_us: int) -> None:
    """Move `last_used_at` forward, where it lies at least `apart_us` back."""
    statement = (
        update(api_keys)
        .where(
            KEY.id == bindparam("key_id"),
            or_(KEY.last_used_at.is_(None), KEY.last_used_at <= bindparam("stale_at")),
        )
        .values(last_used_at=bindparam("used_at"))
    )
    session.execute(
        statement,
        [
            {"key_id": key_id, "used_at": used_at, "stale_at": used_at - apart_us}
            for key_id, used_at in sorted(used.items())
        ],
    )
