"""Where the databases differ in SQL: the only package whose answers depend on the kind.

Each function builds one construct that means the same on SQLite, PostgreSQL, MySQL and MariaDB.
Differences of connections are in `connect_*`, of migrations in `resumable` and `migration_lock`.
"""

from __future__ import annotations

from llm_cost_ops.server.db.dialects.numbers import (
    exact_sum,
    floor_divide,
    order_by_sum,
    read_sum,
    short_sum,
)
from llm_cost_ops.server.db.dialects.strings import contains, exactly, starts_with
from llm_cost_ops.server.db.dialects.values import json_has, json_text, json_texts
from llm_cost_ops.server.db.dialects.writing import insert_ignore, lock_rows, upsert_add

__all__ = [
    "contains",
    "exact_sum",
    "exactly",
    "floor_divide",
    "insert_ignore",
    "json_has",
    "json_text",
    "json_texts",
    "lock_rows",
    "order_by_sum",
    "read_sum",
    "short_sum",
    "starts_with",
    "upsert_add",
]
