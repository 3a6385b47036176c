"""Verification and rebuilding on the local database, which may take minutes."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.cli.ledger_home import chosen_organization, open_ledger
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, snapshot, write_retrying
from llm_cost_ops.server.ledger import recount, verify


def proof(profile: Profile) -> dict[str, Any]:
    """The answer of `verify -o json`, for the named organization or all."""
    with open_ledger(profile, profile.settings()) as database:
        organization_id = _scope(database, profile)
        with snapshot(database) as session:
            return verify.wire(verify.verify(session, organization_id))


def make_anew(profile: Profile) -> dict[str, int]:
    """The numbers of rollup rows made and of budgets counted again."""
    with open_ledger(profile, profile.settings()) as database:
        organization_id = _scope(database, profile)
        now_us = SystemClock().micros()

        def work(session: WriteSession) -> dict[str, int]:
            budgets = recount.rebuild(session, now_us, organization_id)
            return {"rollup_rows": verify.rebuild(session, organization_id), "budgets": budgets}

        return write_retrying(database, work)


def _scope(database: Database, profile: Profile) -> str | None:
    named = profile.organization
    return None if named is None else chosen_organization(database, named).id
