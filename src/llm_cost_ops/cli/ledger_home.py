"""The local database as a command finds it: opened, migrated, and one organization of it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from llm_cost_ops.cli.failure import ARGUMENTS, DATABASE, CommandError
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.server.db.engine import Database, open_maintenance_database
from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.identity.organizations import (
    Organization,
    find_organization,
    list_organizations,
)
from llm_cost_ops.server.settings import Settings, mask_url

MAX_LISTED = 20


@contextmanager
def open_ledger(profile: Profile, settings: Settings) -> Generator[Database]:
    """The database of the settings, with a schema of this release. Its waits are those of
    maintenance: somebody watches.

    Raises DatabaseUnavailable, DatabaseConfiguration, CommandError.
    """
    log_quietly(profile)
    profile.detail(f"Database {mask_url(settings.database.url)}")
    database = open_maintenance_database(settings.database)
    try:
        _check_schema(database, settings)
        yield database
    finally:
        database.dispose()


def log_quietly(profile: Profile) -> None:
    """What the server's rooms log is shown with -vv alone: a command tells its own errors."""
    from llm_cost_ops.server.http.logs import configure_logging
    from llm_cost_ops.server.settings import LoggingSettings

    level = "debug" if profile.verbose > 2 else "info" if profile.verbose > 1 else "critical"
    configure_logging(LoggingSettings(level=level, format="text"))


def _check_schema(database: Database, settings: Settings) -> None:
    state = Migrations().state_of(database)
    if state.current is None:
        raise CommandError(
            "the database has no schema yet: run `cost-ops init`",
            code="DATABASE_ERROR",
            exit_code=DATABASE,
        )
    if state.pending and settings.database.auto_migrate:
        Migrations().upgrade(settings.database)
    elif state.pending:
        raise CommandError(
            f"{len(state.pending)} migrations are pending: run `cost-ops migrate`",
            code="DATABASE_ERROR",
            exit_code=DATABASE,
        )


def chosen_organization(database: Database, named: str | None) -> Organization:
    """The organization that is named, or the only one. Raises CommandError that lists them."""
    with read(database) as session:
        found = None if named is None else find_organization(session, named)
        known = list_organizations(session)
    if found is None and named is None and len(known) == 1:
        return known[0]
    if found is not None:
        return found
    if not known:
        raise CommandError(
            "there is no organization yet: run `cost-ops init`",
            code="NOT_FOUND",
            exit_code=ARGUMENTS,
        )
    listed = ", ".join(f"{one.id} ({one.name})" for one in known[:MAX_LISTED])
    listed += ", .." if len(known) > MAX_LISTED else ""
    if named is None:
        message = f"there are several organizations, name one with --organization: {listed}"
    else:
        message = f"there is no organization {named!r}, or several of that name; known: {listed}"
    raise CommandError(message, code="NOT_FOUND", exit_code=ARGUMENTS)
