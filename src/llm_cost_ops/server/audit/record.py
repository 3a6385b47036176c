"""Write to the audit log, in the transaction of what is logged: never one without the other."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from sqlalchemy import insert

from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.session import WriteSession

MAX_RESOURCE_ID = 255


def record(
    session: WriteSession,
    *,
    organization_id: str,
    actor_id: str | None,
    action: str,
    resource_type: str,
    resource_id: str,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    request_id: str | None = None,
    now_us: int,
) -> str:
    """Append one entry and return its id (`aud_..`).

    `actor_id` is the id of the API key, None for the operator at the command line. `action` is
    `noun.verb` (`costs.update`). `before` and `after` hold what changed, and never a secret.
    """
    entry_id = single_id("aud", now_us // 1_000, secrets.randbits(80))
    session.execute(
        insert(audit_log),
        {
            "id": entry_id,
            "organization_id": organization_id,
            "timestamp": now_us,
            "actor_id": actor_id,
            "action": action,
            "resource_type": resource_type,
            "resource_id": resource_id[:MAX_RESOURCE_ID],
            "before": None if before is None else dumps(before),
            "after": None if after is None else dumps(after),
            "request_id": request_id or None,
        },
    )
    return entry_id
