"""From what rooms publish to what endpoints are told: the same, or one event per call.

Ids are made from those of the rows, so that whoever derives twice derives the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.ledger import told
from llm_cost_ops.server.webhooks.catalogue import EVENTS

BATCH = 200
FROM_LEDGER: Mapping[str, frozenset[str]] = {
    told.RECORDED: frozenset({"usage.submitted", "cost.created"}),
    told.CORRECTED: frozenset({"cost.created", "cost.updated", "cost.deleted"}),
    told.RELABELLED: frozenset({"cost.updated"}),
}
"""Topics of the ledger, and the events that come of them."""
_DERIVED = frozenset[str]().union(*FROM_LEDGER.values())
TOPICS = (*FROM_LEDGER, *(name for name in EVENTS if name not in _DERIVED))
"""All topics that webhooks follow."""
_CALL_FIELDS = (
    "id", "cost", "total_cost", "amount", "currency", "cost_status", "provider", "model",
    "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "requests",
    "organization_id", "project_id", "team_id", "user_id", "environment", "feature", "source",
    "event_id", "timestamp", "tags", "metadata",
)  # fmt: skip


class Happening(NamedTuple):
    """An event of the catalogue. `at_us` is when it was published."""

    id: str
    topic: str
    data: dict[str, Any]
    at_us: int


def happenings(
    database: Database, organization_id: str, event: Mapping[str, Any], wanted: Collection[str]
) -> Iterator[list[Happening]]:
    """The wanted events that one published event stands for, some at a time."""
    topic, payload, at_us = event["topic"], event["payload"], int(event["created_at"])
    event_id = str(event["id"])
    if topic not in FROM_LEDGER:
        if topic in wanted:
            yield [Happening(event_id, topic, dict(payload), at_us)]
        return
    if not FROM_LEDGER[topic] & set(wanted):
        return
    if topic == told.RELABELLED:
        with read(database) as session:
            call = told.call_now(session, organization_id, payload["id"])
        yield [Happening(event_id, "cost.updated", _data(call), at_us)]
        return
    pages = _recorded if topic == told.RECORDED else _corrected
    for page in pages(database, organization_id, payload):
        found = [Happening(*each, at_us) for each in page if each[1] in wanted]
        if found:
            yield found


Derived = tuple[str, str, dict[str, Any]]


def _recorded(
    database: Database, organization_id: str, payload: Mapping[str, Any]
) -> Iterator[list[Derived]]:
    first, last = payload["first_id"], payload["last_id"]
    while True:
        with read(database) as session:
            calls = told.recorded(session, organization_id, first, last, BATCH)
        derived: list[Derived] = []
        for call in calls:
            data = _data(call)
            derived.append((_id("sub", data["id"]), "usage.submitted", data))
            if data["cost"] is not None:
                derived.append((_id("cre", data["id"]), "cost.created", data))
        yield derived
        if len(calls) < BATCH:
            return
        first = str(calls[-1]["id"]) + "0"  # ids have one length: this one is the next possible


def _corrected(
    database: Database, organization_id: str, payload: Mapping[str, Any]
) -> Iterator[list[Derived]]:
    first: str | None = payload["first_id"]
    while first is not None:
        with read(database) as session:
            changes, first = told.corrected(
                session, organization_id, first, payload["last_id"], BATCH
            )
        yield [_of_correction(change) for change in changes]


def _of_correction(change: told.Corrected) -> Derived:
    data = _data(change.call)
    if change.kind == "void":
        return (_id("del", change.id), "cost.deleted", data)
    if change.first_price:
        return (_id("cre", change.id), "cost.created", data)
    return (_id("upd", change.id), "cost.updated", data)


def _id(prefix: str, row_id: str) -> str:
    return f"{prefix}_{row_id.partition('_')[2]}"


def _data(call: Mapping[str, object]) -> dict[str, Any]:
    return {name: call[name] for name in _CALL_FIELDS}
