"""Whether a call of the ledger lies within the conditions of somebody's roles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_cost_ops.core.grants import Reach
from llm_cost_ops.core.scope import Facts
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger import store
from llm_cost_ops.server.ledger.entry import Entry


def is_reached(row: Mapping[Any, Any], reach: Reach) -> bool:
    """Whether a stored call is reached."""
    if reach.is_everything:
        return True
    return reach.holds(
        _facts(row["team_id"], row["model_name"], row["project_id"], row["environment"])
    )


def is_entry_reached(entry: Entry, reach: Reach) -> bool:
    """Whether a call that is to be stored is reached."""
    return reach.holds(_facts(entry.team_id, entry.model_name, entry.project_id, entry.environment))


def reaches(session: ReadSession, organization_id: str, call_id: str, reach: Reach) -> bool:
    """Whether a call of the organization is there and reached."""
    if reach.is_everything:
        return True
    call = store.calls(session, organization_id, [call_id]).get(call_id)
    return call is not None and is_reached(call, reach)


def _facts(
    team_id: str | None, model: str, project_id: str | None, environment: str | None
) -> Facts:
    return Facts(
        {
            "team_id": team_id,
            "model": model,
            "project_id": project_id,
            "environment": environment,
        }
    )
