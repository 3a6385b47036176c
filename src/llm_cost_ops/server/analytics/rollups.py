"""Rollups as sources of reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, literal, select
from sqlalchemy.sql.selectable import Subquery

from llm_cost_ops.server.analytics.calls import Expression
from llm_cost_ops.server.analytics.conditions import holds
from llm_cost_ops.server.analytics.fields import Field
from llm_cost_ops.server.analytics.pieces import Rollup
from llm_cost_ops.server.analytics.selection import Grouping, Selection
from llm_cost_ops.server.analytics.sources import COUNTS, EVERY, Source
from llm_cost_ops.server.db.urls import DatabaseKind

_COLUMNS = {"model": "model_name"}


def rollup_source(
    kind: DatabaseKind,
    selection: Selection,
    rollup: Rollup,
    grouping: Grouping,
    wanted: frozenset[str] = EVERY,
    *,
    apart: bool = False,
) -> Source:
    """The rows of a rollup; first added up over the fields that are not asked for, where there are
    such: in the order of the key that needs no sort, so that little is left to sort.

    `apart` does not: for several currencies, and for sums that must be exact beyond 64 bits.
    """
    fields = _leading(rollup, grouping)
    # PostgreSQL hashes instead of sorting, and its sums of sums are decimals, which are slow.
    hashes = kind is DatabaseKind.POSTGRESQL or rollup.is_loose
    if not apart and not hashes and _are_groups(rollup, grouping, fields):
        return _sorted_rows(kind, selection, rollup, fields, wanted)
    whole = apart or hashes or fields == rollup.fields
    if whole:
        table = _whole_rows(kind, rollup, selection)
    else:
        table = _added_up(kind, rollup, selection, fields, wanted)

    def value(field: Field) -> Expression:
        if field.name == "organization_id":
            return literal(selection.organization_id)
        return _column(table.c, field)

    return Source(
        kind,
        table,
        (),
        value,
        table.c.bucket,
        rollup.width_us,
        _rollup_sums(table.c, wanted),
        table.c.min_cost_e10,
        table.c.max_cost_e10,
        table.c.currency,
        table.c.currency if whole else table.c.last_currency,
    )


def _are_groups(rollup: Rollup, grouping: Grouping, fields: Sequence[str]) -> bool:
    """Whether rows with the same `fields` in the same bucket of the rollup are one group."""
    asked = {dimension.field.name for dimension in grouping.dimensions if dimension.field}
    runs = [made.runs() for made in grouping.buckets.values()]
    alike = any([run.step_us for run in found] == [rollup.width_us] for found in runs)
    return alike and asked.issuperset(fields)


def _sorted_rows(
    kind: DatabaseKind,
    selection: Selection,
    rollup: Rollup,
    fields: Sequence[str],
    wanted: frozenset[str],
) -> Source:
    """The rows of a rollup to be added up in the order of their key: nothing is sorted."""
    row = rollup.table.c

    def value(field: Field) -> Expression:
        if field.name == "organization_id":
            return literal(selection.organization_id)
        return func.min(row.currency) if field.name == "currency" else _column(row, field)

    return Source(
        kind,
        rollup.table,
        tuple(_rollup_rows(kind, rollup, selection)),
        value,
        row.bucket,
        rollup.width_us,
        _rollup_sums(row, wanted),
        row.min_cost_e10,
        row.max_cost_e10,
        func.min(row.currency),
        row.currency,
        in_order=(row.bucket, *(row[_COLUMNS.get(name, name)] for name in fields)),
    )


def _whole_rows(kind: DatabaseKind, rollup: Rollup, selection: Selection) -> Subquery:
    return select(rollup.table).where(*_rollup_rows(kind, rollup, selection)).subquery("r")


def _added_up(
    kind: DatabaseKind,
    rollup: Rollup,
    selection: Selection,
    fields: Sequence[str],
    wanted: frozenset[str],
) -> Subquery:
    row = rollup.table.c
    keys = [row.bucket, *(row[_COLUMNS.get(name, name)] for name in fields)]
    return (
        select(
            *keys,
            *(func.sum(column).label(column.name) for column in _rollup_sums(row, wanted).values()),
            func.min(row.min_cost_e10).label("min_cost_e10"),
            func.max(row.max_cost_e10).label("max_cost_e10"),
            func.min(row.currency).label("currency"),
            func.max(row.currency).label("last_currency"),
        )
        .where(*_rollup_rows(kind, rollup, selection))
        .group_by(*keys)
        .subquery("r")
    )


def _leading(rollup: Rollup, grouping: Grouping) -> tuple[str, ...]:
    """The fields of the key up to the last one that is asked for."""
    asked = {dimension.field.name for dimension in grouping.dimensions if dimension.field}
    places = [place for place, name in enumerate(rollup.fields) if name in asked]
    return rollup.fields[: max(places, default=-1) + 1]


def _rollup_sums(row: Any, wanted: frozenset[str]) -> dict[str, Any]:
    sums: dict[str, Any] = {name: row[name] for name in COUNTS if name in wanted}
    for name, column in (("cost", "cost"), ("list_cost", "list")):
        if name in wanted:
            sums[name] = row[f"{column}_whole"]
            sums[f"{name}_fraction"] = row[f"{column}_fraction"]
    return sums


def _rollup_rows(
    kind: DatabaseKind, rollup: Rollup, selection: Selection
) -> list[ColumnElement[bool]]:
    """The window, which is made of whole rows, and the filters."""
    row, window = rollup.table.c, selection.window

    def value(field: Field) -> Expression:
        return _column(row, field)

    return [
        row.organization_id == selection.organization_id,
        row.bucket >= window.start_us // rollup.width_us,
        row.bucket < window.end_us // rollup.width_us,
        *(holds(item, value, kind) for item in selection.conditions),
    ]


def _column(row: Any, field: Field) -> Expression:
    column = row[field.column]
    return func.nullif(column, "") if field.name in ("project_id", "team_id") else column
