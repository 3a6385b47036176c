"""Upserts, exact sums, text comparison and division mean the same on every database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Column, MetaData, String, Table, exc, func, select

from llm_cost_ops.server.db.base import TABLE_OPTIONS
from llm_cost_ops.server.db.dialects import (
    contains,
    exact_sum,
    exactly,
    floor_divide,
    insert_ignore,
    lock_rows,
    order_by_sum,
    read_sum,
    starts_with,
    upsert_add,
)
from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.settings import DatabaseSettings

OPTIONS: dict[str, Any] = dict(TABLE_OPTIONS)
totals = Table(
    "totals",
    MetaData(),
    Column("team", String(40), primary_key=True),
    Column("day", BigInteger, primary_key=True, autoincrement=False),
    Column("cost", BigInteger, nullable=True),
    Column("calls", BigInteger, nullable=False),
    Column("low", BigInteger, nullable=True),
    Column("high", BigInteger, nullable=True),
    Column("note", String(40), nullable=True),
    **OPTIONS,
)
BIG = 2**63 - 1


@pytest.fixture
def database(empty_database: DatabaseSettings) -> Iterator[Database]:
    if empty_database.url.startswith("sqlite"):  # only a migration creates the file
        sqlite3.connect(empty_database.url.removeprefix("sqlite:///")).close()
    opened = open_database(empty_database)
    with write(opened) as session:
        totals.create(session.connection)
    yield opened
    opened.dispose()


def row(team: str, cost: int | None, **rest: Any) -> dict[str, Any]:
    return {"team": team, "day": 1, "cost": cost, "calls": 1, "low": cost, "high": cost} | rest


def fill(database: Database, *rows: dict[str, Any]) -> None:
    with write(database) as session:
        session.execute(totals.insert(), list(rows))


def stored(database: Database) -> list[tuple[Any, ...]]:
    with read(database) as session:
        rows = session.execute(select(totals).order_by(totals.c.team, totals.c.day))
        return [tuple(each) for each in rows]


def test_insert_ignore_keeps_what_is_there(database: Database) -> None:
    statement = insert_ignore(database.kind, totals, ["team", "day"])
    with write(database) as session:
        session.execute(statement, [row("a", 1), row("b", 2)])
    with write(database) as session:
        session.execute(statement, [row("a", 99), row("c", 3), row("c", 4)])
    assert [each[2] for each in stored(database)] == [1, 2, 3]


def test_insert_ignore_still_tells_of_other_errors(database: Database) -> None:
    if database.kind == "sqlite":
        broken = row("a", 1) | {"calls": None}
    else:
        broken = row("a" * 41, 1)
    statement = insert_ignore(database.kind, totals, ["team", "day"])

    def insert() -> None:
        with write(database) as session:
            session.execute(statement, [broken])

    with pytest.raises(exc.DBAPIError):
        insert()
    assert stored(database) == []


def test_upsert_adds_compares_and_replaces(database: Database) -> None:
    statement = upsert_add(
        database.kind,
        totals,
        ["team", "day"],
        ["cost", "calls"],
        lowest=["low"],
        highest=["high"],
        replace=["note"],
    )
    with write(database) as session:
        session.execute(statement, [row("a", 5, note="x"), row("b", -7, note="x")])
        session.execute(statement, [row("a", 2, note="y"), row("a", 9, note=None)])
        session.execute(statement, [row("a", -3, note="z"), row("b", 1, note="y", day=2)])
    assert stored(database) == [
        ("a", 1, 13, 4, -3, 9, "z"),
        ("b", 1, -7, 1, -7, -7, "x"),
        ("b", 2, 1, 1, 1, 1, "y"),
    ]


def test_upsert_takes_null_for_no_value_in_lowest_and_highest(database: Database) -> None:
    statement = upsert_add(
        database.kind, totals, ["team", "day"], ["calls"], lowest=["low"], highest=["high"]
    )
    with write(database) as session:
        for low, high in ((None, None), (4, 4), (None, None), (2, 6)):
            session.execute(statement, [row("a", 0, low=low, high=high)])
    assert stored(database)[0][3:6] == (4, 2, 6)


def summed(database: Database) -> int | None:
    columns = exact_sum(database.kind, totals.c.cost, "cost")
    with read(database) as session:
        return read_sum(session.execute(select(*columns)).one()._mapping, "cost")


def test_sum_of_nothing_is_unknown_and_not_zero(database: Database) -> None:
    assert summed(database) is None
    fill(database, row("a", None))
    assert summed(database) is None
    fill(database, row("b", 0))
    assert summed(database) == 0


def test_sum_leaves_64_bits_without_losing_one(database: Database) -> None:
    fill(database, *(row(str(n), BIG) for n in range(5)), row("x", 1))
    assert summed(database) == 5 * BIG + 1


@pytest.mark.sqlite
@settings(deadline=None)
@given(amounts=st.lists(st.integers(-(2**63), BIG), min_size=1, max_size=30))
def test_sqlite_halves_put_together_are_the_sum(amounts: list[int]) -> None:
    columns = exact_sum(DatabaseKind.SQLITE, totals.c.cost, "cost")
    query = str(select(*columns).compile(compile_kwargs={"literal_binds": True}))
    with sqlite3.connect(":memory:") as memory:
        memory.row_factory = sqlite3.Row
        memory.execute("CREATE TABLE totals (cost INTEGER)")
        memory.executemany("INSERT INTO totals VALUES (?)", [(each,) for each in amounts])
        found = dict(memory.execute(query).fetchone())
    memory.close()
    assert read_sum(found, "cost") == sum(amounts)
    assert 0 <= found["cost_low"] < 2**32


def test_order_by_sum_is_exact_and_unknown_comes_last(database: Database) -> None:
    fill(
        database,
        row("first", BIG, day=1),
        row("first", BIG, day=2),
        row("second", BIG, day=1),
        row("second", BIG - 1, day=2),
        row("third", -5),
        row("fourth", -BIG),
        row("unknown", None),
    )
    teams = select(totals.c.team).group_by(totals.c.team)
    downwards = order_by_sum(database.kind, totals.c.cost)
    upwards = order_by_sum(database.kind, totals.c.cost, descending=False)
    order = ["first", "second", "third", "fourth"]
    with read(database) as session:
        down = session.connection.scalars(teams.order_by(*downwards)).all()
        up = session.connection.scalars(teams.order_by(*upwards)).all()
    assert down == [*order, "unknown"]
    assert up == [*reversed(order), "unknown"]


NAMES = ["gpt-4", "GPT-4", "gpt_4", "50%", "5000", "a/b", "a\\b", "it's", "ärger", "gpt-4o"]


@pytest.mark.parametrize("part", ["gpt", "GPT", "_", "%", "0%", "/", "\\", "'", "är", "4", "zzz"])
def test_text_is_compared_letter_by_letter(database: Database, part: str) -> None:
    fill(database, *(row(name, 1) for name in NAMES))
    inside = select(totals.c.team).where(contains(database.kind, totals.c.team, part))
    leading = select(totals.c.team).where(starts_with(database.kind, totals.c.team, part))
    with read(database) as session:
        assert set(session.connection.scalars(inside)) == {n for n in NAMES if part in n}
        assert set(session.connection.scalars(leading)) == {n for n in NAMES if n.startswith(part)}


def test_keys_that_differ_by_case_accent_or_space_are_different(database: Database) -> None:
    names = ["a", "A", "á", "a ", "a  "]
    fill(database, *(row(name, 1) for name in names))
    by_name = select(func.count()).where(totals.c.team == "a ")
    grouped = select(exactly(totals.c.team)).group_by(exactly(totals.c.team))
    with read(database) as session:
        assert session.scalar(by_name) == 1
        assert sorted(session.connection.scalars(grouped)) == sorted(names)


HOUR = 3_600_000_000


@pytest.mark.parametrize("instant", [0, 1, HOUR - 1, HOUR, 490_000 * HOUR - 1, 490_000 * HOUR])
def test_division_into_hours_does_not_round_up(database: Database, instant: int) -> None:
    fill(database, row("a", instant))
    with read(database) as session:
        hour = session.scalar(select(floor_divide(database.kind, totals.c.cost, HOUR)))
    assert int(hour) == instant // HOUR


def test_lock_rows_is_accepted_everywhere(database: Database) -> None:
    fill(database, row("a", 1))
    with write(database) as session:
        assert len(session.execute(lock_rows(select(totals))).all()) == 1
        assert len(session.execute(lock_rows(select(totals), skip_locked=True)).all()) == 1
