"""Making an API key in the local database: the operator needs no key for the first one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_cost_ops.cli.ledger_home import chosen_organization, open_ledger
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.core.instant import parse_instant, to_micros
from llm_cost_ops.server.access.issue import issue_key
from llm_cost_ops.server.access.wire import key_row
from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.db.session import write_retrying


def make_key(profile: Profile, body: Mapping[str, Any]) -> dict[str, Any]:
    """The new key's row with its secret as `key`, from what would be sent to a server. Raises
    KeyRequestError, NetworkTextError, PermissionTextError."""
    until = body.get("expires_at")
    settings = profile.settings()
    now_us = SystemClock().micros()
    with open_ledger(profile, settings) as database:
        organization = chosen_organization(database, profile.organization)
        issued = write_retrying(
            database,
            lambda session: issue_key(
                session,
                organization_id=organization.id,
                name=body["name"],
                scopes=body["scopes"],
                prefix=settings.auth.api_key_prefix,
                now_us=now_us,
                expires_at=None if until is None else to_micros(parse_instant(until, "expires")),
                environment=body.get("environment"),
                allowed_networks=body.get("allowed_networks"),
                user_id=body.get("user_id"),
            ),
        )
    return {**key_row(issued.key, now_us), "key": issued.secret}
