"""Queries on the audit log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, and_, literal_column, or_, select

from llm_cost_ops.server.audit.tables import USUAL, audit_log
from llm_cost_ops.server.db.dialects import starts_with
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import ReadSession, read

_ROW = audit_log.c
_RARE = _ROW.action != literal_column(f"'{USUAL}'")
"""Written out, it lets the index of these entries be used."""
PAGE = 1_000
EVERY = ".*"


@dataclass(frozen=True, slots=True)
class Filters:
    """Which entries are wanted. Times in microseconds, the end excluded. `action` is one, or ends
    with `.*` for all that begin so. `actor` is the id of a credential or its kind; `resource` a
    type, or a type and an id: `budget:bud_1`."""

    start_us: int | None = None
    end_us: int | None = None
    action: str | None = None
    user_id: str | None = None
    actor: str | None = None
    resource: str | None = None
    outcome: str | None = None
    request_id: str | None = None


def entries(
    session: ReadSession,
    organization_id: str,
    filters: Filters,
    *,
    limit: int,
    offset: int = 0,
    after: tuple[int, int] | None = None,
) -> list[Mapping[str, Any]]:
    """Entries, the newest first. `after` is time and place of the last of the page before."""
    if after is not None:  # one bound above: SQLite would begin at the other with every page
        end_us = after[0] + 1 if filters.end_us is None else min(filters.end_us, after[0] + 1)
        filters = replace(filters, end_us=end_us)
    query = select(audit_log).where(
        _ROW.organization_id == organization_id,
        _ROW.seq.is_not(None),
        *_conditions(session, filters),
    )
    if after is not None:
        at_us, seq = after
        query = query.where(
            or_(_ROW.timestamp < at_us, and_(_ROW.timestamp == at_us, _ROW.seq < seq))
        )
    query = query.order_by(_ROW.timestamp.desc(), _ROW.seq.desc()).limit(limit).offset(offset)
    return [dict(row) for row in session.execute(query).mappings()]


def pages(
    database: Database, organization_id: str, filters: Filters
) -> Iterator[list[Mapping[str, Any]]]:
    """All entries, the newest first, a page in memory at a time."""
    after: tuple[int, int] | None = None
    while True:
        with read(database) as session:
            rows = entries(session, organization_id, filters, limit=PAGE, after=after)
        if rows:
            yield rows
        if len(rows) < PAGE:
            return
        after = int(rows[-1]["timestamp"]), int(rows[-1]["seq"])


def _conditions(session: ReadSession, filters: Filters) -> Iterator[ColumnElement[bool]]:
    if filters.start_us is not None:
        yield _ROW.timestamp >= filters.start_us
    if filters.end_us is not None:
        yield _ROW.timestamp < filters.end_us
    if filters.action is not None:
        yield from _of_action(session, filters.action)
    if filters.user_id is not None:
        yield _ROW.user_id == filters.user_id
    if filters.actor is not None:
        yield or_(_ROW.actor_id == filters.actor, _ROW.actor_kind == filters.actor)
    if filters.resource is not None:
        kind, colon, resource_id = filters.resource.partition(":")
        yield _ROW.resource_type == kind
        if colon:
            yield _ROW.resource_id == resource_id
    if filters.outcome is not None:
        yield _ROW.outcome == filters.outcome
    if filters.request_id is not None:
        yield _ROW.request_id == filters.request_id


# lint: allow tenant-scope: conditions of a query that names the tenant
def _of_action(session: ReadSession, action: str) -> Iterator[ColumnElement[bool]]:
    if action.endswith(EVERY):
        prefix = action[: -len(EVERY)] + "."
        yield starts_with(session.kind, _ROW.action, prefix)
        if not USUAL.startswith(prefix):
            yield _RARE
    else:
        yield _ROW.action == action
        if action != USUAL:
            yield _RARE
