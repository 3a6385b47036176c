"""Calls that are sent leave one entry per request, in the transaction that stores them."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from sqlalchemy import select

from llm_cost_ops.server.audit.sign import Signer
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.audit.verify import verify
from llm_cost_ops.server.db.session import read, snapshot
from llm_cost_ops.server.ledger.tables import usage_records
from tests.support.application import Application
from tests.support.calls import accepted, record, send, usage

LOG = audit_log.c


def entries(app: Application, *actions: str) -> list[dict[str, Any]]:
    query = select(audit_log).where(LOG.organization_id == app.organization_id)
    if actions:
        query = query.where(LOG.action.in_(actions))
    with read(app.database) as session:
        return [dict(row) for row in session.execute(query.order_by(LOG.seq)).mappings()]


def whole(app: Application) -> bool:
    with snapshot(app.database) as session:
        return verify(session, app.organization_id, Signer([])).ok


def test_a_batch_is_one_entry_with_the_digest_of_its_ids(application: Application) -> None:
    record(application, *(usage(f"e{n}") for n in range(5)))
    answer = record(application, *(usage(f"e{n}") for n in range(3, 8)))
    ids = [result["id"] for result in answer["results"] if result["status"] == "created"]
    first, second = entries(application, "usage.create")
    after = json.loads(second["after"])
    assert json.loads(first["after"])["count"] == 5
    assert (after["count"], second["resource_id"], second["resource_type"]) == (3, ids[0], "usage")
    assert after["sha256"] == sha256("\n".join(ids).encode()).hexdigest()
    calls = usage_records.c
    with read(application.database) as session:
        stored = session.execute(
            select(calls.id)
            .where(
                calls.organization_id == application.organization_id,
                calls.id.between(after["first_id"], after["last_id"]),
            )
            .order_by(calls.id)
        ).scalars()
        assert list(stored) == ids
    assert (second["actor_kind"], second["outcome"]) == ("api_key", "success")
    assert second["actor_id"]
    assert second["request_id"]
    assert second["ip"] == "127.0.0.1"
    assert whole(application)


def test_what_stores_nothing_leaves_no_entry(application: Application) -> None:
    accepted(send(application, "/usage", usage("e1")), 201)
    accepted(send(application, "/usage", usage("e1")), 200)
    send(application, "/usage", usage("e1", prompt_tokens=9))
    again = {"headers": {"Idempotency-Key": "k1"}}
    accepted(send(application, "/usage", usage("e2"), **again), 201)
    accepted(send(application, "/usage", usage("e2"), **again), 201)
    atomic = [usage("e3"), usage("e1", prompt_tokens=9)]
    send(application, "/usage/batch?atomic=true", atomic)
    found = entries(application, "usage.create", "usage.update")
    assert [json.loads(each["after"])["count"] for each in found] == [1, 1]
    accepted(send(application, "/usage/batch?correct=true", [usage("e1", prompt_tokens=9)]), 200)
    assert [each["action"] for each in entries(application)][-1] == "usage.update"
    assert whole(application)


def test_a_cost_of_ones_own_is_a_call_too(sqlite_application: Application) -> None:
    cost = {
        "provider": "openai",
        "model": "gpt-4o",
        "cost": "1.5",
        "timestamp": usage()["timestamp"],
    }
    made = accepted(send(sqlite_application, "/costs", cost), 201)
    (entry,) = entries(sqlite_application, "usage.create")
    assert entry["resource_id"] == made["id"]
