"""Proof that the rollups are the ledger: every sum compared to the last digit, or made anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from llm_cost_ops.core.money import E10, from_e10, plain
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.ledger.projection import PROJECTIONS, Projection, extremes_sql, sums_sql
from llm_cost_ops.server.ledger.tables import MEASURES

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """The first rollup row that is not what the ledger says."""

    rollup: str
    key: dict[str, Any]
    ledger: dict[str, Any] | None
    stored: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Verification:
    """`records` are the calls that stand; totals are exact and per currency."""

    ok: bool
    records: int
    totals: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    first_difference: Difference | None = None

    @property
    def total_cost(self) -> Decimal | None:
        """The total when there is one currency; None when amounts must not be added."""
        if len(self.totals) > 1:
            return None
        return next(iter(self.totals.values()), Decimal(0))


def verify(session: ReadSession, organization_id: str | None = None) -> Verification:
    """Compare both rollups with the ledger, for one organization or all."""
    difference = next(
        (found for p in PROJECTIONS if (found := _compare(session, p, organization_id))), None
    )
    records = _count_calls(session, organization_id)
    return Verification(difference is None, records, _totals(session, organization_id), difference)


def rebuild(session: WriteSession, organization_id: str | None = None) -> int:
    """Make the rollups anew from the ledger; the number of rollup rows written."""
    written = 0
    scope, parameters = _scope(organization_id)
    for projection in PROJECTIONS:
        session.execute(text(f"DELETE FROM {projection.table} {scope}"), parameters)  # noqa: S608
        columns = (*projection.key, *MEASURES, "min_cost_e10", "max_cost_e10")
        insert = text(
            f"INSERT INTO {projection.table} ({', '.join(columns)}) "  # noqa: S608
            f"VALUES ({', '.join(f':{name}' for name in columns)})"
        )
        batch: list[dict[str, Any]] = []
        for row in list(_ledger_rows(session, projection, organization_id)):
            batch.append({**row, **_normalised_money(row)})
            if len(batch) == 5_000:
                session.connection.execute(insert, batch)
                written += len(batch)
                batch = []
        if batch:
            session.connection.execute(insert, batch)
            written += len(batch)
    return written


def _scope(organization_id: str | None) -> tuple[str, dict[str, Any]]:
    if organization_id is None:
        return "", {}
    return "WHERE organization_id = :organization_id", {"organization_id": organization_id}


def _ledger_rows(
    session: ReadSession, projection: Projection, organization_id: str | None
) -> Iterator[dict[str, Any]]:
    scope, parameters = _scope(organization_id)
    dialect = session.connection.dialect.name
    extremes = {
        tuple(row)[:-2]: (row.min_cost_e10, row.max_cost_e10)
        for row in session.execute(text(extremes_sql(projection, dialect, scope)), parameters)
    }
    sums = text(sums_sql(projection, dialect, one_organization=organization_id is not None))
    for row in session.execute(sums, parameters).mappings():
        key = tuple(row[name] for name in projection.key)
        low, high = extremes.get(key, (None, None))
        values = {name: int(row[name]) for name in MEASURES}
        yield {
            **dict(zip(projection.key, key, strict=True)),
            **values,
            "min_cost_e10": low,
            "max_cost_e10": high,
        }


def _normalised_money(row: Row) -> dict[str, int]:
    parts: dict[str, int] = {}
    for name in ("cost", "list"):
        total = row[f"{name}_whole"] * E10 + row[f"{name}_fraction"]
        parts[f"{name}_whole"], parts[f"{name}_fraction"] = divmod(total, E10)
    return parts


def _comparable(row: Row) -> dict[str, Any]:
    """The row as people read it: money in one number, extremes as amounts."""
    shown: dict[str, Any] = {
        name: int(row[name]) for name in MEASURES if not name.endswith(("_whole", "_fraction"))
    }
    for name in ("cost", "list"):
        units = int(row[f"{name}_whole"]) * E10 + int(row[f"{name}_fraction"])
        shown[f"{name}_total"] = plain(from_e10(units))
    for name in ("min_cost_e10", "max_cost_e10"):
        shown[name] = None if row[name] is None else int(row[name])
    return shown


def _compare(
    session: ReadSession, projection: Projection, organization_id: str | None
) -> Difference | None:
    scope, parameters = _scope(organization_id)
    query = text(f"SELECT * FROM {projection.table} {scope}")  # noqa: S608 - our own name
    stored = {
        tuple(row[name] for name in projection.key): _comparable(dict(row))
        for row in session.execute(query, parameters).mappings()
    }
    ledger = {
        tuple(row[name] for name in projection.key): _comparable(row)
        for row in _ledger_rows(session, projection, organization_id)
    }
    for key in sorted(ledger.keys() | stored.keys()):
        expected, found = ledger.get(key), stored.get(key)
        if expected != found and not (expected is None and _is_empty(found)):
            named = dict(zip(projection.key, key, strict=True))
            return Difference(projection.table, named, expected, found)
    return None


def _is_empty(row: Mapping[str, Any] | None) -> bool:
    return row is not None and all(value in (0, "0", None) for value in row.values())


def _count_calls(session: ReadSession, organization_id: str | None) -> int:
    scope, parameters = _scope(organization_id)
    voided = f"SELECT record_id FROM usage_corrections {scope}"  # noqa: S608 - our own names
    voided += f" {'AND' if scope else 'WHERE'} kind = 'void'"
    counts = (
        text(f"SELECT COUNT(*) FROM usage_records {scope}"),  # noqa: S608 - our own names
        text(f"SELECT COUNT(*) FROM ({voided}) AS gone"),  # noqa: S608 - our own names
    )
    calls, gone = (session.execute(query, parameters).scalar_one() for query in counts)
    return int(calls) - int(gone)


def _totals(session: ReadSession, organization_id: str | None) -> dict[str, Decimal]:
    """Straight from the ledger's rows, independent of the rollups."""
    projection = PROJECTIONS[0]
    totals: dict[str, int] = {}
    dialect = session.connection.dialect.name
    sums = text(sums_sql(projection, dialect, one_organization=organization_id is not None))
    for row in session.execute(sums, _scope(organization_id)[1]).mappings():
        units = int(row["cost_whole"]) * E10 + int(row["cost_fraction"])
        totals[row["currency"]] = totals.get(row["currency"], 0) + units
    return {currency: from_e10(units) for currency, units in sorted(totals.items())}


def wire(result: Verification) -> dict[str, Any]:
    """The answer of `cost-ops verify -o json`."""
    difference = result.first_difference
    return {
        "ok": result.ok,
        "records": result.records,
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
