"""The last word of every fault test: the ledger, its rollups and its outbox."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right

from sqlalchemy import text

from llm_cost_ops.core.money import from_e10
from llm_cost_ops.server.db.engine import open_maintenance_database
from llm_cost_ops.server.db.session import ReadSession, snapshot
from llm_cost_ops.server.ledger.verify import verify
from llm_cost_ops.server.settings import DatabaseSettings
from tests.chaos.history import Findings, History, compare


def check_ledger(settings: DatabaseSettings, history: History) -> Findings:
    """Everything acknowledged is there, once, at its price, and nothing that was not sent; the
    rollups are the ledger's sums; every call was announced exactly once."""
    database = open_maintenance_database(settings)
    try:
        with snapshot(database) as session:
            findings = _check(session, history)
    finally:
        database.dispose()
    return findings


def _check(session: ReadSession, history: History) -> Findings:
    rows = session.execute(text("SELECT id, event_id, cost_e10 FROM usage_records")).all()
    ledger = [(row.event_id, row.cost_e10) for row in rows]
    findings = compare(history, ledger)
    statuses = dict(sorted(history.statuses().items()))
    print(
        f"{len(history.attempted)} attempted, {len(history.acknowledged)} acknowledged, "
        f"answers {statuses}: {findings}"
    )
    assert findings.none, vars(findings)
    assert 500 not in statuses
    assert not history.unknown()
    assert len(history.acknowledged) == len(ledger)
    proof = verify(session)
    assert proof.ok, proof.first_difference
    assert proof.totals.get("USD", 0) == from_e10(sum(cost for _, cost in ledger))
    _check_outbox(session, [row.id for row in rows])
    return findings


def _check_outbox(session: ReadSession, ids: list[str]) -> None:
    """Each event names the range of ids that it tells of: together every row, and none twice."""
    ordered = sorted(ids)
    announced = 0
    rows = session.execute(text("SELECT payload FROM outbox WHERE topic = 'usage.recorded'"))
    for (payload,) in rows:
        event = json.loads(payload)
        first, last = (
            bisect_left(ordered, event["first_id"]),
            bisect_right(ordered, event["last_id"]),
        )
        assert ordered[first] == event["first_id"]
        assert last - first == event["count"]
        announced += event["count"]
    assert announced == len(ids)
