"""Usage: calls that the server prices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Unpack

from llm_cost_ops.client.caller import Caller, one, segment
from llm_cost_ops.client.catalog import provider_of
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint, listing
from llm_cost_ops.client.fields import ListFields, UsageFields
from llm_cost_ops.client.pages import BatchResult, Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.bulk import send_batches
from llm_cost_ops.client.resources.lists import listed, scoped, streamed
from llm_cost_ops.client.resources.records import usage_record
from llm_cost_ops.client.rows import UsageRecord
from llm_cost_ops.client.walks import PageWalk

HISTORY = "/usage/history"
HISTORY_PAGE_LIMIT = 100


class UsageCalls:
    _caller: Caller

    @endpoint
    def create(
        self,
        data: object = None,
        /,
        *,
        idempotency_key: str | None = None,
        **fields: Unpack[UsageFields],
    ) -> Flow[UsageRecord]:
        """Record one call, given as one object, as keyword arguments, or both.

        Without an `event_id` one is made for this call; give your own where you may repeat the call
        yourself, so that the repetition is a duplicate, or an `idempotency_key`, which the server
        remembers for a day. Raises ValidationError, ConflictError (same
        event_id, other payload) and the other errors of `llm_cost_ops.exceptions`.
        """
        record = usage_record(self._caller.settings, data, fields, idempotency_key)
        body = yield from self._caller.write(
            "POST", "/usage", record, idempotency_key=idempotency_key
        )
        return one(body, UsageRecord)

    @endpoint
    def batch_create(
        self, records: Iterable[object], /, *, atomic: bool = False
    ) -> Flow[BatchResult[UsageRecord]]:
        """Record many calls; one result per record, in order.

        A refused record does not stop the others: see `.failed`, or chain `.raise_for_failures()`.
        With `atomic` a batch is stored whole or not at all. Above 10,000 records or 10 MB several
        batches are sent; when a later one fails, the error's `completed` holds the results so far.
        """
        settings = self._caller.settings
        prepared = (usage_record(settings, record, {}) for record in records)
        return send_batches(self._caller, "/usage/batch", prepared, UsageRecord, atomic=atomic)

    @endpoint
    def get(self, usage_id: str, /) -> Flow[UsageRecord]:
        """One recorded call. Raises NotFoundError."""
        return one((yield from self._caller.get(f"/usage/{segment(usage_id)}")), UsageRecord)

    @endpoint
    def list(self, **query: Unpack[ListFields]) -> Flow[Page[UsageRecord]]:
        """Recorded calls: all (up to 100,000) or the part that limit, page or cursor ask for."""
        asked = scoped(self._caller, query)
        return listed(self._caller, HISTORY, asked, UsageRecord, largest_page=HISTORY_PAGE_LIMIT)

    @listing
    def list_stream(self, **query: Unpack[ListFields]) -> PageWalk[UsageRecord]:
        """Iterate over recorded calls, one page in memory at a time."""
        return streamed(self._caller, HISTORY, scoped(self._caller, query), UsageRecord)

    @endpoint
    def create_usage(
        self, *, request_count: int | None = None, **fields: Unpack[UsageFields]
    ) -> Flow[UsageRecord]:
        """`create` as the tutorial spells it: the provider is known by the model's name where it
        can be, and `request_count` calls are recorded as one."""
        record = usage_record(self._caller.settings, None, fields)
        if record.get("provider") is None:
            record["provider"] = provider_of(str(record.get("model") or ""))
        if request_count is not None and request_count != 1:
            record["usage"] = {
                "input_tokens": record.pop("tokens_prompt", 0),
                "output_tokens": record.pop("tokens_completion", 0),
                "requests": request_count,
            }
        return one((yield from self._caller.write("POST", "/usage", record)), UsageRecord)

    @endpoint
    def update(
        self,
        usage_id: str,
        /,
        *,
        metadata: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
    ) -> Flow[UsageRecord]:
        """Replace metadata or tags; everything else of a recorded call stands for ever."""
        changes = {"metadata": metadata, "tags": tags}
        body = yield from self._caller.write("PATCH", f"/costs/{segment(usage_id)}", changes)
        return one(body, UsageRecord)

    @endpoint
    def delete(self, usage_id: str, /) -> Flow[None]:
        """Void a call by a reversing entry: it leaves lists and totals. Raises NotFoundError."""
        yield from self._caller.write("DELETE", f"/costs/{segment(usage_id)}")

    submit = create
    update_usage = update
    delete_usage = delete
    history = list
    list_paginated = list_stream
    get_usage = list
    get_usage_by_id = get
    batch_create_usage = batch_create


class Usage(UsageCalls, SyncResource):
    """`client.usage`"""


class AsyncUsage(UsageCalls, AsyncResource):
    """`client.usage` of the asynchronous client"""
