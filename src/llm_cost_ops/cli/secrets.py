"""`secrets`: under which keys the database's secrets are sealed, and sealing them again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import GENERAL, OK
from llm_cost_ops.cli.output import Column, Listing, show_rows
from llm_cost_ops.cli.profile import Profile

secrets = group("Secrets in the database: under which keys they are sealed, and new keys.")

COLUMNS = (
    Column("column"),
    Column("current"),
    Column("older"),
    Column("open"),
    Column("unreadable"),
)


@command(secrets, "status", shows=("config", "database_url"))
def _status(profile: Profile) -> int:
    """Count the sealed secrets by key: current, older, none, unknown; exit with 1 for unknown ones.

    $ cost-ops secrets status
    """
    from llm_cost_ops.cli.ledger_home import open_ledger
    from llm_cost_ops.server.privacy.sealed import status

    profile.refuse_remote("secrets status")
    settings = profile.settings()
    with open_ledger(profile, settings) as database:
        found = [asdict(count) for count in status(database, settings)]
    for row in found:
        row.pop("resealed")
    show_rows(profile, found, Listing(COLUMNS, empty="Nothing is sealed."))
    return _code(found)


@command(secrets, "rotate", shows=("config", "database_url"))
def _rotate(profile: Profile) -> int:
    """Seal every secret again under the key that seals now, while servers go on.

    First give the servers both keys: the new one first in ENCRYPTION_KEYS, the old one after it or
    in PREVIOUS_SECRET_KEYS. Exit with 1 when secrets are left that no key opens.

    $ cost-ops secrets rotate
    """
    from llm_cost_ops.cli.ledger_home import open_ledger
    from llm_cost_ops.server.clock import SystemClock
    from llm_cost_ops.server.privacy.sealed import rotate

    profile.refuse_remote("secrets rotate")
    settings = profile.settings()
    with open_ledger(profile, settings) as database:
        done = rotate(database, settings, SystemClock().micros())
    found = [
        {"column": one.column, "resealed": one.resealed, "current": one.current,
         "unreadable": one.unreadable}
        for one in done
    ]  # fmt: skip
    shown = (Column("column"), Column("resealed"), Column("current"), Column("unreadable"))
    show_rows(profile, found, Listing(shown, empty="Nothing is sealed."))
    return _code(found)


def _code(found: list[dict[str, Any]]) -> int:
    return GENERAL if any(row["unreadable"] for row in found) else OK
