"""Looking into JSON columns: one key of an object, the texts of a list.

JSON is stored as text, on PostgreSQL as JSONB (`base.Json`). A value comes out as text: a string
as itself, anything else as its JSON text (`true`, `1.5`), a null or missing key as NULL.
"""

from __future__ import annotations

import json
import re
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    String,
    TableValuedAlias,
    Text,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    literal_column,
    null,
    select,
)
from sqlalchemy.dialects import postgresql

from llm_cost_ops.server.db.dialects.strings import exactly
from llm_cost_ops.server.db.urls import DatabaseKind

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ .:/@-]*", re.ASCII)
"""Keys that SQLite's JSON path can name between quotes, however the stored text is escaped."""


_MYSQL_TEXTS = (
    "'$[*]' COLUMNS (value VARCHAR(1024) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$')"
)


def json_text(kind: DatabaseKind, document: ColumnElement[Any], key: str) -> ColumnElement[Any]:
    """The value of the top-level `key` of a JSON object; dots and quotes in it mean themselves."""
    if kind is DatabaseKind.POSTGRESQL:
        return document.op("->>", return_type=Text())(literal(key, String()))
    if kind is DatabaseKind.MYSQL:
        found = _mysql_value(document, key)
        text = case((func.json_type(found) == "NULL", null()), else_=func.json_unquote(found))
        return exactly(text)
    if _PLAIN_KEY.fullmatch(key):
        path = f'$."{key}"'
        kind_of_value = func.json_type(document, path)
        return case(
            (kind_of_value == "text", document.op("->>")(path)),
            (kind_of_value == "null", null()),
            else_=cast(document.op("->")(path), Text()),
        )
    return _sqlite_scan(document, key)


def _mysql_value(document: ColumnElement[Any], key: str) -> ColumnElement[Any]:
    """MariaDB compares a key with the stored text as it is escaped there, so both forms are tried.

    A quote or a backslash has one form only, like ASCII letters.
    """
    plain = func.json_extract(document, f"$.{json.dumps(key, ensure_ascii=False)}")
    if key.isascii():
        return plain
    return func.coalesce(plain, func.json_extract(document, f"$.{json.dumps(key)}"))


def _sqlite_scan(document: ColumnElement[Any], key: str) -> ColumnElement[Any]:
    """For keys that the path syntax cannot name: compare them all, unescaped."""
    each = func.json_each(document).table_valued("key", "type", "atom", "value")
    text = case(
        (each.c.type.in_(("true", "false")), each.c.type),
        (each.c.type == "null", null()),
        else_=cast(func.coalesce(each.c.atom, each.c.value), Text()),
    )
    return select(text).where(each.c.key == key).limit(1).scalar_subquery()


def json_has(kind: DatabaseKind, listed: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Whether a JSON list of strings has `text` among them; False for NULL."""
    if kind is DatabaseKind.POSTGRESQL:
        wanted = cast(literal(json.dumps([text]), Text()), postgresql.JSONB)
        return func.coalesce(listed.op("@>", return_type=Boolean())(wanted), false())
    texts = json_texts(kind, listed, "wanted")
    return exists(select(1).select_from(texts).where(texts.c.value == text))


def json_texts(kind: DatabaseKind, listed: ColumnElement[Any], name: str) -> TableValuedAlias:
    """The strings of a JSON list as rows, to be joined (`ON true`); the column is `value`."""
    if kind is DatabaseKind.POSTGRESQL:
        rows = func.jsonb_array_elements_text(listed)
        return rows.table_valued("value", name=name, joins_implicitly=True)
    if kind is DatabaseKind.MYSQL:
        columns = literal_column(_MYSQL_TEXTS, String())
        rows = func.json_table(listed, columns)
    else:
        rows = func.json_each(listed)
    return rows.table_valued("value", name=name, joins_implicitly=True)
