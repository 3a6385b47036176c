"""From events to deliveries: one row per event and endpoint, however often this runs."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, cast

from llm_cost_ops.core.ids import BATCH_LIMIT, batch_ids, batch_stem
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.queue.work import Again, Effect, Running
from llm_cost_ops.server.webhooks import store
from llm_cost_ops.server.webhooks.catalogue import DISABLED, spellings
from llm_cost_ops.server.webhooks.derive import Happening, happenings
from llm_cost_ops.server.webhooks.sign import fitting
from llm_cost_ops.server.webhooks.wake import pump_now

ROWS_AT_ONCE = 2_000
Registered = Mapping[str, tuple[Mapping[str, Any], Mapping[str, str]]]
"""Endpoints by id: the row, and how it spells the events that it wants."""


def fan_out(running: Running, database: Database, clock: Clock) -> Effect | None:
    """Make deliveries of the events of a job; their endpoints are then attended to."""
    job = running.job
    organization_id = cast("str", job.organization_id)
    with read(database) as session:
        registered = {
            row["id"]: (row, spellings(row["events"]))
            for row in store.endpoints(session, organization_id)
            if row["enabled"] or row["disabled_reason"] == store.FAILING
        }
    wanted = {name for _, names in registered.values() for name in names}
    if not wanted:
        return None
    ids = _Ids(clock.micros())
    touched: set[str] = set()
    events = cast("Sequence[Mapping[str, Any]]", job.payload["events"])
    for event in events:
        pages = happenings(database, organization_id, event, wanted)
        for page in (part for whole in pages for part in _parts(whole, len(registered))):
            if running.stopping:
                raise Again("the worker stops", delay_s=0, counted=False)
            rows = _deliveries(page, registered, organization_id, ids, clock.micros())
            if rows:
                running.write(partial(_store, page=page, rows=rows, organization=organization_id))
                touched |= {row["endpoint_id"] for row in rows if row["status"] == store.PENDING}
    if not touched:
        return None
    return lambda session: pump_now(session, organization_id, touched, now_us=clock.micros())


def _parts(page: Sequence[Happening], endpoints: int) -> Iterator[Sequence[Happening]]:
    """A page in parts of at most ROWS_AT_ONCE deliveries: while one is written on SQLite, nobody
    else writes."""
    size = max(1, ROWS_AT_ONCE // endpoints)
    for first in range(0, len(page), size):
        yield page[first : first + size]


class _Ids:
    """Ids of deliveries in the order in which they are asked for: the clock may not have moved
    between two of them."""

    def __init__(self, now_us: int) -> None:
        self._now_ms = now_us // 1_000
        self._used = BATCH_LIMIT
        self._stem = ""

    def take(self, count: int) -> list[str]:
        if self._used + count > BATCH_LIMIT:
            self._stem = batch_stem("whd", self._now_ms, secrets.randbits(60))
            self._now_ms += 1
            self._used = 0
        self._used += count
        return batch_ids(self._stem, self._used)[self._used - count :]


def _deliveries(
    page: Sequence[Happening],
    registered: Registered,
    organization_id: str,
    ids: _Ids,
    now_us: int,
) -> list[dict[str, Any]]:
    """The rows of these events, in their order. An endpoint that was disabled because it failed
    gets rows that wait to be replayed; what tells of an endpoint is not told to itself."""
    rows = [
        {
            "organization_id": organization_id,
            "endpoint_id": endpoint_id,
            "event_id": happening.id,
            "topic": happening.topic,
            "event_type": names[happening.topic],
            "status": store.PENDING if endpoint["enabled"] else store.SKIPPED,
            "event_at": happening.at_us,
            "next_attempt_at": now_us if endpoint["enabled"] else None,
            "created_at": now_us,
        }
        for happening in page
        for endpoint_id, (endpoint, names) in registered.items()
        if happening.topic in names and not _of_itself(happening, endpoint_id)
    ]
    for row, row_id in zip(rows, ids.take(len(rows)), strict=True):
        row["id"] = row_id
    return rows


def _of_itself(happening: Happening, endpoint_id: str) -> bool:
    return happening.topic == DISABLED and happening.data.get("webhook_id") == endpoint_id


def _store(
    session: WriteSession,
    page: Iterable[Happening],
    rows: Sequence[Mapping[str, Any]],
    organization: str,
) -> None:
    used = {row["event_id"] for row in rows}
    store.add_events(
        session,
        [
            {
                "id": each.id,
                "organization_id": organization,
                "topic": each.topic,
                "data": fitting(each.data),
                "created_at": each.at_us,
            }
            for each in page
            if each.id in used
        ],
    )
    store.add_deliveries(session, rows)
