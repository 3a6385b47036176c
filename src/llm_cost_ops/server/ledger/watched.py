"""What alerts look at in calls: the dear and the unpriced of a batch, the failed of a window."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import func, select

from llm_cost_ops.core.period import Window
from llm_cost_ops.core.scope import COLUMNS, METADATA, TAGS, Scope
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger.scoped import inside
from llm_cost_ops.server.ledger.tables import usage_records
from llm_cost_ops.server.spend.index import facts_of

TOP = 3
FINE = frozenset({"", "success", "succeeded", "ok", "completed", "complete", "200"})
"""What a status says of a call that did not fail; a call without a status did not, either."""
MAX_CALLS = 200
_U = usage_records.c
_LABELS = (*("model_name" if name == "model" else name for name in COLUMNS), "tags", "metadata")
_BY_LABEL = tuple(_U[name] for name in _LABELS)
Row = Mapping[str, Any]


class Batch(NamedTuple):
    """The records that one event tells of."""

    first_id: str
    last_id: str


def costly(
    session: ReadSession,
    organization_id: str,
    batch: Batch,
    scope: Scope,
    currency: str,
    from_e10_on: int,
) -> list[Row]:
    """The calls of a batch that cost as much or more, the dearest first, at most MAX_CALLS."""
    query = (
        select(_U.id, _U.cost_e10, _U.total_tokens, _U.timestamp, *_BY_LABEL)
        .where(
            _U.organization_id == organization_id,
            _U.id >= batch.first_id,
            _U.id <= batch.last_id,
            _U.cost_e10 >= from_e10_on,
            _U.currency == currency,
            inside(_U, [scope]),
        )
        .order_by(_U.cost_e10.desc(), _U.id)
        .limit(MAX_CALLS)
    )
    rows = [dict(row) for row in session.execute(query).mappings()]
    return [row for row in rows if _holds(scope, row)]


def unpriced_models(
    session: ReadSession, organization_id: str, batch: Batch, scope: Scope
) -> list[tuple[str, str]]:
    """Provider and model of the calls of a batch that have no price."""
    query = (
        select(*_BY_LABEL)
        .where(
            _U.organization_id == organization_id,
            _U.id >= batch.first_id,
            _U.id <= batch.last_id,
            _U.cost_e10.is_(None),
            inside(_U, [scope]),
        )
        .distinct()
    )
    rows = [dict(row) for row in session.execute(query).mappings()]
    return sorted({(r["provider"], r["model_name"]) for r in rows if _holds(scope, r)})


class Failures(NamedTuple):
    """Of some calls: how many there were, and how many failed with which status."""

    requests: int
    failed: int
    by_status: tuple[tuple[str, int], ...]

    @property
    def share(self) -> Decimal:
        return Decimal(self.failed) / self.requests if self.requests else Decimal(0)


def failures(session: ReadSession, organization_id: str, scope: Scope, window: Window) -> Failures:
    """The failed among the calls of a window."""
    by_label = any(name == TAGS or name.startswith(METADATA) for name, _ in scope.dimensions)
    grain = (_U.status, *(_BY_LABEL if by_label else ()))
    query = (
        select(*grain, func.sum(_U.requests).label("calls"))
        .where(
            _U.organization_id == organization_id,
            _U.timestamp >= window.start_us,
            _U.timestamp < window.end_us,
            inside(_U, [scope]),
        )
        .group_by(*grain)
    )
    requests, failed = 0, dict[str, int]()
    for row in session.execute(query).mappings():
        if by_label and not _holds(scope, dict(row)):
            continue
        calls, status = int(row["calls"]), row["status"] or ""
        requests += calls
        if status.lower() not in FINE:
            failed[status] = failed.get(status, 0) + calls
    ranked = sorted(failed.items(), key=lambda each: (-each[1], each[0]))
    return Failures(requests, sum(failed.values()), tuple(ranked[:TOP]))


def _holds(scope: Scope, row: Row) -> bool:
    return scope.holds(facts_of(tuple(row[name] for name in _LABELS)))
