"""Pages that SQLite joins are the rows that its driver reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Column,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    Text,
    create_engine,
    func,
    insert,
    select,
)

from llm_cost_ops.server.db import joined as pages
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.joined import ABSENT, SEPARATOR, TooLong, joined
from llm_cost_ops.server.db.session import ReadSession, read
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.ledger.tables import usage_records
from tests.support.factories import make_call, record_calls

things = Table(
    "things",
    MetaData(),
    Column("place", BigInteger, primary_key=True),
    Column("name", String(40)),
    Column("text", Text, nullable=False),
    Column("amount", BigInteger),
    Column("many", BigInteger, nullable=False),
    Column("raw", LargeBinary),
)
SHOWN = ("name", "text", "amount", "many")
plain = st.text(st.characters(codec="utf-8", exclude_characters=SEPARATOR + ABSENT), max_size=5)
whole = st.integers(-(2**63), 2**63 - 1)
rows = st.tuples(st.none() | plain, plain, st.none() | whole, whole)


@contextmanager
def stored(found: Sequence[Sequence[Any]]) -> Iterator[ReadSession]:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        things.create(connection)
        values: list[dict[str, Any]] = [
            dict(zip(("place", *SHOWN), (n, *row), strict=True)) for n, row in enumerate(found)
        ]
        if values:
            connection.execute(insert(things), values)
        yield ReadSession(connection, DatabaseKind.SQLITE)
    engine.dispose()


def ordered(*names: str) -> Select[Any]:
    return select(*(things.c[name] for name in names or SHOWN)).order_by(things.c.place.desc())


@given(st.lists(rows, min_size=1, max_size=12), st.integers(1, 13))
def test_a_page_is_what_the_driver_reads(found: list[Sequence[Any]], limit: int) -> None:
    with stored(found) as session:
        page = joined(session, ordered(), limit)
        assert page is not None
        assert list(page) == [tuple(row) for row in session.rows(ordered().limit(limit))]
        assert len(page) == min(limit, len(found))
        assert page.columns[3].last() == str(page[-1][3])
        assert page[:2] == list(page)[:2]


@pytest.mark.parametrize("sign", [SEPARATOR, ABSENT, f"a{SEPARATOR}b", f"{ABSENT}{ABSENT}"])
@pytest.mark.parametrize("others", [[], [None], [None, "x"]])
def test_texts_with_its_own_signs_are_not_joined(sign: str, others: list[str | None]) -> None:
    found = [(name, "", None, 0) for name in (sign, *others)]
    with stored(found) as session:
        page = joined(session, ordered("name"), 10)
        if page is not None:  # what stands for NULL is a text like others where nothing is NULL
            assert (sign.strip(ABSENT), others) == ("", [])
            assert list(page) == [(sign,)]


def test_what_is_no_text_and_no_whole_number_is_not_joined() -> None:
    with stored([("a", "b", 1, 2)]) as session:
        assert joined(session, ordered("name", "raw"), 10) is None
        assert joined(session, ordered("name"), 10) is not None
    with stored([]) as session:
        assert joined(session, ordered(), 10) is None


def test_what_is_computed_may_be_absent() -> None:
    with stored([("a", "b", None, 2), ("a", "b", 7, 2)]) as session:
        total = func.coalesce(things.c.amount, things.c.amount).label("total")
        page = joined(session, select(total).order_by(things.c.place), 10)
        assert page is not None
        assert list(page) == [(None,), (7,)]


def test_a_page_that_is_too_long_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "LONGEST", 1_000)
    long = "é" * 300
    with stored([("a", long, None, 0), ("a", long, None, 0), ("a", long * 2, None, 0)]) as session:
        with pytest.raises(TooLong):
            joined(session, ordered(), 2)
        assert joined(session, ordered(), 1) is None
        rest = ordered().offset(1)
        page = joined(session, rest, 1)
        assert page is not None
        assert list(page) == [("a", long, None, 0)]
        assert len(session.rows(ordered())) == 3  # other statements are as long as they want


def test_other_databases_give_rows(database: Database) -> None:
    record_calls(database, [make_call("2026-10-05T12:00:00Z", "1.5")])
    with read(database) as session:
        page = joined(session, select(usage_records.c.cost_e10), 10)
        assert (page is None) == (database.kind is not DatabaseKind.SQLITE)
        assert page is None or list(page) == [(15_000_000_000,)]
