"""Grouping by tags: a call with several tags is in the group of each, so such groups overlap."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, FromClause, case, func, or_, true

from llm_cost_ops.server.analytics.calls import CALL
from llm_cost_ops.server.analytics.fields import TAG_DIMENSION
from llm_cost_ops.server.db.dialects import exactly, json_texts
from llm_cost_ops.server.db.urls import DatabaseKind


def joined_tags(
    kind: DatabaseKind, tables: FromClause, key: str, alias: str
) -> tuple[FromClause, ColumnElement[Any]]:
    """The tables joined with each tag of a call, and the value to group by.

    With a key only the tags `key:value`, `key=value` and `key` itself (value `true`) count. A call
    without any such tag is in the group NULL.
    """
    tags = json_texts(kind, CALL.c.tags, alias)
    tag = exactly(tags.c.value)
    if key == TAG_DIMENSION:
        return tables.outerjoin(tags, true()), tag
    size = len(key)
    head = func.substr(tag, 1, size + 1)
    wanted = or_(head.in_((f"{key}:", f"{key}=")), tag == key)
    value = case((tag == key, "true"), else_=func.substr(tag, size + 2))
    return tables.outerjoin(tags, wanted), value
