"""The chain of an organization's audit log: every change made by hand is found."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.audit.chain import GENESIS, entry_hash, what_commitment
from llm_cost_ops.server.audit.checkpoint import checkpoints, make_checkpoints
from llm_cost_ops.server.audit.erase import erase
from llm_cost_ops.server.audit.gaps import Gap, gaps, keep_gaps
from llm_cost_ops.server.audit.outside import CheckpointError, read_checkpoints, shown
from llm_cost_ops.server.audit.record import record
from llm_cost_ops.server.audit.sign import Signer
from llm_cost_ops.server.audit.tables import (
    audit_checkpoints,
    audit_gaps,
    audit_heads,
    audit_log,
)
from llm_cost_ops.server.audit.verify import Proof, organizations_of, verify
from llm_cost_ops.server.audit.who import USER, Who
from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.db.session import WriteSession, snapshot, write, write_retrying
from llm_cost_ops.server.settings import DatabaseSettings

ORG = "org-a"
NOW = 1_800_000_000_000_000
SIGNER = Signer(["a secret key of more than thirty-two bytes"])
LOG = audit_log.c
ADA = Who(USER, "ses_1", "ada", "ada@example.com", "192.0.2.7")


class Undone(Exception):
    """Rolls a transaction back."""


@contextmanager
def undone(database: Database) -> Iterator[WriteSession]:
    """A transaction whose changes are seen inside alone."""
    with suppress(Undone), write(database) as session:
        yield session
        raise Undone


def append(session: WriteSession, number: int, organization_id: str = ORG, **more: Any) -> None:
    after = {"b": Decimal("1.50"), "a": ["ä\n", None, True], "n": number, "e": Decimal("1E+150")}
    details = {"after": after, "resource_id": f"usr_{number}", **more}
    record(
        session,
        organization_id=organization_id,
        actor_id="key_1",
        action="users.update",
        resource_type="user",
        request_id="req_1",
        now_us=NOW + number,
        **details,
    )


def filled(database: Database, count: int = 6) -> None:
    for number in range(1, count + 1):
        with write(database) as session:
            append(session, number, who=ADA if number == 2 else None)


def proven(session: Any, signer: Signer = SIGNER, **more: Any) -> Proof:
    return verify(session, ORG, signer, **more)


def at(seq: int) -> Any:
    return (LOG.organization_id == ORG) & (LOG.seq == seq)


def _row(session: Any, seq: int) -> dict[str, Any]:
    return dict(session.execute(select(audit_log).where(at(seq))).mappings().one())


def _edit(name: str, value: object) -> Callable[[WriteSession], object]:
    return lambda session: session.execute(update(audit_log).where(at(3)).values({name: value}))


def _delete(session: WriteSession) -> None:
    session.execute(audit_log.delete().where(at(3)))


def _truncate(session: WriteSession) -> None:
    session.execute(audit_log.delete().where((LOG.organization_id == ORG) & (LOG.seq >= 4)))


def _truncate_with_head(session: WriteSession) -> None:
    """Known of by the checkpoint alone."""
    _truncate(session)
    session.execute(update(audit_heads).values(seq=3, hash=_row(session, 3)["hash"]))


def _reorder(session: WriteSession) -> None:
    for place, new in ((3, -1), (4, 3), (-1, 4)):
        session.execute(update(audit_log).where(at(place)).values(seq=new))


def _exchange(session: WriteSession) -> None:
    """Entries 3 and 4 change places with all but their links."""
    rows = {seq: _row(session, seq) for seq in (3, 4)}
    kept = ("seq", "previous_hash", "hash")
    _delete(session)
    session.execute(audit_log.delete().where(at(4)))
    for seq, other in ((3, 4), (4, 3)):
        row = {**rows[other], **{name: rows[seq][name] for name in kept}}
        session.execute(insert(audit_log), row)


def _insert_behind(session: WriteSession) -> None:
    row = {**_row(session, 6), "id": "aud_x", "seq": 7, "previous_hash": _row(session, 6)["hash"]}
    session.execute(insert(audit_log), {**row, "hash": entry_hash(row, row["previous_hash"])})


def _insert_between(session: WriteSession) -> None:
    for seq in (6, 5, 4, 3):
        session.execute(update(audit_log).where(at(seq)).values(seq=seq + 1))
    row = {**_row(session, 2), "id": "aud_x", "seq": 3}
    session.execute(insert(audit_log), row)


def _insert_outside(session: WriteSession) -> None:
    row = {**_row(session, 2), "id": "aud_x", "seq": None}
    session.execute(insert(audit_log), row)


def _rewrite(session: WriteSession) -> None:
    """Entry 3 is changed and all after it computed anew, the head too."""
    previous = _row(session, 2)["hash"]
    for seq in range(3, 7):
        row = _row(session, seq)
        if seq == 3:
            row["action"] = "users.delete"
        row["previous_hash"] = previous
        row["hash"] = previous = entry_hash(row, previous)
        session.execute(update(audit_log).where(at(seq)).values(row))
    session.execute(update(audit_heads).values(hash=previous))


def _erase_silently(session: WriteSession) -> None:
    row = _row(session, 3)
    session.execute(
        update(audit_log)
        .where(at(3))
        .values(
            what_commitment=what_commitment(row),
            what_salt=None,
            before=None,
            after=None,
            resource_id="erased-00000000",
        )
    )


def _forge_gap(session: WriteSession) -> None:
    first, last = _row(session, 3), _row(session, 4)
    session.execute(audit_log.delete().where(LOG.seq.in_([3, 4])))
    forged = Gap(ORG, 3, 4, first["previous_hash"], last["hash"], NOW)
    keep_gaps(session, ORG, [forged], Signer(["another secret key that the forger has made up"]))


TAMPERINGS: dict[str, tuple[Callable[[WriteSession], object], int, str]] = {
    "action": (_edit("action", "users.read"), 3, "edited"),
    "actor": (_edit("actor_id", None), 3, "edited"),
    "time": (_edit("timestamp", NOW), 3, "edited"),
    "outcome": (_edit("outcome", "denied"), 3, "edited"),
    "user": (_edit("user_id", "eve"), 3, "edited"),
    "address": (_edit("ip", "192.0.2.8"), 3, "edited"),
    "resource": (_edit("resource_id", "usr_9"), 3, "edited"),
    "values": (_edit("after", '{"a":1}'), 3, "edited"),
    "salt": (_edit("what_salt", "00" * 12), 3, "edited"),
    "hash": (_edit("hash", GENESIS), 3, "edited"),
    "link": (_edit("previous_hash", GENESIS), 3, "reordered"),
    "delete": (_delete, 3, "deleted"),
    "reorder": (_reorder, 3, "reordered"),
    "exchange": (_exchange, 3, "edited"),
    "insert between": (_insert_between, 3, "reordered"),
    "insert behind": (_insert_behind, 7, "inserted"),
    "insert outside": (_insert_outside, 7, "inserted"),
    "truncate": (_truncate, 4, "truncated"),
    "truncate with the head": (_truncate_with_head, 4, "truncated"),
    "rewrite": (_rewrite, 1, "rewritten"),
    "erase": (_erase_silently, 3, "edited"),
    "removal": (_forge_gap, 3, "deleted"),
}


def test_every_change_by_hand_is_found_and_its_first_entry_named(database: Database) -> None:
    filled(database)
    with write(database) as session:
        assert make_checkpoints(session, SIGNER, now_us=NOW) == 1
    with snapshot(database) as session:
        proof = proven(session)
        assert (proof.ok, proof.entries, proof.checkpoints) == (True, 6, 1)
    for name, (tamper, first, fault) in TAMPERINGS.items():
        with undone(database) as session:
            tamper(session)
            proof = proven(session)
            assert (proof.first_bad_seq, proof.fault) == (first, fault), (name, proof)
    with snapshot(database) as session:
        assert proven(session).ok


def test_a_checkpoint_kept_outside_finds_what_the_database_cannot(database: Database) -> None:
    filled(database)
    with write(database) as session:
        make_checkpoints(session, SIGNER, now_us=NOW)
        made = checkpoints(session, ORG)
        file = "".join(dumps(shown(each, SIGNER)) + "\n" for each in made)
        session.execute(audit_checkpoints.delete())
        _rewrite(session)
    kept = list(read_checkpoints(file))
    assert kept == made
    with snapshot(database) as session:
        assert proven(session).ok
        found = proven(session, outside=kept)
        assert (found.fault, found.first_bad_seq) == ("rewritten", 1)
    with write(database) as session:
        for table in (audit_log, audit_heads):
            session.execute(table.delete())
    with snapshot(database) as session:
        assert organizations_of(session) == []
        found = proven(session, outside=kept)
        assert (found.fault, found.first_bad_seq) == ("truncated", 1)
    for damaged in (file.replace('"seq":6', '"seq":5'), "{}", "no json", '{"seq":1}'):
        with pytest.raises(CheckpointError, match="line 1"):
            list(read_checkpoints(damaged))


def test_checkpoints_are_made_when_a_log_has_grown_and_can_be_found_changed(
    database: Database,
) -> None:
    filled(database, 2)
    for expected in (1, 0):
        with write(database) as session:
            assert make_checkpoints(session, SIGNER, now_us=NOW) == expected
    with write(database) as session:
        append(session, 3)
    with write(database) as session:
        assert make_checkpoints(session, SIGNER, now_us=NOW) == 1
        assert [each.seq for each in checkpoints(session, ORG)] == [2, 3]
    with snapshot(database) as session:
        proof = proven(session, Signer(["the key that came after the first one, as long"]))
        assert (proof.ok, proof.checkpoints_of_unknown_keys) == (True, 2)
    with write(database) as session:
        session.execute(update(audit_checkpoints).values(hash=GENESIS))
    with snapshot(database) as session:
        assert proven(session).fault == "checkpoint"


def test_without_a_secret_key_nothing_is_signed_and_the_chain_is_proven(database: Database) -> None:
    filled(database, 2)
    signer = Signer([])
    with write(database) as session:
        make_checkpoints(session, signer, now_us=NOW)
        (made,) = checkpoints(session, ORG)
    assert (made.key_id, made.signature) == ("none", "")
    assert list(read_checkpoints(dumps(shown(made, signer)))) == [made]
    with snapshot(database) as session:
        assert (proven(session, signer).ok, proven(session, signer).checkpoints) == (True, 1)


def test_a_person_is_erased_and_the_chain_holds(database: Database) -> None:
    filled(database, 4)
    with write(database) as session:
        append(session, 5, resource_id="team_1", after={"member": "ada@example.com"})
    actor = Actor(ORG, None, None, NOW)
    with write(database) as session:
        name, count = erase(session, actor, user_ids=["ada", "usr_3"], emails=["ada@example.com"])
    assert count == 3
    with snapshot(database) as session:
        assert proven(session).ok
        stored = str(session.execute(select(audit_log)).all())
        assert not [each for each in ("ada", "usr_3", "192.0.2.7") if f"{each!r}" in stored]
        assert "ada@example.com" not in stored
        row = _row(session, 2)
        assert (row["user_id"], row["user_email"], row["who_salt"]) == (name, None, None)
    with undone(database) as session:
        session.execute(update(audit_log).where(at(2)).values(user_id="eve"))
        assert proven(session).first_bad_seq == 2


def test_removed_entries_leave_signed_gaps_that_grow_together(database: Database) -> None:
    filled(database, 6)
    with write(database) as session:
        rows = {seq: _row(session, seq) for seq in range(1, 7)}
        for seq in (2, 5, 3, 4):
            row = rows[seq]
            gap = Gap(ORG, seq, seq, row["previous_hash"], row["hash"], NOW)
            session.execute(audit_log.delete().where(at(seq)))
            keep_gaps(session, ORG, [gap], SIGNER)
    with snapshot(database) as session:
        (gap,) = gaps(session, ORG)
        assert (gap.first_seq, gap.last_seq) == (2, 5)
        proof = proven(session)
        assert (proof.ok, proof.entries, proof.removed) == (True, 2, 4)
    with write(database) as session:
        session.execute(update(audit_gaps).values(last_seq=6, after_hash=rows[6]["hash"]))
        session.execute(audit_log.delete().where(at(6)))
    with snapshot(database) as session:
        assert proven(session).first_bad_seq == 2


def test_writers_of_several_organizations_neither_fork_chains_nor_wait_for_each_other(
    database: Database,
) -> None:
    names = [f"org-{letter}" for letter in "abc"]
    failed: list[BaseException] = []

    def work(order: list[str]) -> None:
        def both(session: WriteSession) -> None:
            for organization_id in order:
                append(session, 1, organization_id)

        try:
            for _ in range(8):
                write_retrying(database, both)
        except BaseException as error:
            failed.append(error)

    threads = [
        threading.Thread(target=work, args=(order,)) for order in (names, names[::-1], names[1:])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with snapshot(database) as session:
        assert organizations_of(session) == names
        proofs = [verify(session, name, SIGNER) for name in names]
    assert [(proof.ok, proof.entries) for proof in proofs] == [(True, 16), (True, 24), (True, 24)]


def test_entries_from_before_the_chain_get_their_places(
    empty_database: DatabaseSettings,
) -> None:
    Migrations().upgrade(empty_database, "0011")
    database = open_database(empty_database)
    old = "id, organization_id, timestamp, actor_id, action, resource_type, resource_id"
    quote = "`" if database.kind.value == "mysql" else '"'
    statement = text(
        f"INSERT INTO audit_log ({old}, {quote}after{quote}) VALUES "
        "(:id, :org, :at, :actor, 'costs.update', 'cost', 'usg_1', :after)"
    )
    with write(database) as session:
        for number in range(1_005):
            values = {"id": f"aud_{number}", "org": ORG, "at": NOW - number, "actor": None}
            after = '{"b": 1.50, "a": "ä"}' if number % 2 else None
            session.execute(statement, {**values, "after": after})
        values = {"id": "aud_b", "org": "org-b", "at": NOW, "actor": "key_1", "after": None}
        session.execute(statement, values)
    Migrations().upgrade(empty_database)
    with write(database) as session:
        append(session, 1)
    with snapshot(database) as session:
        assert (proven(session).ok, proven(session).entries) == (True, 1_006)
        assert verify(session, "org-b", SIGNER).ok
        assert _row(session, 1)["id"] == "aud_1004"
        kinds = session.execute(select(LOG.actor_kind).distinct()).scalars()
        assert sorted(kinds) == ["api_key", "operator"]
    database.dispose()
