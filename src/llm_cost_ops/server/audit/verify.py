"""Prove that an organization's audit log is the one that was written, or name the first bad entry.

Found are entries that were edited, deleted, reordered, inserted or cut off at the end. Whoever also
computes the rest of the chain anew is found by the checkpoints: by those in the database as long as
they are left alone, by those outside always.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.audit.chain import ERASED, GENESIS, is_as_written
from llm_cost_ops.server.audit.checkpoint import Checkpoint, checkpoints
from llm_cost_ops.server.audit.erase import ERASE
from llm_cost_ops.server.audit.gaps import Gap, gaps
from llm_cost_ops.server.audit.sign import Signer
from llm_cost_ops.server.audit.tables import audit_checkpoints, audit_heads, audit_log
from llm_cost_ops.server.db.session import ReadSession

PAGE = 1_000
_ROW = audit_log.c


@dataclass(slots=True)
class Proof:
    """What was found. `first_bad_seq` is None when all is as it was written."""

    organization_id: str
    entries: int = 0
    removed: int = 0
    head_seq: int = 0
    head_hash: str = GENESIS
    checkpoints: int = 0
    checkpoints_of_unknown_keys: int = 0
    first_bad_seq: int | None = None
    fault: str | None = None
    message: str | None = None

    @property
    def ok(self) -> bool:
        return self.first_bad_seq is None

    def shown(self) -> dict[str, object]:
        names = self.__dataclass_fields__
        return {"ok": self.ok, **{name: getattr(self, name) for name in names}}


class _Bad(Exception):
    def __init__(self, seq: int, fault: str, message: str) -> None:
        super().__init__(message)
        self.seq, self.fault, self.message = seq, fault, message


@dataclass(slots=True)
class _Walk:
    """The walk along a chain: where it is, and what it still waits for."""

    proof: Proof
    gaps: list[Gap]
    expected: list[Checkpoint]
    seq: int = 0
    hash: str = GENESIS
    good: int = 0
    erased: dict[str, int] = field(default_factory=dict[str, int])
    announced: set[str] = field(default_factory=set[str])


def verify(
    session: ReadSession,
    organization_id: str,
    signer: Signer,
    outside: Sequence[Checkpoint] = (),
) -> Proof:
    """Walk the chain. `outside` are checkpoints that were kept elsewhere and are trusted.

    The session sees one state of the database (`snapshot`).
    """
    proof = Proof(organization_id)
    head = session.execute(
        select(audit_heads).where(audit_heads.c.organization_id == organization_id)
    ).first()
    if head is not None:
        proof.head_seq, proof.head_hash = int(head.seq), head.hash
    walk = _Walk(proof, gaps(session, organization_id), [])
    try:
        walk.expected = _expected(session, proof, signer, outside)
        for row in _entries(session, organization_id):
            _step(walk, row, signer)
        _cross(walk, walk.seq + 1, signer)
        _end(session, walk)
    except _Bad as bad:
        proof.first_bad_seq, proof.fault, proof.message = bad.seq, bad.fault, bad.message
    return proof


def _expected(
    session: ReadSession, proof: Proof, signer: Signer, outside: Sequence[Checkpoint]
) -> list[Checkpoint]:
    """The checkpoints that hold, in order."""
    known = list(outside)
    for each in checkpoints(session, proof.organization_id):
        trusted = signer.trusts(each.key_id, each.statement, each.signature)
        if trusted is None:
            proof.checkpoints_of_unknown_keys += 1
        elif trusted:
            known.append(each)
        else:
            raise _Bad(each.seq, "checkpoint", f"the checkpoint of entry {each.seq} was changed")
    proof.checkpoints = len(known)
    return sorted(known, key=lambda each: (each.seq, each.created_at))


def _entries(session: ReadSession, organization_id: str) -> Iterator[Mapping[str, Any]]:
    last: int | None = None
    while True:
        query = select(audit_log).where(_ROW.organization_id == organization_id)
        query = query.where(_ROW.seq.is_not(None) if last is None else _ROW.seq > last)
        rows = session.execute(query.order_by(_ROW.seq).limit(PAGE)).mappings().all()
        yield from (dict(row) for row in rows)
        if len(rows) < PAGE:
            return
        last = int(rows[-1]["seq"])


def _step(walk: _Walk, row: Mapping[str, Any], signer: Signer) -> None:
    seq = int(row["seq"])
    if seq < 1:
        raise _Bad(seq, "inserted", f"entry {seq} lies before the first")
    _cross(walk, seq, signer)
    if seq > walk.proof.head_seq:
        raise _Bad(seq, "inserted", f"entry {seq} lies behind the last, {walk.proof.head_seq}")
    if row["previous_hash"] != walk.hash:
        raise _Bad(seq, "reordered", f"entry {seq} does not follow entry {seq - 1}")
    if not is_as_written(row, walk.hash):
        raise _Bad(seq, "edited", f"entry {seq} is not what was written")
    walk.seq, walk.hash = seq, row["hash"]
    walk.proof.entries += 1
    _note_erased(walk, row)
    _reach(walk)


def _cross(walk: _Walk, seq: int, signer: Signer) -> None:
    """Go over the entries that retention removed before `seq`. All others must be there."""
    while walk.gaps and (walk.seq + 1 < seq or walk.gaps[0].first_seq <= walk.seq + 1):
        gap = walk.gaps[0]
        if gap.first_seq != walk.seq + 1 or gap.before_hash != walk.hash:
            break
        if not signer.trusts(gap.key_id, gap.statement, gap.signature):
            raise _Bad(gap.first_seq, "deleted", "a statement of removal is not ours")
        del walk.gaps[0]
        walk.seq, walk.hash = gap.last_seq, gap.after_hash
        walk.proof.removed += gap.last_seq - gap.first_seq + 1
        _reach(walk)
        seq = max(seq, walk.seq + 1)
    if walk.seq + 1 < seq:
        raise _Bad(walk.seq + 1, "deleted", f"entry {walk.seq + 1} is missing")


def _reach(walk: _Walk) -> None:
    """Compare the checkpoints up to here. Those within removed entries tell nothing."""
    while walk.expected and walk.expected[0].seq <= walk.seq:
        each = walk.expected.pop(0)
        if each.seq != walk.seq:
            continue
        if each.hash != walk.hash:
            raise _Bad(
                walk.good + 1,
                "rewritten",
                f"entries {walk.good + 1} to {each.seq} are not those of the checkpoint",
            )
        walk.good = each.seq


def _note_erased(walk: _Walk, row: Mapping[str, Any]) -> None:
    """Erased values may have become a pseudonym that the log names, and nothing else."""
    names: list[object] = []
    if row["who_salt"] is None:
        names.append(row["user_id"])
    if row["what_salt"] is None:
        names.append(row["resource_id"])
    rest = row["who_salt"] is None and (row["user_email"] or row["ip"])
    rest = rest or (row["what_salt"] is None and (row["before"] or row["after"]))
    for name in names:
        if rest or not isinstance(name, str) or not ERASED.fullmatch(name):
            raise _Bad(walk.seq, "edited", f"entry {walk.seq} is not what was written")
        walk.erased.setdefault(name, walk.seq)
    if row["action"] == ERASE and row["what_salt"] is not None:
        walk.announced.add(str(loads(row["after"])["pseudonym"]))


def _end(session: ReadSession, walk: _Walk) -> None:
    proof = walk.proof
    for name, seq in walk.erased.items():
        if name not in walk.announced:
            raise _Bad(seq, "edited", f"entry {seq} was erased and the log does not tell of it")
    if walk.seq < proof.head_seq:
        raise _Bad(walk.seq + 1, "truncated", f"entries from {walk.seq + 1} on are missing")
    if walk.hash != proof.head_hash:
        raise _Bad(walk.seq, "edited", f"entry {walk.seq} is not the last that was written")
    if walk.expected:
        last = walk.expected[-1].seq
        raise _Bad(walk.seq + 1, "truncated", f"a checkpoint tells of entry {last}")
    query = select(func.count()).where(
        _ROW.organization_id == proof.organization_id, _ROW.seq.is_(None)
    )
    outside = int(session.scalar(query) or 0)
    if outside:
        raise _Bad(walk.seq + 1, "inserted", f"{outside} entries are not in the chain")


# lint: allow tenant-scope: for the operator, who verifies them all
def organizations_of(session: ReadSession) -> list[str]:
    """Every organization that the audit log knows of."""
    found: set[str] = set()
    for column in (_ROW.organization_id, audit_heads.c.organization_id):
        found.update(session.execute(select(column).distinct()).scalars())
    found.update(session.execute(select(audit_checkpoints.c.organization_id).distinct()).scalars())
    return sorted(found)
