"""The audit log: who did what, and the proof that nobody changed it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llm_cost_ops.client.caller import Caller, many, one
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.lists import listed, scoped
from llm_cost_ops.client.rows import AuditEntry, Row


class AuditCalls:
    _caller: Caller

    @endpoint
    def list(self, **query: Any) -> Flow[Page[AuditEntry]]:
        """Entries, the newest first. `start_date`, `end_date`, `action` (`auth.*` for all that
        begin so), `user_id`, `actor`, `resource`, `outcome` and `request_id` narrow them."""
        return listed(self._caller, "/audit", scoped(self._caller, query), AuditEntry)

    @endpoint
    def export(self, *, format: str = "csv", **query: Any) -> Flow[bytes]:
        """All entries that the filters of `list` leave, as a file: csv, json or jsonl."""
        params = {**scoped(self._caller, query), "format": format}
        return (yield from self._caller.file("/audit/export", params))

    @endpoint
    def verify(self, checkpoints: Sequence[Mapping[str, Any]] | None = None) -> Flow[Row]:
        """Walk the chain: `.ok`, or `.first_bad_seq`, `.fault` and `.message`. `checkpoints` are
        those that were kept outside."""
        if checkpoints is None:
            return one((yield from self._caller.get("/audit/verify")), Row)
        body = {"checkpoints": [dict(each) for each in checkpoints]}
        return one((yield from self._caller.ask("/audit/verify", body)), Row)

    @endpoint
    def checkpoints(self, *, since: str | None = None) -> Flow[Page[Row]]:
        """Signed checkpoints, the oldest first, to be kept outside."""
        params = {} if since is None else {"since": since}
        return many((yield from self._caller.get("/audit/checkpoints", params)), Row)


class Audit(AuditCalls, SyncResource):
    """`client.audit`"""


class AsyncAudit(AuditCalls, AsyncResource):
    """`client.audit` of the asynchronous client"""
