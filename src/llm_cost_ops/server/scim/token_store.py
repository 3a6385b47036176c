"""Queries on SCIM tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, or_, select, update

from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.scim.tables import scim_tokens

_ROW = scim_tokens.c
_COLUMNS = [column for column in _ROW if column.name != "digest"]


@dataclass(frozen=True, slots=True)
class ScimToken:
    """A SCIM token without its secret. Times are microseconds since 1970 UTC."""

    id: str
    organization_id: str
    name: str
    last_four: str
    assigns_roles: bool
    created_by: str | None
    created_at: int
    expires_at: int | None
    revoked_at: int | None = None
    last_used_at: int | None = None

    def active(self, now_us: int) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now_us < self.expires_at)


def _token(row: Mapping[str, Any]) -> ScimToken:
    values: dict[str, Any] = {**row, "assigns_roles": bool(row["assigns_roles"])}
    return ScimToken(**values)


def insert_token(session: WriteSession, token: ScimToken, digest: str) -> None:
    values = {column.name: getattr(token, column.name) for column in _COLUMNS}
    values["assigns_roles"] = int(token.assigns_roles)
    session.execute(insert(scim_tokens), {**values, "digest": digest})


# lint: allow tenant-scope: the digest is the credential, the tenant is what it tells
def find_by_digest(session: ReadSession, digest: str) -> ScimToken | None:
    row = session.execute(select(*_COLUMNS).where(_ROW.digest == digest)).mappings().first()
    return None if row is None else _token(dict(row))


def get_token(session: ReadSession, organization_id: str, token_id: str) -> ScimToken | None:
    statement = select(*_COLUMNS).where(
        _ROW.organization_id == organization_id, _ROW.id == token_id
    )
    row = session.execute(statement).mappings().first()
    return None if row is None else _token(dict(row))


def list_tokens(
    session: ReadSession,
    organization_id: str,
    *,
    limit: int,
    offset: int = 0,
    after: str | None = None,
) -> list[ScimToken]:
    """Newest first; revoked ones too. `after` is the id of the last token of the page before."""
    statement = select(*_COLUMNS).where(_ROW.organization_id == organization_id)
    if after is not None:
        statement = statement.where(_ROW.id < after)
    statement = statement.order_by(_ROW.id.desc()).limit(limit).offset(offset)
    return [_token(dict(row)) for row in session.execute(statement).mappings()]


def set_revoked(session: WriteSession, organization_id: str, token_id: str, now_us: int) -> None:
    session.execute(
        update(scim_tokens)
        .where(
            _ROW.organization_id == organization_id,
            _ROW.id == token_id,
            _ROW.revoked_at.is_(None),
        )
        .values(revoked_at=now_us)
    )


def touch(
    session: WriteSession, organization_id: str, token_id: str, now_us: int, apart_us: int
) -> None:
    """Move `last_used_at` forward, where it lies at least `apart_us` back."""
    session.execute(
        update(scim_tokens)
        .where(
            _ROW.organization_id == organization_id,
            _ROW.id == token_id,
            or_(_ROW.last_used_at.is_(None), _ROW.last_used_at <= now_us - apart_us),
        )
        .values(last_used_at=now_us)
    )
