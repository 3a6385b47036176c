"""What a request hands to the writer, and what it gets back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from llm_cost_ops.server.audit.who import Who
from llm_cost_ops.server.http.idempotency import IdempotentCall
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.pricing.resolve import OrganizationPrices

CREATED = "created"
DUPLICATE = "duplicate"
CONFLICT = "conflict"
CORRECTED = "corrected"
CLOSED = "closed"
"""Refused: retention has closed the day of the call."""


@dataclass(slots=True)
class Item:
    """The fate of one entry: the record that holds its event id, and what that costs now.

    `digests` are of the payloads that are that record. `stored` is its row as it stands, read for
    answers that show rows only.
    """

    entry: Entry
    status: str = CREATED
    id: str = ""
    cost_e10: int | None = None
    cost_status: str = ""
    digests: tuple[str, ...] = ()
    stored: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished HTTP answer: status, JSON body and whether it was saved by an earlier request."""

    status: int
    body: bytes
    replayed: bool = False


@dataclass(slots=True)
class Submission:
    """Entries of one request, committed together.

    `atomic` refuses all when one conflicts; `correct` turns conflicts into corrections, for logs
    that report the same call again with other counts. `invalid` items were refused before.
    `prices` are those with which the entries were priced. `who` sent it, for the audit log.
    `waiter` belongs to the event loop of the request and says that `future` has its result.
    """

    organization_id: str
    entries: list[Entry]
    render: Callable[[list[Item]], Answer]
    recorded_by: str | None = None
    who: Who | None = None
    request_id: str | None = None
    atomic: bool = False
    correct: bool = False
    shows_rows: bool = False
    invalid: int = 0
    import_id: str | None = None
    prices: OrganizationPrices | None = None
    call: IdempotentCall | None = None
    future: Future[Answer] = field(default_factory=Future[Answer])
    waiter: asyncio.Future[None] | None = None

    @property
    def alone(self) -> bool:
        """Whether it must not share a transaction with others."""
        return self.atomic or self.correct
