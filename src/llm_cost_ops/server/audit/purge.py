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
from llm_cost_ops.server.audit.chain import is_as_written
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


class NotAsWritten(Exception):
    """An entry is not what was written, or does not follow the one before it. Removing it would
    turn what somebody did to the log into a gap that we sign."""


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
    """Remove entries and note the gaps that they leave; how many. Who appends waits meanwhile.
    Raises NotAsWritten."""
    hold_head(session, organization_id)
    ids = [row["id"] for row in entries]
    mine = (_ROW.organization_id == organization_id, _ROW.id.in_(ids))
    query = select(audit_log).where(*mine).order_by(_ROW.seq)
    found = [dict(row) for row in session.execute(query).mappings()]
    keep_gaps(session, organization_id, _runs(organization_id, found, now_us), signer)
    session.execute(delete(audit_log).where(*mine))
    return len(found)


def _runs(organization_id: str, rows: Sequence[Row], now_us: int) -> list[Gap]:
    """One gap for each run of entries that follow each other. Raises NotAsWritten."""
    gaps: list[Gap] = []
    for row in rows:
        seq, before, after = int(row["seq"]), row["previous_hash"], row["hash"]
        if not is_as_written(row, before):
            raise NotAsWritten(f"entry {seq} is not what was written")
        last = gaps[-1] if gaps else None
        if last is None or last.last_seq + 1 != seq:
            gaps.append(Gap(organization_id, seq, seq, before, after, now_us))
        elif last.after_hash == before:
            gaps[-1] = Gap(organization_id, last.first_seq, seq, last.before_hash, after, now_us)
        else:
            raise NotAsWritten(f"entry {seq} does not follow entry {seq - 1}")
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
