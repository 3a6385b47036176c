"""Entries that retention removed: signed statements of what the chain goes over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from json import JSONEncoder

from sqlalchemy import delete, insert, select

from llm_cost_ops.server.audit.sign import Signer
from llm_cost_ops.server.audit.tables import audit_gaps
from llm_cost_ops.server.db.session import ReadSession, WriteSession

_ENCODE = JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode
_ROW = audit_gaps.c


@dataclass(frozen=True, slots=True)
class Gap:
    """The entries from `first_seq` to `last_seq` were removed. `before_hash` is that of the entry
    before them, `after_hash` that of the last of them. `created_at` in microseconds."""

    organization_id: str
    first_seq: int
    last_seq: int
    before_hash: str
    after_hash: str
    created_at: int
    key_id: str = ""
    signature: str = ""

    @property
    def statement(self) -> bytes:
        """What is signed."""
        facts = (
            "llm-cost-ops audit gap 1",
            self.organization_id,
            self.first_seq,
            self.last_seq,
            self.before_hash,
            self.after_hash,
            self.created_at,
        )
        return _ENCODE(facts).encode("ascii")


def gaps(session: ReadSession, organization_id: str) -> list[Gap]:
    """Those of an organization, in order."""
    query = (
        select(audit_gaps).where(_ROW.organization_id == organization_id).order_by(_ROW.first_seq)
    )
    return [Gap(**dict(row)) for row in session.execute(query).mappings()]


def keep_gaps(
    session: WriteSession, organization_id: str, found: Sequence[Gap], signer: Signer
) -> None:
    """Write gaps, one for those that touch each other. One in the database that is not signed by
    us, or that another does not follow by its hash, stays as it is: `verify` finds it."""
    known = {gap.first_seq: gap for gap in gaps(session, organization_id)}
    forged = {gap for gap in known.values() if not _is_ours(gap, signer)}
    merged: list[Gap] = []
    for gap in sorted([*known.values(), *found], key=lambda each: each.first_seq):
        if merged and _touch(merged[-1], gap) and not forged & {merged[-1], gap}:
            before = merged.pop()
            gap = Gap(
                organization_id,
                before.first_seq,
                gap.last_seq,
                before.before_hash,
                gap.after_hash,
                max(before.created_at, gap.created_at),
            )
        merged.append(gap)
    kept = {gap for gap in merged if known.get(gap.first_seq) == gap}
    gone = [first for first, gap in known.items() if gap not in kept]
    for first in gone:
        session.execute(
            delete(audit_gaps).where(
                _ROW.organization_id == organization_id, _ROW.first_seq == first
            )
        )
    new = [gap for gap in merged if gap not in kept]
    if new:
        session.execute(
            insert(audit_gaps),
            [
                {
                    **asdict(gap),
                    "key_id": signer.key_id,
                    "signature": signer.sign(gap.statement),
                }
                for gap in new
            ],
        )


def _is_ours(gap: Gap, signer: Signer) -> bool:
    return bool(signer.trusts(gap.key_id, gap.statement, gap.signature))


def _touch(one: Gap, other: Gap) -> bool:
    return one.last_seq + 1 == other.first_seq and one.after_hash == other.before_hash
