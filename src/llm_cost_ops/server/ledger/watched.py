"""What alerts look at in calls: the dear and the unpriced of some batches, what these are labelled
with, the failed of a window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, func, or_, select

from llm_cost_ops.core.period import Window
from llm_cost_ops.core.scope import COLUMNS, METADATA, TAGS, Scope
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger.scoped import inside
from llm_cost_ops.server.ledger.tables import usage_records
from llm_cost_ops.server.spend.index import Labels, facts_of

TOP = 3
MAX_LABELS = 2_000
FINE = frozenset({"", "success", "succeeded", "ok", "completed", "complete", "200"})
"""What a status says of a call that did not fail; a call without a status did not, either."""
_U = usage_records.c
_LABELS = (*("model_name" if name == "model" else name for name in COLUMNS), "tags", "metadata")
_BY_LABEL = tuple(_U[name] for name in _LABELS)
_BY_COLUMN = _BY_LABEL[: len(COLUMNS)]
Row = Mapping[str, Any]


class Batch(NamedTuple):
    """The records that one event tells of."""

    first_id: str
    last_id: str


def labels(
    session: ReadSession, organization_id: str, batches: Sequence[Batch], *, whole: bool
) -> list[Labels] | None:
    """What calls of the batches are labelled with, each once; tags and metadata with `whole` only,
    else as None. None when they are more than MAX_LABELS."""
    grain = _BY_LABEL if whole else _BY_COLUMN
    query = (
        select(*grain)
        .where(_U.organization_id == organization_id, _in_any(batches))
        .distinct()
        .limit(MAX_LABELS + 1)
    )
    rows = session.execute(query).all()
    if len(rows) > MAX_LABELS:
        return None
    padding = () if whole else (None, None)
    return [(*row, *padding) for row in rows]


def noteworthy(
    session: ReadSession,
    organization_id: str,
    batches: Sequence[Batch],
    from_e10_on: int | None,
    *,
    unpriced: bool,
) -> Iterator[tuple[Row, Labels]]:
    """The calls of the batches that cost as much or more in whatever currency, and those without a
    price if they are asked for; with their labels, in no order."""
    wanted: list[ColumnElement[bool]] = [_U.cost_e10.is_(None)] if unpriced else []
    if from_e10_on is not None:
        wanted.append(_U.cost_e10 >= from_e10_on)
    query = select(
        _U.id, _U.cost_e10, _U.currency, _U.total_tokens, _U.timestamp, *_BY_LABEL
    ).where(_U.organization_id == organization_id, _in_any(batches), or_(*wanted))
    for row in session.execute(query).mappings():
        yield dict(row), tuple(row[name] for name in _LABELS)


def _in_any(batches: Sequence[Batch]) -> ColumnElement[bool]:
    return or_(*(and_(_U.id >= each.first_id, _U.id <= each.last_id) for each in batches))


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


def failed_by(
    session: ReadSession,
    organization_id: str,
    scope: Scope,
    window: Window,
    dimensions: Sequence[str],
) -> dict[tuple[str | None, ...], int]:
    """How many calls of a window failed, by the values of some dimensions (of
    `core.scope.COLUMNS`)."""
    names = ["model_name" if name == "model" else name for name in dimensions]
    columns = [_U[name] for name in names]
    by_label = any(name == TAGS or name.startswith(METADATA) for name, _ in scope.dimensions)
    grain = _BY_LABEL if by_label else columns
    query = (
        select(_U.status, *grain, func.sum(_U.requests).label("calls"))
        .where(
            _U.organization_id == organization_id,
            _U.timestamp >= window.start_us,
            _U.timestamp < window.end_us,
            _U.status.is_not(None),
            inside(_U, [scope]),
        )
        .group_by(_U.status, *grain)
    )
    found: dict[tuple[str | None, ...], int] = {}
    for row in session.execute(query).mappings():
        if row["status"].lower() in FINE or (by_label and not _holds(scope, dict(row))):
            continue
        values = tuple(row[name] or None for name in names)
        found[values] = found.get(values, 0) + int(row["calls"])
    return found


def _holds(scope: Scope, row: Row) -> bool:
    return scope.holds(facts_of(tuple(row[name] for name in _LABELS)))
