"""The rollups as SQL over the ledger: what `verify` compares with and `rebuild` writes.

Money is summed in two parts, whole units and 1e-10 fractions, because the sum of many 64-bit
amounts can leave 64 bits, which SQLite refuses.
"""

from __future__ import annotations

from dataclasses import dataclass

from llm_cost_ops.core.money import E10
from llm_cost_ops.server.ledger.rollup import DAILY_KEY, DAY_US, HOUR_US, HOURLY_KEY
from llm_cost_ops.server.ledger.tables import MEASURES

_TOKENS = MEASURES[-6:]


@dataclass(frozen=True, slots=True)
class Projection:
    """One rollup: its table, key columns and bucket width in microseconds."""

    table: str
    key: tuple[str, ...]
    width_us: int


PROJECTIONS = (
    Projection("rollup_hourly", HOURLY_KEY, HOUR_US),
    Projection("rollup_daily", DAILY_KEY, DAY_US),
)


def _div(dialect: str) -> str:
    return "DIV" if dialect in ("mysql", "mariadb") else "/"


def sums_sql(projection: Projection, dialect: str, *, one_organization: bool) -> str:
    """Key and measures of every rollup row, from calls and corrections, in no order."""
    div = _div(dialect)
    scope = "WHERE organization_id = :organization_id" if one_organization else ""
    dimensions = ", ".join(f"{_dimension(name, div, projection)}" for name in projection.key)
    tokens = ", ".join(_TOKENS)
    calls = (
        f"SELECT {dimensions}, requests, "  # noqa: S608 - our own names
        "CASE WHEN cost_e10 IS NULL THEN requests ELSE 0 END AS unpriced, "
        "CASE WHEN cost_status = 'partially_priced' THEN requests ELSE 0 END AS partially_priced, "
        f"{_parts('COALESCE(cost_e10, 0)', 'cost', div)}, "
        f"{_parts('COALESCE(list_cost_e10, cost_e10, 0)', 'list', div)}, {tokens} "
        f"FROM usage_records {scope}"
    )
    corrections = (
        f"SELECT {dimensions}, requests, unpriced, partially_priced, "  # noqa: S608 - our own names
        f"{_parts('cost_e10', 'cost', div)}, {_parts('list_cost_e10', 'list', div)}, {tokens} "
        f"FROM usage_corrections {scope}"
    )
    sums = ", ".join(f"SUM({name}) AS {name}" for name in MEASURES)
    key = ", ".join(projection.key)
    return f"SELECT {key}, {sums} FROM ({calls} UNION ALL {corrections}) AS ledger GROUP BY {key}"  # noqa: S608


def extremes_sql(projection: Projection, dialect: str, where: str = "") -> str:
    """Key, smallest and largest net cost of the priced calls that stand.

    `where` narrows both sides by organization and time, with the same column names.
    """
    div = _div(dialect)
    dimensions = ", ".join(f"{_dimension(n, div, projection, 'r.')}" for n in projection.key)
    key = ", ".join(projection.key)
    corrections = (
        "SELECT record_id, SUM(cost_e10) AS delta, SUM(unpriced) AS unpriced, "  # noqa: S608
        "MAX(CASE WHEN kind = 'void' THEN 1 ELSE 0 END) AS voided FROM usage_corrections "
        f"{where} GROUP BY record_id"
    )
    net = (
        f"SELECT {dimensions}, COALESCE(r.cost_e10, 0) + COALESCE(c.delta, 0) AS net "  # noqa: S608
        f"FROM (SELECT * FROM usage_records {where}) AS r "
        f"LEFT JOIN ({corrections}) AS c ON c.record_id = r.id "
        "WHERE COALESCE(c.voided, 0) = 0 AND "
        "(CASE WHEN r.cost_e10 IS NULL THEN r.requests ELSE 0 END) + COALESCE(c.unpriced, 0) = 0"
    )
    return (
        f"SELECT {key}, MIN(net) AS min_cost_e10, MAX(net) AS max_cost_e10 "  # noqa: S608
        f"FROM ({net}) AS priced GROUP BY {key}"
    )


def _dimension(name: str, div: str, projection: Projection, prefix: str = "") -> str:
    if name == "bucket":
        return f"{prefix}timestamp {div} {projection.width_us} AS bucket"
    if name == "project_id":
        return f"COALESCE({prefix}project_id, '') AS project_id"
    return f"{prefix}{name}" if not prefix else f"{prefix}{name} AS {name}"


def _parts(expression: str, name: str, div: str) -> str:
    return f"{expression} {div} {E10} AS {name}_whole, {expression} % {E10} AS {name}_fraction"
