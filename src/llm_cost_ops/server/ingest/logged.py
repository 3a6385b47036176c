"""What the audit log says of calls that were sent: one entry per request."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from llm_cost_ops.server.audit.record import record_text
from llm_cost_ops.server.audit.who import behind
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.ingest.submission import CORRECTED, CREATED, Item, Submission

CREATE = "usage.create"
UPDATE = "usage.update"


def log_calls(
    session: WriteSession, submission: Submission, fate: Sequence[Item], now_us: int
) -> None:
    """Say how many calls a request wrote, and the digest of their ids: SHA-256 of the ids in order,
    a line each. New calls are those of the organization from `first_id` to `last_id`."""
    for status, action in ((CREATED, CREATE), (CORRECTED, UPDATE)):
        ids = [item.id for item in fate if item.status == status]
        if ids:
            _log(session, submission, action, ids, now_us)


def _log(
    session: WriteSession, submission: Submission, action: str, ids: list[str], now_us: int
) -> None:
    digest = sha256("\n".join(ids).encode()).hexdigest()
    # Canonical already: its names are in order, and an id has nothing to escape.
    after = (
        f'{{"count":{len(ids)},"first_id":"{ids[0]}","last_id":"{ids[-1]}","sha256":"{digest}"}}'
    )
    record_text(
        session,
        organization_id=submission.organization_id,
        actor_id=submission.recorded_by,
        who=submission.who or behind(submission.recorded_by),
        action=action,
        resource_type="usage",
        resource_id=ids[0],
        before=None,
        after=after,
        request_id=submission.request_id,
        now_us=now_us,
    )
