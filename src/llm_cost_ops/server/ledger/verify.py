"""Proof that the rollups are the ledger: every sum compared to the last digit, or made anew.

Both go through the ledger day by day, so that memory holds one day of one organization.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import Table, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from llm_cost_ops.core.money import E10, from_e10, plain
from llm_cost_ops.server.db.errors import SerializationRetry
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.ledger import teams
from llm_cost_ops.server.ledger.closed import Closed, closed_of, digest_of_sums, totals_of
from llm_cost_ops.server.ledger.projection import (
    TooFine,
    active_days,
    day_deltas,
    organizations_with_rows,
)
from llm_cost_ops.server.ledger.proof import first_wrong_period
from llm_cost_ops.server.ledger.recount import first_difference
from llm_cost_ops.server.ledger.rollup import (
    DAY_US,
    ROLLUPS,
    Delta,
    Key,
    projected,
    rows_of,
)
from llm_cost_ops.server.ledger.tables import (
    MEASURES,
    rollup_teams,
    usage_corrections,
    usage_records,
)

Row = Mapping[str, Any]
_EXTREMES = ("min_cost_e10", "max_cost_e10")


@dataclass(frozen=True, slots=True)
class Difference:
    """The first rollup row, or counter of a budget, that is not what the ledger says."""

    rollup: str
    key: dict[str, Any]
    ledger: dict[str, Any] | None
    stored: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Verification:
    """`records` are the calls that stand, `archived` those that retention took out of the ledger;
    totals are of both, exact and per currency."""

    ok: bool
    records: int
    totals: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    first_difference: Difference | None = None
    archived: int = 0

    @property
    def total_cost(self) -> Decimal | None:
        """The total when there is one currency; None when amounts must not be added."""
        if len(self.totals) > 1:
            return None
        return next(iter(self.totals.values()), Decimal(0))


def verify(session: ReadSession, organization_id: str | None = None) -> Verification:
    """Compare the rollups and the counters of budgets with the ledger, of one organization or all.

    Give it a snapshot: what is committed meanwhile would look like a difference.
    """
    totals: dict[str, int] = {}
    difference: Difference | None = None
    records = 0
    archived = 0
    for organization in _organizations(session, organization_id):
        closed = closed_of(session, organization)
        by_team = teams.known_days(session, organization)
        for day in active_days(session, organization):
            if day in closed:
                difference = difference or _of_closed(session, organization, closed[day])
                for currency, units in totals_of(session, organization, day).items():
                    totals[currency] = totals.get(currency, 0) + units
                archived += closed[day].records
                continue
            ledger = day_deltas(session, organization, day)
            for key, delta in ledger.items():
                totals[key[-1]] = totals.get(key[-1], 0) + delta.cost
            difference = difference or _compare(session, organization, day, ledger)
            if day in by_team:
                difference = difference or _of_teams(session, organization, day, by_team[day])
            records += _count_calls(session, organization, day)
        difference = difference or _of_periods(session, organization)
    difference = difference or _of_counters(session, organization_id)
    amounts = {currency: from_e10(units) for currency, units in sorted(totals.items())}
    return Verification(difference is None, records, amounts, difference, archived)


def _of_closed(session: ReadSession, organization_id: str, closed: Closed) -> Difference | None:
    """The sums of a day whose calls are archived must be those of the closing."""
    found = digest_of_sums(session, organization_id, closed.day)
    if found == closed.digest:
        return None
    key = {"organization_id": organization_id, "day": closed.day}
    return Difference("closed_days", key, {"digest": closed.digest}, {"digest": found})


def _of_teams(
    session: ReadSession, organization_id: str, day: int, grain: str
) -> Difference | None:
    """The first sum by team of a day that is not what its calls add up to."""
    try:
        groups = teams.day_sums(session, organization_id, day, grain)
    except TooFine:
        groups = {}
    mine = _of_day(rollup_teams, organization_id, day, 1)
    return _first(session, rollup_teams, mine, teams.KEYS[grain], groups)


def _of_periods(session: ReadSession, organization_id: str) -> Difference | None:
    """The first closed month whose stored books are not what the ledger says as of its closing."""
    found = first_wrong_period(session, organization_id)
    if found is None:
        return None
    key = {"organization_id": organization_id, "month": found.month}
    return Difference("periods", key, found.ledger, found.stored)


def _of_counters(session: ReadSession, organization_id: str | None) -> Difference | None:
    """The first counter of a budget that is not what the ledger says."""
    found = first_difference(session, organization_id)
    if found is None:
        return None
    key = {"budget_id": found.budget_id, "period_start": found.period_start}
    return Difference("budgets", key, found.ledger, found.stored)


def rebuild(session: WriteSession, organization_id: str | None = None) -> int:
    """Make the rollups anew from the ledger; the number of rollup rows written. Those of closed
    days are all that is left of these, and stay.

    Raises SerializationRetry when a call was recorded meanwhile: run it again.
    """
    written = 0
    for organization in _organizations(session, organization_id):
        closed = closed_of(session, organization)
        teams.forget(session, organization)  # the worker makes them again
        for day in active_days(session, organization):
            if day in closed:
                continue
            # Emptied before the ledger is read: who adds to these rows waits for us from here on.
            for table, _, buckets in ROLLUPS:
                session.execute(delete(table).where(*_of_day(table, organization, day, buckets)))
            groups = projected(day_deltas(session, organization, day))
            for (table, key, _), group in zip(ROLLUPS, groups, strict=True):
                written += _insert(session, table, rows_of(key, group))
    return written


def _organizations(session: ReadSession, organization_id: str | None) -> list[str]:
    return organizations_with_rows(session) if organization_id is None else [organization_id]


def _of_day(table: Table, organization_id: str, day: int, buckets: int) -> Sequence[Any]:
    return (
        table.c.organization_id == organization_id,
        table.c.bucket >= day * buckets,
        table.c.bucket < (day + 1) * buckets,
    )


def _insert(session: WriteSession, table: Table, rows: list[dict[str, Any]]) -> int:
    rows = [row for row in rows if _shown(row) is not None]
    if rows:
        try:
            session.execute(insert(table), rows)
        except IntegrityError as error:
            raise SerializationRetry from error
    return len(rows)


def day_difference(session: ReadSession, organization_id: str, day: int) -> Difference | None:
    """The first rollup row of a day that is not what the ledger's rows say."""
    return _compare(session, organization_id, day, day_deltas(session, organization_id, day))


