"""Take old entries out of an audit log whose chain stays provable.

Each run of entries that go leaves a signed gap with the hash before it and that of its last, so
that `verify` goes over it; whatever is missing beside that is found. Entries that tell of an
erasure or of such a removal itself stay for ever: the proof needs them, and they name nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, not_, or_, select

from llm_cost_ops.server.audit.append import hold_head
from llm_cost_ops.server.audit.erase import ERASE
from llm_cost_ops.server.audit.gaps import Gap, keep_gaps
from llm_cost_ops.server.audit.sign import Signer
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.dialects import starts_with
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.db.urls import DatabaseKind

ACCESS, USAGE, CHANGES = "audit_access", "audit_usage", "audit_changes"
CLASSES = (ACCESS, USAGE, CHANGES)
"""Who came in and who did not; what stored calls; everything else."""
PURGE = "retention.purge"
_ROW = audit_log.c
Row = Mapping[str, Any]


def old_entries(
    session: ReadSession,
    organization_id: str,
    kept: str,
    before_us: int,
    after_seq: int,
    limit: int,
    until_seq: int | None = None,
) -> list[Row]:
    """The next whole entries of a class that are older, by their place, to `until_seq`."""
    query = select(audit_log).where(
        *_old(session.kind, organization_id, kept, before_us), _ROW.seq > after_seq
    )
    if until_seq is not None:
        query = query.where(_ROW.seq <= until_seq)
    found = session.execute(query.order_by(_ROW.seq).limit(limit)).mappings()
    return [dict(row) for row in found]


def count_old(session: ReadSession, organization_id: str, kept: str, before_us: int) -> int:
    """How many entries of a class are older."""
    query = select(func.count()).select_from(audit_log)
    return int(
        session.scalar(query.where(*_old(session.kind, organization_id, kept, before_us))) or 0
    )


def remove_entries(
    session: WriteSession,
    organization_id: str,
    entries: Sequence[Row],
    signer: Signer,
    now_us: int,
) -> int:
    """Remove entries and note the gaps that they leave; how many. Who appends waits meanwhile."""
    hold_head(session, organization_id)
    ids = [row["id"] for row in entries]
    mine = (_ROW.organization_id == organization_id, _ROW.id.in_(ids))
    found = session.execute(
        select(_ROW.id, _ROW.seq, _ROW.previous_hash, _ROW.hash).where(*mine).order_by(_ROW.seq)
    ).all()
    keep_gaps(session, organization_id, _runs(organization_id, found, now_us), signer)
    session.execute(delete(audit_log).where(*mine))
    return len(found)


def _runs(organization_id: str, rows: Sequence[Any], now_us: int) -> list[Gap]:
    """One gap for each run of entries that follow each other."""
    gaps: list[Gap] = []
    for row in rows:
        seq = int(row.seq)
        last = gaps[-1] if gaps else None
        if last is not None and last.last_seq + 1 == seq:
            gaps[-1] = Gap(organization_id, last.first_seq, seq, last.before_hash, row.hash, now_us)
        else:
            gaps.append(Gap(organization_id, seq, seq, row.previous_hash, row.hash, now_us))
    return gaps


def _old(
    kind: DatabaseKind, organization_id: str, kept: str, before_us: int
) -> tuple[ColumnElement[bool], ...]:
    return (
        _ROW.organization_id == organization_id,
        _ROW.timestamp < before_us,
        _ROW.seq.is_not(None),
        _of_class(kind, kept),
    )


# lint: allow tenant-scope: a condition of queries that name the tenant
def _of_class(kind: DatabaseKind, kept: str) -> ColumnElement[bool]:
    access = starts_with(kind, _ROW.action, "auth.")
    usage = starts_with(kind, _ROW.action, "usage.")
    if kept == ACCESS:
        return access
    if kept == USAGE:
        return usage
    return and_(not_(or_(access, usage)), _ROW.action.not_in((ERASE, PURGE)))
