"""Calls, corrections and organizations straight into a test's ledger, rollups included."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import insert

from llm_cost_ops.core.ids import batch_ids, batch_stem
from llm_cost_ops.core.instant import parse_instant, to_micros
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.money import to_e10
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import write, write_retrying
from llm_cost_ops.server.identity.tables import organizations
from llm_cost_ops.server.ledger import correct, rollup, store, teams
from llm_cost_ops.server.ledger.append import append
from llm_cost_ops.server.ledger.entry import Entry

ORGANIZATION = "org-test"
NOON = "2025-01-15T12:00:00Z"
_numbers = itertools.count(1)
_clock_ms = itertools.count(1_760_000_000_000)
_JSON = ("tags", "metadata", "usage")


def make_organization(
    database: Database,
    organization_id: str = ORGANIZATION,
    *,
    time_zone: str = "UTC",
    currency: str = "USD",
) -> str:
    """An organization in the database; its id."""
    with write(database) as session:
        session.execute(
            insert(organizations),
            {
                "id": organization_id,
                "name": organization_id,
                "slug": organization_id,
                "currency": currency,
                "time_zone": time_zone,
                "created_at": 0,
            },
        )
    return organization_id


def micros(at: str | datetime | int) -> int:
    """Microseconds of an ISO text, a datetime or microseconds."""
    if isinstance(at, int):
        return at
    return to_micros(parse_instant(at) if isinstance(at, str) else at)


def make_call(
    at: str | datetime | int = NOON, cost: str | Decimal | None = "0.01", **fields: Any
) -> Entry:
    """A call as the ingest room drafts it. `cost` is in currency units, None is unpriced; tokens
    and all other columns by name; `tags`, `metadata` and `usage` as values."""
    entry = Entry()
    entry.organization_id = ORGANIZATION
    entry.source = "api"
    entry.event_id = f"evt-{next(_numbers)}"
    entry.payload_digest = secrets.token_hex(8)
    entry.timestamp = entry.received_at = micros(at)
    entry.provider, entry.model_name = "openai", "gpt-4o"
    for name in ("project_id", "team_id", "user_id", "api_key_id", "environment", "feature"):
        setattr(entry, name, None)
    entry.status = entry.latency_ms = entry.recorded_by = entry.import_id = entry.metadata = None
    if cost is not None:
        entry.cost_e10 = to_e10(Decimal(cost))
        entry.cost_status = "priced"
    for name, value in fields.items():
        setattr(entry, name, dumps(value) if name in _JSON and value is not None else value)
    if "total_tokens" not in fields:
        entry.total_tokens = entry.input_tokens + entry.output_tokens
    return entry


def record_calls(database: Database, entries: Iterable[Entry]) -> list[str]:
    """Store the calls and their rollups in one transaction; their ids in order."""
    calls = list(entries)
    stem = batch_stem("usg", next(_clock_ms), secrets.randbits(60))
    for entry, entry_id in zip(calls, batch_ids(stem, len(calls)), strict=True):
        entry.id = entry_id
    with write(database) as session:
        if append(session, calls):
            raise AssertionError("an event id was there before")
        teams.note_uncounted(session, calls)
        rollup.apply(session, rollup.deltas_of(calls))
    return [entry.id for entry in calls]


def sum_by_team(
    database: Database, organization_id: str = ORGANIZATION, before_day: int = teams.EVER[1]
) -> Iterator[int]:
    """What the worker does, a day at a time; the days that it makes sums of."""
    return teams.make(
        database, organization_id, before_day, lambda work: write_retrying(database, work)
    )


def record_call(database: Database, *args: Any, **fields: Any) -> str:
    """One call of `make_call`; its id."""
    return record_calls(database, [make_call(*args, **fields)])[0]


def void_calls(database: Database, ids: Sequence[str], organization_id: str = ORGANIZATION) -> None:
    """Take calls back."""
    with write(database) as session:
        calls = store.calls(session, organization_id, ids)
        correct.void(session, list(calls.values()), _occasion("void"))


def rerate_call(
    database: Database,
    call_id: str,
    cost: str | Decimal | None,
    *,
    cost_status: str = "priced",
    currency: str = "USD",
    organization_id: str = ORGANIZATION,
) -> None:
    """Give a call another cost; None makes it unpriced."""
    units = None if cost is None else to_e10(Decimal(cost))
    status = "unpriced" if cost is None else cost_status
    with write(database) as session:
        call = store.calls(session, organization_id, [call_id])[call_id]
        price = correct.NewPrice(units, units, status, None, None, currency)
        correct.rerate(session, [(call, price)], _occasion("rerate"))


def recount_call(
    database: Database, call_id: str, entry: Entry, organization_id: str = ORGANIZATION
) -> None:
    """Replace a call's counts and cost by those of another draft."""
    with write(database) as session:
        call = store.calls(session, organization_id, [call_id])[call_id]
        correct.recount(session, [(call, entry)], _occasion("recount"))


def _occasion(kind: str) -> correct.Occasion:
    return correct.Occasion(kind, None, None, next(_clock_ms) * 1_000)
