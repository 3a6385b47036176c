"""`auth`: the keys that sign access tokens, in the local database; `keys` makes them commands.

They belong to the installation, not to an organization: no server changes them for anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import Run
from llm_cost_ops.cli.failure import OK
from llm_cost_ops.cli.output import Column, Listing, show_object, show_rows
from llm_cost_ops.cli.profile import Profile

COLUMNS = (
    Column("kid"),
    Column("algorithm"),
    Column("state"),
    Column("created_at", "created", "time"),
    Column("accepted_until", "accepted until", "time", optional=True),
)


def _list(profile: Profile) -> int:
    """List the keys whose access tokens are accepted, the newest first; not their secrets.

    $ cost-ops auth list-signing-keys
    """
    from llm_cost_ops.cli.ledger_home import open_ledger
    from llm_cost_ops.server.access.tokens.signing import SigningKeys
    from llm_cost_ops.server.clock import SystemClock

    profile.refuse_remote("auth list-signing-keys")
    settings = profile.settings()
    with open_ledger(profile, settings) as database:
        rows = [_shown(row) for row in SigningKeys(database, settings, SystemClock()).listed()]
    show_rows(profile, rows, Listing(COLUMNS, empty="No signing keys: none was needed yet."))
    return OK


def _rotate(
    profile: Profile,
    at_once: Annotated[
        bool,
        typer.Option(
            "--at-once", help="Refuse what older keys signed within a second: everybody renews."
        ),
    ] = False,
) -> int:
    """Begin another key for access tokens, while servers go on. What older ones signed is accepted
    until it ends. Refresh tokens and API keys are not touched.

    With EdDSA or RS256, put another key pair into jwt.private_key_file and restart instead.

    $ cost-ops auth rotate-signing-key
    """
    from llm_cost_ops.cli.ledger_home import open_ledger
    from llm_cost_ops.server.access.tokens.signing import SigningKeys
    from llm_cost_ops.server.clock import SystemClock

    profile.refuse_remote("auth rotate-signing-key")
    settings = profile.settings()
    with open_ledger(profile, settings) as database:
        keys = SigningKeys(database, settings, SystemClock())
        kid = keys.rotate(at_once=at_once)
        made = next(row for row in keys.listed() if row.kid == kid)
    show_object(profile, _shown(made))
    return OK


NAMES: Mapping[str, tuple[Run, Sequence[str]]] = {
    "list-signing-keys": (_list, ()),
    "rotate-signing-key": (_rotate, ("rotate-signing-keys",)),
}


def _shown(row: Any) -> dict[str, Any]:
    from llm_cost_ops.core.instant import format_micros

    until = row.accepted_until
    return {
        "kid": row.kid,
        "algorithm": row.algorithm,
        "state": "signs" if until is None else "accepted",
        "created_at": format_micros(row.created_at),
        "accepted_until": None if until is None else format_micros(until),
    }
