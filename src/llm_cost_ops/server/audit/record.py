"""Write to the audit log, in the transaction of what is logged: never one without the other."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.jsontext import canonical, dumps
from llm_cost_ops.server.audit.append import append_last
from llm_cost_ops.server.audit.chain import new_salt
from llm_cost_ops.server.audit.who import Who, behind
from llm_cost_ops.server.db.session import WriteSession

MAX_RESOURCE_ID = 255
MAX_REQUEST_ID = 128
SUCCESS, DENIED, FAILURE = "success", "denied", "failure"
INSTALLATION = "system"
"""The chain of what belongs to no organization, such as a login with an unknown name; no id of an
organization looks like this."""


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
    outcome: str = SUCCESS,
    who: Who | None = None,
) -> str:
    """Append one entry and return its id (`aud_..`). It is written at the end of the transaction.

    `actor_id` is the id of the API key, None for the operator at the command line. `action` is
    `noun.verb` (`costs.update`). `before` and `after` hold what changed, and never a secret. `who`
    tells more of the actor; without it, what is known of the caller of this request.
    """
    return record_text(
        session,
        organization_id=organization_id,
        actor_id=actor_id,
        who=who or behind(actor_id),
        action=action,
        resource_type=resource_type,
        resource_id=resource_id,
        before=None if before is None else canonical(dumps(before)),
        after=None if after is None else canonical(dumps(after)),
        request_id=request_id,
        now_us=now_us,
        outcome=outcome,
    )


def record_text(
    session: WriteSession,
    *,
    organization_id: str,
    actor_id: str | None,
    who: Who,
    action: str,
    resource_type: str,
    resource_id: str,
    before: str | None,
    after: str | None,
    request_id: str | None,
    now_us: int,
    outcome: str = SUCCESS,
) -> str:
    """`record` for canonical JSON texts."""
    entry_id = single_id("aud", now_us // 1_000, secrets.randbits(80))
    append_last(
        session,
        {
            "id": entry_id,
            "organization_id": organization_id,
            "timestamp": now_us,
            "actor_id": actor_id,
            "action": action,
            "resource_type": resource_type,
            "resource_id": resource_id[:MAX_RESOURCE_ID],
            "before": before,
            "after": after,
            "request_id": request_id[:MAX_REQUEST_ID] if request_id else None,
            "actor_kind": who.kind,
            "user_id": who.user_id,
            "user_email": who.user_email,
            "ip": who.ip,
            "outcome": outcome,
            "who_salt": new_salt(),
            "what_salt": new_salt(),
        },
    )
    return entry_id
