"""Rollup rows are added through the driver as `upsert_add` would have added them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Table, insert, select

from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.ledger import rollup
from llm_cost_ops.server.ledger.rollup import ROLLUPS
from llm_cost_ops.server.ledger.tables import MEASURES, rollup_daily
from llm_cost_ops.server.ledger.upsert import columns, upsert
from tests.support.factories import make_call

ODD = ('say "hi"', "back\\slash", "tab\tline\n", "naïve 🙂", "{1,NULL}", "%s %(x)s ?", "null", "")
KEYS = {rollup.table: rollup.key for rollup in ROLLUPS}
EACH = pytest.mark.parametrize(("table", "key"), KEYS.items(), ids=[t.name for t in KEYS])


def row(table: Table, name: str, counts: int, low: int | None, high: int | None) -> tuple[Any, ...]:
    project = (name,) if table is rollup_daily else ()
    return (
        "org-1",
        7,
        "openai",
        name,
        *project,
        "USD",
        *(counts + i for i in range(13)),
        low,
        high,
    )


def stored(database: Database, table: Table) -> list[tuple[Any, ...]]:
    with read(database) as session:
        found = session.execute(select(*(table.c[name] for name in columns(KEYS[table]))))
        return sorted(map(tuple, found))


@EACH
def test_new_rows_are_stored_as_they_are(
    database: Database, table: Table, key: tuple[str, ...]
) -> None:
    rows = sorted(row(table, name, 2**53, -5, 10**18) for name in ODD)
    with write(database) as session:
        upsert(session, table, key, rows)
    assert stored(database, table) == rows


@EACH
@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ((None, None), (None, None), (None, None)),
        ((None, None), (3, 4), (3, 4)),
        ((3, 4), (None, None), (3, 4)),
        ((3, 4), (2, 5), (2, 5)),
        ((3, 4), (3, 4), (3, 4)),
        ((-3, 9), (0, 8), (-3, 9)),
    ],
)
def test_rows_with_a_known_key_are_added_to_it(
    database: Database,
    table: Table,
    key: tuple[str, ...],
    before: tuple[int | None, int | None],
    after: tuple[int | None, int | None],
    kept: tuple[int | None, int | None],
) -> None:
    with write(database) as session:
        upsert(session, table, key, [row(table, "a", 10, *before), row(table, "b", 1, 1, 1)])
        upsert(session, table, key, [row(table, "a", 5, *after)])
    sums = [10 + 5 + 2 * i for i in range(len(MEASURES))]
    start = len(key)
    found = stored(database, table)
    assert [*found[0][start:-2]] == sums
    assert found[0][-2:] == kept
    assert found[1] == row(table, "b", 1, 1, 1)


def test_many_rows_at_once(database: Database) -> None:
    rows = [row(rollup_daily, f"m{i:04d}", i, i, i) for i in range(2_500)]
    with write(database) as session:
        upsert(session, rollup_daily, KEYS[rollup_daily], rows)
        upsert(session, rollup_daily, KEYS[rollup_daily], rows)
    found = stored(database, rollup_daily)
    assert len(found) == len(rows)
    assert [one[6] for one in found] == [2 * i for i in range(2_500)]


@EACH
def test_the_same_as_row_by_row(database: Database, table: Table, key: tuple[str, ...]) -> None:
    calls = [
        make_call(at, cost, project_id=project, input_tokens=tokens)
        for at in ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z")
        for cost, tokens in (("0.05", 3), (None, 4), ("0", 0))  # below a unit: no carry
        for project in ("p", None)
    ]
    for entry in calls:
        with write(database) as session:
            rollup.apply(session, rollup.deltas_of([entry]))
    one_by_one = stored(database, table)
    with write(database) as session:
        session.execute(table.delete())
        rollup.apply(session, rollup.deltas_of(calls))
    assert stored(database, table) == one_by_one
    with write(database) as session:
        session.execute(table.delete())
        groups = dict(zip(KEYS, rollup.projected(rollup.deltas_of(calls)), strict=True))[table]
        session.execute(insert(table), rollup.rows_of(key, groups))
    assert stored(database, table) == one_by_one
