"""Who changes something of an organization, and what the audit log says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.server.audit import record as audit
from llm_cost_ops.server.db.session import WriteSession


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes things, in which request, when (microseconds). `actor_id` is the id of the API
    key, None for the operator at the command line."""

    organization_id: str
    actor_id: str | None
    request_id: str | None
    now_us: int

    @property
    def now(self) -> datetime:
        """When, as an aware instant."""
        return from_micros(self.now_us)

    @property
    def name(self) -> str:
        """For people."""
        return self.actor_id or "the operator"

    def record(
        self,
        session: WriteSession,
        action: str,
        resource_type: str,
        resource_id: str,
        before: Mapping[str, object] | None,
        after: Mapping[str, object] | None,
    ) -> None:
        """Append an entry to the audit log, as `audit.record.record` does."""
        audit.record(
            session,
            organization_id=self.organization_id,
            actor_id=self.actor_id,
            action=action,
            resource_type=resource_type,
            resource_id=resource_id,
            before=before,
            after=after,
            request_id=self.request_id,
            now_us=self.now_us,
        )
