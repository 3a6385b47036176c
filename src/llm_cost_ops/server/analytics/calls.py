"""The one source of raw calls: rows of the ledger net of their corrections, voided ones left out.

Three ways to be net, for three kinds of reads: none where the window has no corrections, a join
where many calls are summed, and subqueries per row where a page of calls is looked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    and_,
    case,
    cast,
    exists,
    func,
    null,
    select,
)
from sqlalchemy.sql.selectable import Subquery

from llm_cost_ops.core.period import Window
from llm_cost_ops.server.analytics.fields import Field
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.ledger.late import on_time
from llm_cost_ops.server.ledger.store import ADDITIVE
from llm_cost_ops.server.ledger.tables import usage_corrections, usage_records

Expression = ColumnElement[Any]

CALL = usage_records.alias("r")
_LATEST = usage_corrections.alias("k")
_EACH = usage_corrections.alias("x")
_DELTAS = (*ADDITIVE, "cost_e10", "list_cost_e10")
_REPLACED = frozenset({"cost_status", "currency", "price_version", "price_rule"})
"""Columns whose value is the latest correction's."""


class Net(StrEnum):
    """How corrections are taken into account."""

    NONE = "none"
    JOINED = "joined"
    PER_ROW = "per_row"


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of one organization in a window: where they are, and their net values."""

    kind: DatabaseKind
    net: Net
    tables: FromClause
    where: tuple[ColumnElement[bool], ...]
    corrections: Subquery | None = None
    closed: bool = False
    """Whether what was recorded after the month of the call was closed is left out."""

    def value(self, field: Field) -> Expression:
        """The net value of a field."""
        return self.column(field.column) if field.net else CALL.c[field.column]

    def column(self, name: str) -> Expression:
        """The net value of a column; an amount is NULL while the call is unpriced."""
        stored: Expression = CALL.c[name]
        if name == "list_cost_e10":
            stored = func.coalesce(CALL.c.list_cost_e10, CALL.c.cost_e10)
        if self.net is Net.NONE:
            return stored
        if name in _REPLACED:
            return self._replaced(name)
        if name in ("cost_e10", "list_cost_e10"):
            total = func.coalesce(stored, 0) + self._delta(name)
            return case((self.column("cost_status") == "unpriced", null()), else_=total)
        return stored + self._delta(name)

    def usage(self) -> Expression:
        """The net `usage` JSON: that of the latest recount, else of the call."""
        if self.corrections is None:
            return CALL.c.usage
        recount = self.corrections.c.recount_id
        again = select(_EACH.c.usage).where(_EACH.c.id == recount).scalar_subquery()
        return case((recount.is_(None), CALL.c.usage), else_=again)

    def _replaced(self, name: str) -> Expression:
        if self.net is Net.JOINED:
            return case((_LATEST.c.id.is_(None), CALL.c[name]), else_=_LATEST.c[name])
        of_call = self._of_call()
        latest = select(_EACH.c[name]).where(of_call).order_by(_EACH.c.id.desc()).limit(1)
        corrected = exists().where(of_call).correlate(CALL)
        return case((corrected, latest.correlate(CALL).scalar_subquery()), else_=CALL.c[name])

    def _delta(self, name: str) -> Expression:
        if self.corrections is not None:
            return func.coalesce(self.corrections.c[name], 0)
        delta = cast(func.sum(_EACH.c[name]), BigInteger())
        total = select(delta).where(self._of_call())
        return func.coalesce(total.correlate(CALL).scalar_subquery(), 0)

    def _of_call(self) -> ColumnElement[bool]:
        return _corrects(closed=self.closed)


def _corrects(*, closed: bool) -> ColumnElement[bool]:
    of_call = _EACH.c.record_id == CALL.c.id
    return and_(of_call, on_time(_EACH)) if closed else of_call


def plain_calls(session: ReadSession, organization_id: str, window: Window) -> Calls | None:
    """The calls of a window as they were recorded; None where there are corrections."""
    inside = _inside(usage_corrections, organization_id, window)
    if session.execute(select(usage_corrections.c.id).where(inside).limit(1)).first() is not None:
        return None
    return Calls(session.kind, Net.NONE, CALL, (_inside(CALL, organization_id, window),))


def summed_calls(session: ReadSession, organization_id: str, window: Window) -> Calls:
    """The calls of a window for sums, joined with their corrections only where there are any."""
    plain = plain_calls(session, organization_id, window)
    if plain is not None:
        return plain
    table = usage_corrections.c
    inside = _inside(usage_corrections, organization_id, window)
    where = _inside(CALL, organization_id, window)
    corrections = (
        select(
            table.record_id,
            # A sum of integers is a decimal on PostgreSQL, which would divide with fractions.
            *(cast(func.sum(table[name]), BigInteger()).label(name) for name in _DELTAS),
            func.max(table.id).label("latest_id"),
            func.max(case((table.payload_digest.is_not(None), table.id))).label("recount_id"),
            func.max(case((table.kind == "void", 1), else_=0)).label("voided"),
        )
        .where(inside)
        .group_by(table.record_id)
        .subquery("c")
    )
    tables = CALL.outerjoin(corrections, corrections.c.record_id == CALL.c.id)
    tables = tables.outerjoin(_LATEST, _LATEST.c.id == corrections.c.latest_id)
    stands = func.coalesce(corrections.c.voided, 0) == 0
    return Calls(session.kind, Net.JOINED, tables, (where, stands), corrections)


def listed_calls(
    kind: DatabaseKind, organization_id: str, window: Window, *, closed: bool = False
) -> Calls:
    """The calls of a window for a page of them; with `closed` as they were when their month was
    closed."""
    voided = exists().where(_corrects(closed=closed), _EACH.c.kind == "void")
    where = (_inside(CALL, organization_id, window), ~voided.correlate(CALL))
    if closed:
        where = (*where, on_time(CALL))
    return Calls(kind, Net.PER_ROW, CALL, where, closed=closed)


def _inside(table: FromClause, organization_id: str, window: Window) -> ColumnElement[bool]:
    return and_(
        table.c.organization_id == organization_id,
        table.c.timestamp >= window.start_us,
        table.c.timestamp < window.end_us,
    )