def _compare(
    session: ReadSession, organization_id: str, day: int, ledger: Mapping[Key, Delta]
) -> Difference | None:
    for (table, key, buckets), group in zip(ROLLUPS, projected(ledger), strict=True):
        mine = _of_day(table, organization_id, day, buckets)
        found = _first(session, table, mine, key, group)
        if found is not None:
            return found
    return None


def _first(
    session: ReadSession,
    table: Table,
    mine: Sequence[Any],
    key: Sequence[str],
    ledger: Mapping[Key, Delta],
) -> Difference | None:
    """The first of these rows of a rollup, in key order, that is not what the ledger says."""
    rows = session.execute(select(table).where(*mine)).mappings()
    stored = {_key(key, row): row for row in rows}
    expected = {_key(key, row): row for row in rows_of(key, ledger)}
    for values in sorted(expected.keys() | stored.keys()):
        found = _difference(str(table.name), key, expected.get(values), stored.get(values))
        if found is not None:
            return found
    return None


def _key(names: Sequence[str], row: Mapping[Any, Any]) -> Key:
    return tuple(row[name] for name in names)


def _difference(
    rollup: str,
    key: Sequence[str],
    expected: Mapping[Any, Any] | None,
    stored: Mapping[Any, Any] | None,
) -> Difference | None:
    ledger, found = _shown(expected), _shown(stored)
    if ledger == found:
        return None
    some = expected or stored or {}
    return Difference(rollup, {name: some[name] for name in key}, ledger, found)


def _shown(row: Mapping[Any, Any] | None) -> dict[str, Any] | None:
    """The row as people read it: money in one number, extremes as amounts. A row whose calls were
    all taken back adds up to nothing, as if it were not there."""
    if row is None:
        return None
    shown: dict[str, Any] = {
        name: int(row[name]) for name in MEASURES if not name.endswith(("_whole", "_fraction"))
    }
    for name in ("cost", "list"):
        units = int(row[f"{name}_whole"]) * E10 + int(row[f"{name}_fraction"])
        shown[f"{name}_total"] = plain(from_e10(units))
    for name in _EXTREMES:
        shown[name] = None if row[name] is None else int(row[name])
    return shown if any(value not in (0, "0", None) for value in shown.values()) else None


def _count_calls(session: ReadSession, organization_id: str, day: int) -> int:
    """Calls of the day less those that were taken back."""
    counted = [
        session.scalar(
            select(func.count())
            .select_from(table)
            .where(
                table.c.organization_id == organization_id,
                table.c.timestamp >= day * DAY_US,
                table.c.timestamp < (day + 1) * DAY_US,
                *conditions,
            )
        )
        for table, conditions in (
            (usage_records, ()),
            (usage_corrections, (usage_corrections.c.kind == "void",)),
        )
    ]
    return int(counted[0]) - int(counted[1])


def wire(result: Verification) -> dict[str, Any]:
    """The answer of `cost-ops verify -o json`."""
    difference = result.first_difference
    return {
        "ok": result.ok,
        "records": result.records,
        "archived": result.archived,
        "total_cost": result.total_cost,
        "totals": result.totals,
        "first_difference": None
        if difference is None
        else {
            "rollup": difference.rollup,
            "key": difference.key,
            "ledger": difference.ledger,
            "stored": difference.stored,
        },
    }
