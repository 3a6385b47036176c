"""JSON columns answer alike on every database, whatever the keys are called."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Select, Table, func, select, true

from llm_cost_ops.server.db.base import TABLE_OPTIONS, Json
from llm_cost_ops.server.db.dialects import json_has, json_text, json_texts
from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.settings import DatabaseSettings

OPTIONS: dict[str, Any] = dict(TABLE_OPTIONS)
notes = Table(
    "notes",
    MetaData(),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("document", Json),
    Column("tags", Json),
    **OPTIONS,
)

DOCUMENT = {
    "team": "search",
    "a.b": "dotted",
    "a": {"b": "nested"},
    "1": "digit",
    "x y": "spaced",
    "équipe": "é",
    'q"uote': "quoted",
    "back\\slash": "slashed",
    "it's": "apostrophe",
    "$": "dollar",
    "yes": True,
    "no": False,
    "none": None,
    "whole": 42,
    "part": 1.5,
    "text_true": "true",
    "text_null": "null",
    "": "unnamed",
}


@pytest.fixture
def stored(empty_database: DatabaseSettings) -> Iterator[Database]:
    url = empty_database.url
    if url.startswith("sqlite:///"):  # only a migration creates the file
        sqlite3.connect(url.removeprefix("sqlite:///")).close()
    database = open_database(empty_database)
    with write(database) as session:
        notes.create(session.connection)
    yield database
    database.dispose()


def value_of(database: Database, key: str) -> Select[Any]:
    return select(json_text(database.kind, notes.c.document, key)).select_from(notes)


def insert(database: Database, *rows: dict[str, Any]) -> None:
    with write(database) as session:
        session.execute(notes.insert(), list(rows))


@pytest.mark.parametrize("ascii_only", [True, False], ids=["escaped", "utf8"])
def test_value_of_a_key_is_its_text(stored: Database, ascii_only: bool) -> None:
    text = json.dumps(DOCUMENT, ensure_ascii=ascii_only)
    insert(stored, {"id": 1, "document": text, "tags": None})
    expected = {
        "yes": "true",
        "no": "false",
        "none": None,
        "whole": "42",
        "part": "1.5",
        "missing": None,
        "b": None,
        **{key: value for key, value in DOCUMENT.items() if isinstance(value, str)},
    }
    with read(stored) as session:
        found = {key: session.scalar(value_of(stored, key)) for key in expected}
    assert found == expected


def test_values_compare_and_group_byte_by_byte(stored: Database) -> None:
    teams = ["a", "A", "a ", "á", "a"]
    rows = [{"id": n, "document": json.dumps({"t": t}), "tags": None} for n, t in enumerate(teams)]
    insert(stored, *rows)
    value = json_text(stored.kind, notes.c.document, "t")
    with read(stored) as session:
        groups = session.execute(select(value.label("t"), func.count()).group_by(value)).all()
        same = session.scalar(select(func.count()).where(value == "a"))
    assert sorted(tuple(row) for row in groups) == [("A", 1), ("a", 2), ("a ", 1), ("á", 1)]
    assert same == 2


def test_a_row_without_a_document_has_no_value(stored: Database) -> None:
    insert(stored, {"id": 1, "document": None, "tags": None})
    with read(stored) as session:
        assert session.scalar(value_of(stored, "team")) is None
        assert session.scalar(value_of(stored, 'q"')) is None


TAGS = ["prod", "Prod", 'say "hi"', "équipe", "50%", "back\\slash"]


def test_has_finds_whole_tags_only(stored: Database) -> None:
    insert(
        stored,
        {"id": 1, "document": None, "tags": json.dumps(TAGS)},
        {"id": 2, "document": None, "tags": "[]"},
        {"id": 3, "document": None, "tags": None},
        {"id": 4, "document": None, "tags": json.dumps(["production"])},
    )
    with read(stored) as session:
        for tag in TAGS:
            has = json_has(stored.kind, notes.c.tags, tag)
            assert session.connection.scalars(select(notes.c.id).where(has)).all() == [1], tag
        absent = ~json_has(stored.kind, notes.c.tags, "prod")
        without = session.connection.scalars(select(notes.c.id).where(absent)).all()
        part = json_has(stored.kind, notes.c.tags, "pro")
        assert session.connection.scalars(select(notes.c.id).where(part)).all() == []
    assert sorted(without) == [2, 3, 4]


def test_tags_become_rows(stored: Database) -> None:
    insert(
        stored,
        {"id": 1, "document": None, "tags": json.dumps(["a", "b", "A"])},
        {"id": 2, "document": None, "tags": json.dumps(["b"])},
        {"id": 3, "document": None, "tags": None},
    )
    tag = json_texts(stored.kind, notes.c.tags, "tag")
    counted = select(tag.c.value, func.count()).select_from(notes.join(tag, true()))
    with read(stored) as session:
        rows = session.execute(counted.group_by(tag.c.value)).all()
    assert sorted(tuple(row) for row in rows) == [("A", 1), ("a", 1), ("b", 2)]


def test_json_columns_give_back_text(stored: Database) -> None:
    insert(stored, {"id": 1, "document": '{"a": "b", "n": 1.50}', "tags": '["x"]'})
    with read(stored) as session:
        row = session.execute(select(notes.c.document, notes.c.tags)).one()
    assert isinstance(row.document, str)
    assert json.loads(row.document) == {"a": "b", "n": 1.5}
    assert json.loads(row.tags) == ["x"]
