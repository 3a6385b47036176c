"""Checkpoints: signed statements that a chain had this hash at this place, to be kept outside.

Whoever can change the whole database can also compute a chain anew. Not with an older checkpoint in
somebody else's hands: what it tells of must still be there.
"""

from __future__ import annotations

from dataclasses import dataclass
from json import JSONEncoder

from sqlalchemy import func, or_, select

from llm_cost_ops.server.audit.sign import Signer
from llm_cost_ops.server.audit.tables import audit_checkpoints, audit_heads
from llm_cost_ops.server.db.dialects import insert_ignore
from llm_cost_ops.server.db.session import ReadSession, WriteSession

_ENCODE = JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode
_ROW, _HEAD = audit_checkpoints.c, audit_heads.c
PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The entry `seq` of an organization had this hash. `created_at` in microseconds."""

    organization_id: str
    seq: int
    hash: str
    created_at: int
    key_id: str
    signature: str

    @property
    def statement(self) -> bytes:
        """What is signed."""
        return statement(self.organization_id, self.seq, self.hash, self.created_at)


def statement(organization_id: str, seq: int, entry_hash: str, created_at: int) -> bytes:
    facts = ("llm-cost-ops audit checkpoint 1", organization_id, seq, entry_hash, created_at)
    return _ENCODE(facts).encode("ascii")


# lint: allow tenant-scope: the program signs the chains of all organizations
def make_checkpoints(session: WriteSession, signer: Signer, *, now_us: int) -> int:
    """One for every chain that has grown since its last; how many there are to make still or were
    made, at most PAGE at once."""
    signed = (
        select(_ROW.organization_id, func.max(_ROW.seq).label("seq"))
        .group_by(_ROW.organization_id)
        .subquery()
    )
    grown = (
        select(_HEAD.organization_id, _HEAD.seq, _HEAD.hash)
        .outerjoin(signed, signed.c.organization_id == _HEAD.organization_id)
        .where(_HEAD.seq > 0, or_(signed.c.seq.is_(None), signed.c.seq < _HEAD.seq))
        .order_by(_HEAD.organization_id)
        .limit(PAGE)
    )
    rows = [
        {
            "organization_id": row.organization_id,
            "seq": int(row.seq),
            "hash": row.hash,
            "created_at": now_us,
            "key_id": signer.key_id,
            "signature": signer.sign(
                statement(row.organization_id, int(row.seq), row.hash, now_us)
            ),
        }
        for row in session.execute(grown)
    ]
    if rows:
        keys = ("organization_id", "seq")
        session.execute(insert_ignore(session.kind, audit_checkpoints, keys), rows)
    return len(rows)


def checkpoints(
    session: ReadSession, organization_id: str, *, since_us: int = 0, limit: int | None = None
) -> list[Checkpoint]:
    """Those of an organization, the oldest first."""
    query = (
        select(audit_checkpoints)
        .where(_ROW.organization_id == organization_id, _ROW.created_at >= since_us)
        .order_by(_ROW.seq)
    )
    rows = session.execute(query if limit is None else query.limit(limit)).mappings()
    return [Checkpoint(**{name: row[name] for name in _ROW.keys()}) for row in rows]
