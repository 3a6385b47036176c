"""Verification and rebuilding on the local database, which may take minutes."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.cli.ledger_home import chosen_organization, open_ledger
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import snapshot, write_retrying
from llm_cost_ops.server.ledger import verify


def proof(profile: Profile) -> dict[str, Any]:
    """The answer of `verify -o json`, for the named organization or all."""
    with open_ledger(profile, profile.settings()) as database:
        organization_id = _scope(database, profile)
        with snapshot(database) as session:
            return verify.wire(verify.verify(session, organization_id))


def make_anew(profile: Profile) -> int:
    """The number of rollup rows made."""
    with open_ledger(profile, profile.settings()) as database:
        organization_id = _scope(database, profile)
        return write_retrying(database, lambda s: verify.rebuild(s, organization_id))


def _scope(database: Database, profile: Profile) -> str | None:
    named = profile.organization
    return None if named is None else chosen_organization(database, named).id
