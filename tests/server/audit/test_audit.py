"""The audit log is written with what it tells of, or not at all."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from llm_cost_ops.core.ids import is_id
from llm_cost_ops.server.audit.record import record
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import read, write

NOW = 1_800_000_000_000_000


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "organization_id": "org-a",
        "actor_id": "key_1",
        "action": "costs.update",
        "resource_type": "cost",
        "resource_id": "usg_1",
        "now_us": NOW,
        **changes,
    }


def only_row(database: Database) -> Any:
    with read(database) as session:
        return session.execute(select(audit_log)).one()


def test_an_entry_holds_who_did_what(database: Database) -> None:
    before = {"tags": ["a"], "amount": Decimal("0.0000000001"), "name": "ä\n'\"; DROP TABLE x"}
    with write(database) as session:
        entry_id = record(session, **entry(before=before, after={}, request_id="req_1"))
    row = only_row(database)
    assert is_id(entry_id, "aud")
    assert (row.id, row.organization_id, row.timestamp) == (entry_id, "org-a", NOW)
    assert (row.actor_id, row.action, row.resource_type) == ("key_1", "costs.update", "cost")
    assert (row.resource_id, row.request_id) == ("usg_1", "req_1")
    assert json.loads(row.before, parse_float=Decimal) == before
    assert json.loads(row.after) == {}


def test_nothing_is_null_and_not_empty(database: Database) -> None:
    with write(database) as session:
        record(session, **entry(actor_id=None, request_id=""))
    row = only_row(database)
    assert (row.actor_id, row.before, row.after, row.request_id) == (None, None, None, None)


def test_it_is_gone_when_its_transaction_is(database: Database) -> None:
    def fail(session: Any) -> None:
        record(session, **entry())
        raise RuntimeError("rolled back")

    with pytest.raises(RuntimeError), write(database) as session:
        fail(session)
    with read(database) as session:
        assert session.execute(select(audit_log)).first() is None


def test_a_resource_id_of_any_length_is_kept_as_far_as_it_fits(database: Database) -> None:
    with write(database) as session:
        record(session, **entry(resource_id="x" * 1000))
    assert only_row(database).resource_id == "x" * 255
