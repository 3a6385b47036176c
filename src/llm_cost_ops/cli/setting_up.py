"""What `init` does: the schema, the organization, and what is told of them."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.cli.ledger_home import log_quietly
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.db.engine import Database, open_maintenance_database
from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.db.session import WriteSession, write_retrying
from llm_cost_ops.server.identity.organizations import (
    Organization,
    create_organization,
    find_organization,
    list_organizations,
)
from llm_cost_ops.server.settings import DatabaseSettings, mask_url

DEFAULT_ORGANIZATION = "Default"


def set_up(profile: Profile, name: str | None, *, force: bool, seed: bool) -> dict[str, Any]:
    """Migrate and create the organization, where that has not been done.

    `force` runs the migrations even where none seems to be pending. Raises DatabaseUnavailable,
    DatabaseConfiguration, OrganizationError.
    """
    log_quietly(profile)
    settings = profile.settings()
    before, after = _migrated(settings.database, force=force)
    database = open_maintenance_database(settings.database)
    try:
        organization, created = _organization(database, name)
    finally:
        database.dispose()
    shown: dict[str, Any] = {
        "database": mask_url(settings.database.url),
        "schema_created": before is None,
        "upgraded": before != after,
        "revision": after,
        "organization": {
            "id": organization.id, "name": organization.name, "slug": organization.slug,
        },
        "organization_created": created,
    }  # fmt: skip
    return {**shown, "price_book": _book()} if seed else shown


def _migrated(settings: DatabaseSettings, *, force: bool) -> tuple[str | None, str | None]:
    """The revisions before and after."""
    database = open_maintenance_database(settings)
    try:
        state = Migrations().state_of(database)
    finally:
        database.dispose()
    if not state.pending and not force:
        return state.current, state.current
    return state.current, Migrations().upgrade(settings).current


def _organization(database: Database, name: str | None) -> tuple[Organization, bool]:
    """The organization of that name (or the first one), and whether it had to be made."""
    now_us = SystemClock().micros()

    def work(session: WriteSession) -> tuple[Organization, bool]:
        if name is None:
            known = list_organizations(session)
            if known:
                return known[0], False
        else:
            found = find_organization(session, name)
            if found is not None:
                return found, False
        made = create_organization(session, name=name or DEFAULT_ORGANIZATION, now_us=now_us)
        return made, True

    return write_retrying(database, work)


def _book() -> dict[str, Any]:
    from llm_cost_ops.core.pricing.book import PriceBook

    book = PriceBook.packaged()
    return {
        "version": book.version,
        "built_at": book.built_at.isoformat(),
        "models": sum(1 for _ in book.models()),
    }
