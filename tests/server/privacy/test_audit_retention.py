"""Old entries of the audit log are archived and go; the chain is proven over the gap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, func, insert, select, update

from llm_cost_ops.server.audit.chain import entry_hash
from llm_cost_ops.server.audit.gaps import Gap
from llm_cost_ops.server.audit.purge import remove_entries
from llm_cost_ops.server.audit.record import record
from llm_cost_ops.server.audit.sign import Signer
from llm_cost_ops.server.audit.tables import audit_gaps, audit_log
from llm_cost_ops.server.audit.verify import Proof, verify
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.session import read, snapshot, write
from llm_cost_ops.server.settings import DatabaseSettings
from tests.server.privacy.test_retention import Place, _place, lines
from tests.support.calls import accepted, send

ACTIONS = ("auth.login", "budgets.create", "auth.denied", "usage.create", "audit.erase")


@pytest.fixture
def place(database_settings: DatabaseSettings, tmp_path: Path) -> Iterator[Place]:
    yield from _place(database_settings, tmp_path / "archives")


@pytest.fixture
def quick(sqlite_settings: DatabaseSettings, tmp_path: Path) -> Iterator[Place]:
    yield from _place(sqlite_settings, tmp_path / "archives")


def furnish(place: Place) -> None:
    """Ten entries, and a hundred days later the present."""
    clock = place.app.clock
    assert isinstance(clock, FixedClock)
    for number in range(10):
        action = ACTIONS[number % len(ACTIONS)]
        after: dict[str, object] = {"n": number}
        if action == "audit.erase":
            after = {"pseudonym": f"erased-{number:016x}", "entries": 0}
        with write(place.app.database) as session:
            record(
                session,
                organization_id=place.app.organization_id,
                actor_id=None,
                action=action,
                resource_type="thing",
                resource_id=f"thing-{number}",
                after=after,
                now_us=clock.micros(),
            )
    clock.current += timedelta(days=100)
    clock.elapsed_s += 100 * 86_400


def proof(place: Place) -> Proof:
    with snapshot(place.app.database) as session:
        return verify(session, place.app.organization_id, Signer([]))


def left(place: Place) -> list[str]:
    query = select(audit_log.c.action).where(
        audit_log.c.organization_id == place.app.organization_id,
        audit_log.c.resource_type == "thing",
    )
    with read(place.app.database) as session:
        return sorted(session.execute(query).scalars())


def test_classes_go_one_by_one_and_the_chain_holds(place: Place) -> None:
    furnish(place)
    assert proof(place).ok
    place.keep("audit_access", 90)
    assert place.due()["audit_access"] >= 4, "the app may have noted who came in, too"
    assert place.due()["audit_usage"] == 0
    place.run()
    assert left(place) == sorted(a for a in ACTIONS * 2 if not a.startswith("auth."))
    found = proof(place)
    assert (found.ok, found.removed >= 4) == (True, True), found
    (archived,) = place.archives()
    rows = [line["row"] for line in lines(place.folder / archived["file"])]
    mine = [row["action"] for row in rows if row["resource_type"] == "thing"]
    assert mine == ["auth.login", "auth.denied"] * 2
    for row in rows:
        assert entry_hash(row, row["previous_hash"]) == row["hash"]
    place.keep("audit_usage", 90)
    place.keep("audit_changes", 90)
    place.run()
    assert left(place) == ["audit.erase"] * 2, "announcements of erasures stay"
    found = proof(place)
    assert (found.ok, found.removed >= 8) == (True, True), found
    with read(place.app.database) as session:
        own = audit_gaps.c.organization_id == place.app.organization_id
        assert session.scalar(select(func.count()).where(own)) <= 4
    accepted(send(place.app, "/retention/run", {}), 202)
    assert proof(place).ok


def test_what_no_purge_removed_is_found(quick: Place) -> None:
    furnish(quick)
    quick.keep("audit_access", 90, archive=False)
    quick.run()
    assert proof(quick).ok
    with write(quick.app.database) as session:
        session.execute(delete(audit_log).where(audit_log.c.resource_id == "thing-6"))
    found = proof(quick)
    assert (found.ok, found.fault) == (False, "deleted")


def test_a_gap_that_somebody_widened_is_found(quick: Place) -> None:
    furnish(quick)
    quick.keep("audit_access", 90, archive=False)
    quick.run()
    with write(quick.app.database) as session:
        gap = session.execute(select(audit_gaps).order_by(audit_gaps.c.first_seq)).first()
        assert gap is not None
        session.execute(
            delete(audit_log).where(
                audit_log.c.organization_id == quick.app.organization_id,
                audit_log.c.seq == gap.last_seq + 1,
            )
        )
        session.execute(
            update(audit_gaps)
            .where(audit_gaps.c.first_seq == gap.first_seq)
            .values(last_seq=gap.last_seq + 1)
        )
    assert not proof(quick).ok


def test_an_entry_that_somebody_made_old_is_not_removed(quick: Place) -> None:
    furnish(quick)
    with write(quick.app.database) as session:
        session.execute(
            update(audit_log)
            .where(audit_log.c.resource_id == "thing-1")
            .values(action="auth.login")
        )
    quick.keep("audit_access", 90, archive=False)
    quick.run()
    found = proof(quick)
    assert (found.ok, found.fault) == (False, "edited")


def test_a_gap_that_somebody_wrote_is_not_signed_with_ours(quick: Place) -> None:
    furnish(quick)
    signer, own = Signer(["k" * 40]), quick.app.organization_id
    named = audit_log.c.resource_id.in_(["thing-0", "thing-1", "thing-2"])
    with write(quick.app.database) as session:
        query = select(audit_log).where(named).order_by(audit_log.c.seq)
        first, second, third = (dict(row) for row in session.execute(query).mappings())
        forged = Gap(own, second["seq"], second["seq"], first["hash"], second["hash"], 1)
        values = {**asdict(forged), "key_id": signer.key_id, "signature": "AAAA"}
        session.execute(insert(audit_gaps), values)
        session.execute(delete(audit_log).where(audit_log.c.id == second["id"]))
        remove_entries(session, own, [first, third], signer, 2)
    with snapshot(quick.app.database) as session:
        found = verify(session, own, signer)
    assert (found.ok, found.fault) == (False, "deleted")


def test_the_present_stays(quick: Place) -> None:
    furnish(quick)
    quick.keep("audit_access", 101)
    quick.keep("audit_changes", 101)
    quick.run()
    assert len(left(quick)) == 10
    assert quick.archives() == []
