"""Put another name in the place of a person's in calls and their corrections.

Nothing that is added up changes: no rollup knows users. Budgets do; who calls this has widened the
scopes that name the person to both names before, and narrows them afterwards (`privacy.budgets`),
so that the counters equal the ledger after every page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Table, or_, select, update

from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.ledger.periods import note_erased
from llm_cost_ops.server.ledger.tables import usage_corrections, usage_records

TABLES: tuple[Table, ...] = (usage_records, usage_corrections)
LABELS = ("tags", "metadata")
PAGE = 1_000
Rewrite = Callable[[str], str | None]
"""JSON text with the other name in it, None where it names nobody."""


def rename(
    session: WriteSession,
    organization_id: str,
    table: Table,
    user_ids: Sequence[str],
    pseudonym: str,
    now_us: int,
    limit: int = PAGE,
) -> int:
    """Rename the user of at most `limit` rows; how many were. Fewer than the limit: all are."""
    row = table.c
    mine = (row.organization_id == organization_id, row.user_id.in_(user_ids))
    query = select(row.id, row.timestamp).where(*mine).limit(limit)
    rows = session.execute(query).mappings()
    found: list[tuple[str, int]] = [(each["id"], int(each["timestamp"])) for each in rows]
    ids = [row_id for row_id, _ in found]
    if ids:
        note_erased(session, organization_id, found, now_us)
        session.execute(update(table).where(row.id.in_(ids), *mine).values(user_id=pseudonym))
    return len(ids)


def relabel(
    session: WriteSession,
    organization_id: str,
    table: Table,
    after: str,
    rewrite: Rewrite,
    now_us: int,
    limit: int = PAGE,
) -> tuple[int, str | None]:
    """Rewrite tags and metadata of the next rows that have some, by id; how many were changed, and
    the id to go on from, None at the end."""
    rows = labelled(session, organization_id, table, after, limit)
    changed: list[tuple[str, int]] = []
    for found in rows:
        values = {name: text for name in LABELS if (text := _rewritten(found[name], rewrite))}
        if values:
            changed.append((found["id"], int(found["timestamp"])))
            session.execute(
                update(table)
                .where(table.c.organization_id == organization_id, table.c.id == found["id"])
                .values(**values)
            )
    if changed:
        note_erased(session, organization_id, changed, now_us)
    return len(changed), rows[-1]["id"] if len(rows) == limit else None


def _rewritten(text: str | None, rewrite: Rewrite) -> str | None:
    return None if text is None else rewrite(text)


def labelled(
    session: ReadSession, organization_id: str, table: Table, after: str, limit: int
) -> Sequence[Mapping[Any, Any]]:
    """The next rows with tags or metadata, by id."""
    row = table.c
    query = (
        select(row.id, row.timestamp, row.tags, row.metadata)
        .where(
            row.organization_id == organization_id,
            row.id > after,
            or_(row.tags.is_not(None), row.metadata.is_not(None)),
        )
        .order_by(row.id)
        .limit(limit)
    )
    return list(session.execute(query).mappings().all())


def calls_of(
    session: ReadSession,
    organization_id: str,
    table: Table,
    user_ids: Sequence[str],
    after: str,
    limit: int = PAGE,
) -> Sequence[Mapping[Any, Any]]:
    """The next whole rows of these users, by id."""
    row = table.c
    query = (
        select(table)
        .where(row.organization_id == organization_id, row.user_id.in_(user_ids), row.id > after)
        .order_by(row.id)
        .limit(limit)
    )
    return list(session.execute(query).mappings().all())


def rows_by_id(
    session: ReadSession, organization_id: str, table: Table, ids: Sequence[str]
) -> Sequence[Mapping[Any, Any]]:
    """Whole rows of the organization."""
    query = select(table).where(
        table.c.organization_id == organization_id, table.c.id.in_(list(ids))
    )
    return list(session.execute(query.order_by(table.c.id)).mappings().all())
