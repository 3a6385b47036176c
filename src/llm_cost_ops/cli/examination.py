"""What is told of a database: kind, version, schema, and settings that are not as wanted."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.cli.ledger_home import log_quietly
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.server.db.engine import open_maintenance_database
from llm_cost_ops.server.db.health import findings, server_version
from llm_cost_ops.server.db.migrate import Migrations, SchemaState
from llm_cost_ops.server.settings import DatabaseSettings, mask_url


def schema_wire(settings: DatabaseSettings, state: SchemaState) -> dict[str, Any]:
    """Where a schema stands. `schema` is current, pending, empty or newer."""
    named = "current" if state.up_to_date else "pending" if state.known else "newer"
    return {
        "database": mask_url(settings.url),
        "schema": "empty" if state.current is None else named,
        "current": state.current,
        "head": state.head,
        "pending": [f"{revision.id} {revision.summary}" for revision in state.pending],
        "up_to_date": state.up_to_date,
    }


def schema_of(profile: Profile) -> dict[str, Any]:
    """The schema of the profile's database. Raises DatabaseUnavailable."""
    log_quietly(profile)
    settings = profile.settings().database
    database = open_maintenance_database(settings)
    try:
        return schema_wire(settings, Migrations().state_of(database))
    finally:
        database.dispose()


def examine(profile: Profile) -> dict[str, Any]:
    """The same with kind, version and findings; a SQLite file that is not there is not made."""
    log_quietly(profile)
    settings = profile.settings().database
    database = open_maintenance_database(settings)
    try:
        schema = schema_wire(settings, Migrations().state_of(database))
        found = [] if schema["current"] is None else findings(database)
        return {
            "kind": str(database.kind),
            "version": server_version(database),
            **schema,
            "findings": [
                {
                    "setting": one.setting,
                    "value": one.value,
                    "wanted": one.wanted,
                    "unsafe": one.unsafe,
                    "text": str(one),
                }
                for one in found
            ],
        }
    finally:
        database.dispose()
