"""Organizations: the tenants. Everything else belongs to one."""

from __future__ import annotations

import re
import secrets
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, or_, select
from sqlalchemy.exc import IntegrityError

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.core.money import check_currency
from llm_cost_ops.server.audit import record as audit
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read
from llm_cost_ops.server.identity.tables import organizations

ID_PREFIX = "org-"
MAX_ID = 50
MAX_NAME = 255
MAX_SLUG = 100
DEFAULT_CURRENCY = "USD"
DEFAULT_TIME_ZONE = "UTC"
_ID = re.compile(r"org-[A-Za-z0-9][A-Za-z0-9_-]*", re.ASCII)
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
_ROW = organizations.c


class OrganizationError(DomainError):
    """A description of an organization that cannot be used."""


class OrganizationExists(DomainError):
    """The id or the slug is taken."""

    code = "CONFLICT"


@dataclass(frozen=True, slots=True)
class Organization:
    """One tenant. `created_at` in microseconds since 1970 UTC."""

    id: str
    name: str
    slug: str
    currency: str
    time_zone: str
    settings: Mapping[str, Any]
    created_at: int


def create_organization(
    session: WriteSession,
    *,
    name: str,
    now_us: int,
    slug: str | None = None,
    organization_id: str | None = None,
    currency: str = DEFAULT_CURRENCY,
    time_zone: str = DEFAULT_TIME_ZONE,
    settings: Mapping[str, object] | None = None,
    actor_id: str | None = None,
    request_id: str | None = None,
) -> Organization:
    """Make an organization. Without an id it is the slug, which comes from the name, with `org-`
    before it where it does not begin so.

    Raises OrganizationError for a value that cannot be used, OrganizationExists.
    """
    name = name.strip()
    if not name or len(name) > MAX_NAME or "\x00" in name:
        raise OrganizationError(f"must have 1 to {MAX_NAME} characters", field="name")
    slug = _slug(slug, name)
    made = Organization(
        id=_id(organization_id, slug),
        name=name,
        slug=slug,
        currency=check_currency(currency),
        time_zone=check_time_zone(time_zone),
        settings=dict(settings or {}),
        created_at=now_us,
    )
    _insert(session, made)
    audit.record(
        session,
        organization_id=made.id,
        actor_id=actor_id,
        action="organization.created",
        resource_type="organization",
        resource_id=made.id,
        after={"name": name, "slug": slug, "currency": currency, "time_zone": time_zone},
        request_id=request_id,
        now_us=now_us,
    )
    return made


def _insert(session: WriteSession, made: Organization) -> None:
    try:
        session.execute(
            insert(organizations),
            {
                "id": made.id,
                "name": made.name,
                "slug": made.slug,
                "currency": made.currency,
                "time_zone": made.time_zone,
                "settings": dumps(made.settings) if made.settings else None,
                "created_at": made.created_at,
            },
        )
    except IntegrityError:
        raise OrganizationExists(
            f"An organization with the id {made.id} or the slug {made.slug} exists already."
        ) from None


def _slug(given: str | None, name: str) -> str:
    if given is not None:
        if not _SLUG.fullmatch(given) or len(given) > MAX_SLUG:
            raise OrganizationError(
                f"must have at most {MAX_SLUG} lower-case letters, digits and single hyphens",
                field="slug",
            )
        return given
    derived = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:MAX_SLUG].rstrip("-")
    # A name without Latin letters or digits has no slug of its own.
    return derived or secrets.token_hex(8)


def _id(given: str | None, slug: str) -> str:
    if given is None:
        return (slug if slug.startswith(ID_PREFIX) else ID_PREFIX + slug)[:MAX_ID].rstrip("-")
    if not _ID.fullmatch(given) or len(given) > MAX_ID:
        raise OrganizationError(
            f"must begin with {ID_PREFIX} and have at most {MAX_ID} letters, digits, - and _",
            field="id",
        )
    return given


def check_time_zone(name: str, field: str = "time_zone") -> str:
    """An IANA time zone name. Raises OrganizationError."""
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise OrganizationError(
            "must be an IANA time zone such as Europe/Berlin", field=field
        ) from None
    return name


def get_organization(session: ReadSession, organization_id: str) -> Organization | None:
    """The organization with this id."""
    row = (
        session.execute(select(organizations).where(_ROW.id == organization_id)).mappings().first()
    )
    return None if row is None else _organization(row)


def settings_of_organization(database: Database, organization_id: str) -> Mapping[str, Any]:
    """What an organization has set for itself. Raises DatabaseUnavailable."""
    with read(database) as session:
        found = get_organization(session, organization_id)
    return found.settings if found else {}


def find_organization(session: ReadSession, text: str) -> Organization | None:
    """The organization that an operator names by its id, its slug or, if it is the only one of
    that name, its name."""
    rows = (
        session.execute(
            select(organizations)
            .where(or_(_ROW.id == text, _ROW.slug == text, _ROW.name == text))
            .order_by(_ROW.created_at, _ROW.id)
        )
        .mappings()
        .all()
    )
    exact = [row for row in rows if text in (row["id"], row["slug"])]
    found = exact[:1] or (rows if len(rows) == 1 else [])
    return _organization(found[0]) if found else None


def list_organizations(session: ReadSession) -> list[Organization]:
    """All organizations of this installation, the oldest first; for the operator."""
    rows = session.execute(select(organizations).order_by(_ROW.created_at, _ROW.id)).mappings()
    return [_organization(row) for row in rows]


def _organization(row: Mapping[Any, Any]) -> Organization:
    return Organization(
        id=row["id"],
        name=row["name"],
        slug=row["slug"],
        currency=row["currency"],
        time_zone=row["time_zone"],
        settings=loads(row["settings"]) if row["settings"] else {},
        created_at=int(row["created_at"]),
    )
