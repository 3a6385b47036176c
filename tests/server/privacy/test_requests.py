"""Access, erasure and the rest, for a person who stands in every place."""

from __future__ import annotations

import csv
import io
import threading
import zipfile
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import LargeBinary, cast, insert, select
from sqlalchemy import Text as SqlText

from llm_cost_ops import models
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.access.tokens.tables import refresh_tokens, token_families
from llm_cost_ops.server.alerts.desk import CHANNELS
from llm_cost_ops.server.audit import verify as audit
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.audit.sign import Signer
from llm_cost_ops.server.db.session import read, snapshot, write
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.identity.users import NewUser, create_user
from llm_cost_ops.server.ledger.verify import verify
from llm_cost_ops.server.privacy.certificate import is_genuine
from llm_cost_ops.server.privacy.erase import Erasure
from llm_cost_ops.server.privacy.export import cell
from llm_cost_ops.server.queue.work import GiveUp
from tests.server.privacy.conftest import ALICE, BOB, KEY, MAIL, Place
from tests.support.application import Application, running
from tests.support.calls import accepted, error, record, send, usage

NAMES = (ALICE, MAIL, "Alice Liddell", "Liddell")
WAITING = {"idempotency_keys", "outbox", "jobs"}
"""Tables whose rows end by themselves."""


def mentions(app: Application, names: tuple[str, ...] = NAMES) -> list[str]:
    """Every column in which one of the names stands, by a look at the whole database."""
    found: list[str] = []
    with read(app.database) as session:
        for table in models.Base.metadata.tables.values():
            for column in table.columns:
                if table.name in WAITING or isinstance(column.type, LargeBinary):
                    continue
                for value in session.execute(select(cast(column, SqlText))).scalars():
                    if value is not None and any(n.lower() in value.lower() for n in names):
                        found.append(f"{table.name}.{column.name}")
    return found


def sums(place: Place) -> Any:
    with snapshot(place.app.database) as session:
        result = verify(session, place.app.organization_id)
    assert result.ok, result.first_difference
    return result.records, result.totals


def budgets(place: Place) -> dict[str, Any]:
    rows = place.read("/budgets")["data"]
    return {row["name"]: place.read(f"/budgets/{row['id']}") for row in rows}


def test_an_erasure_leaves_no_name_and_every_sum(place: Place) -> None:
    before, spent = sums(place), {n: b["spent"] for n, b in budgets(place).items()}
    assert {"usage_records.user_id", "users.email", "budgets.definition"} <= {*mentions(place.app)}
    signed = place.erase()
    assert mentions(place.app) == []
    assert sums(place) == before
    with snapshot(place.app.database) as session:
        chain = audit.verify(session, place.app.organization_id, Signer([KEY]))
    assert chain.first_bad_seq is None, chain
    assert chain.entries > 5
    after = budgets(place)
    assert sorted(b["spent"] for b in after.values()) == sorted(spent.values())
    name = signed["pseudonym"]
    assert name in dumps(after)
    mine = place.read(f"/costs?user_id={name}")
    assert len(mine["data"]) == 5
    assert len(place.read(f"/costs?user_id={BOB}")["data"]) == 3
    with read(place.app.database) as session:
        table = models.Base.metadata.tables["alert_channels"].c
        vault = Vault.of(place.settings, CHANNELS)
        rows: Any = session.execute(select(table.id, table.config, table.enabled)).all()
        told = [(loads(vault.open(r[1], r[0]))["recipients"], r[2]) for r in rows]
    assert (["bob@example.com"], 1) in told
    assert MAIL not in dumps([recipients for recipients, _ in told])
    assert [enabled for recipients, enabled in told if recipients != ["bob@example.com"]] == [0]


def test_the_certificate_is_signed_and_says_what_was_done(quick: Place) -> None:
    signed = quick.erase(MAIL)
    rows = {(place["place"]): place["rows"] for place in signed["places"]}
    assert rows["usage_records.user_id"] == 5
    assert rows["usage_records labels"] == 8
    assert rows["accounts"] == 1
    assert rows["users"] == 1
    assert is_genuine(signed)
    assert not is_genuine({**signed, "pseudonym": "another"})
    assert not is_genuine({**signed, "signature": signed["signature"][:-8] + "AAAAAAA="})
    for name in NAMES:
        assert name not in dumps(signed)
    (listed,) = quick.read("/privacy/requests")["data"]
    assert listed["subject"] == signed["pseudonym"]
    assert KEY not in dumps(signed)


def test_calls_after_an_erasure_come_without_the_person(quick: Place) -> None:
    quick.erase()
    record(quick.app, usage("late", user_id=ALICE))
    assert ALICE not in mentions(quick.app)
    assert not [name for name in mentions(quick.app) if name.startswith(("usage", "users"))]
    sums(quick)


def test_an_erasure_while_calls_come_in(place: Place) -> None:
    stop, failures = threading.Event(), list[str]()

    def come() -> None:
        number = 0
        while not stop.wait(0.02):  # both share one interpreter
            number += 1
            answer = send(
                place.app,
                "/usage/batch",
                {"records": [usage(f"m{number}", user_id=ALICE), usage(f"n{number}", user_id=BOB)]},
            )
            if answer.status_code != 200:
                failures.append(answer.text)

    thread = threading.Thread(target=come)
    thread.start()
    try:
        place.erase()
    finally:
        stop.set()
        thread.join()
    assert not failures
    assert [name for name in mentions(place.app) if name.startswith(("usage", "users"))] == []
    sums(place)


def test_another_process_that_knows_the_person_names_nobody_from_then_on(place: Place) -> None:
    with running(place.settings) as other:
        elsewhere = replace(other, organization_id=place.app.organization_id, key=place.app.key)
        record(elsewhere, usage("before", user_id=ALICE))
        place.ask("restrict")
        record(elsewhere, usage("restricted", user_id=ALICE))
        place.ask("lift")
        record(elsewhere, usage("lifted", user_id=ALICE))
        assert len(place.read(f"/costs?user_id={ALICE}")["data"]) == 7
        place.erase()
        record(elsewhere, usage("after", user_id=ALICE))
    assert [name for name in mentions(place.app) if name.startswith(("usage", "users"))] == []
    sums(place)


def administrator(place: Place, user_id: str) -> None:
    with write(place.app.database) as session:
        actor = Actor(place.app.organization_id, None, None, place.app.clock.micros())
        new = NewUser(email=f"{user_id}@example.com", name="A", role="admin", user_id=user_id)
        create_user(session, actor, new)


def test_the_last_administrator_is_not_erased(place: Place) -> None:
    administrator(place, "root")
    body = {"kind": "erase", "subject": "root"}
    error(send(place.app, "/privacy/requests", body), 409, "LAST_ADMIN")
    administrator(place, "deputy")
    asked = [place.ask("erase", name)["id"] for name in ("root", "deputy")]
    place.work()
    found = [place.read(f"/privacy/requests/{each}") for each in asked]
    assert sorted(each["status"] for each in found) == ["done", "failed"]
    (kept,) = (each for each in found if each["status"] == "failed")
    assert "administrator" in kept["result"]["reason"]
    assert place.read(f"/users/{kept['subject']}")["is_active"]
    path = f"/privacy/requests/{kept['id']}/retry"
    error(send(place.app, path, {}), 409, "LAST_ADMIN")
    administrator(place, "third")
    assert accepted(send(place.app, path, {}), 202)["status"] == "pending"
    place.work()
    assert place.read(f"/privacy/requests/{kept['id']}")["status"] == "done"
    error(send(place.app, path, {}), 409, "CONFLICT")


def test_an_erasure_whose_job_dies_has_failed_and_goes_on(
    quick: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = quick.ask("erase")

    def broken(*_: Any) -> int:
        raise GiveUp("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Erasure, "_audit", broken)
        quick.work()
    path = f"/privacy/requests/{made['id']}"
    found = quick.read(path)
    assert (found["status"], found["result"]) == ("failed", {"reason": "the disk is full"})
    assert found["finished_at"] is not None
    assert mentions(quick.app), "not all is erased"
    error(quick.app.another().post(f"/api/v1{path}/retry", json={}), 404)
    key = quick.app.new_key("write:privacy")
    assert accepted(send(quick.app, f"{path}/retry", {}), 202)["status"] == "pending"
    error(send(quick.app, f"{path}/retry", {}, key=key), 409, "CONFLICT")
    quick.work()
    assert quick.read(path)["status"] == "done"
    assert mentions(quick.app) == []


def test_no_token_of_the_person_is_left(quick: Place) -> None:
    at_us, own = quick.app.clock.micros(), quick.app.organization_id
    with write(quick.app.database) as session:
        for name, user_id in (("hers", ALICE), ("his", BOB)):
            family = {"id": name, "organization_id": own, "user_id": user_id, "token_version": 0}
            times = {"created_at": at_us, "expires_at": at_us * 2}
            session.execute(insert(token_families), {**family, **times})
            token = {"digest": name, "family_id": name, "successor": "sealed"}
            session.execute(insert(refresh_tokens), {**token, **times})
    signed = quick.erase()
    assert {"place": "refresh_tokens", "done": "removed", "rows": 1} in signed["places"]
    with read(quick.app.database) as session:
        for table, column in ((token_families, "id"), (refresh_tokens, "digest")):
            assert session.execute(select(table.c[column])).scalars().all() == ["his"]


def test_a_second_erasure_and_an_unknown_person(quick: Place) -> None:
    quick.erase()
    again = {"kind": "erase", "subject": ALICE}
    error(send(quick.app, "/privacy/requests", again), 404, "NOT_FOUND")
    body = {"kind": "access", "subject": "nobody"}
    error(send(quick.app, "/privacy/requests", body), 404, "NOT_FOUND")


def test_a_full_scope_is_renamed_at_once(quick: Place) -> None:
    many = [ALICE, *(f"user-{n}" for n in range(99))]
    body = {"name": "Full", "amount": "9", "period": "annual", "scope": {"user_id": many}}
    accepted(send(quick.app, "/budgets", {**body, "start_date": "2025-06-01"}), 201)
    quick.erase()
    assert mentions(quick.app) == []
    sums(quick)


def test_another_organization_keeps_its_alice(quick: Place) -> None:
    other = quick.app.another()
    record(other, usage("x", user_id=ALICE))
    made = quick.ask("access")
    error(other.get(f"/api/v1/privacy/requests/{made['id']}"), 404)
    error(other.get(f"/api/v1/privacy/requests/{made['id']}/export"), 404)
    quick.erase()
    left = mentions(quick.app)
    assert sorted({*left}) == ["usage_records.user_id", "users.id"]


def test_everything_is_exported_as_json_and_csv(place: Place) -> None:
    made = place.ask("access")
    answer = place.app.get(f"/api/v1/privacy/requests/{made['id']}/export")
    document = accepted(answer)
    data = document["data"]
    assert {*document["subject"]} >= {ALICE, MAIL}
    assert len(data["usage_records"]) == 8, "five of hers, three that name her"
    assert {row["id"] for row in data["users"]} == {ALICE}
    assert [row["email"] for row in data["accounts"]] == [MAIL]
    assert len(data["budgets"]) == 4
    assert data["user_roles"][0]["role"] == "developer"
    for canary in ("password_hash", "digest", KEY):
        assert canary not in dumps({k: v for k, v in data.items() if k != "usage_records"})
    zipped = place.app.get(f"/api/v1/privacy/requests/{made['id']}/export?format=csv")
    assert zipped.headers["content-type"] == "application/zip"
    assert zipped.headers["content-disposition"] == f'attachment; filename="{made["id"]}.zip"'
    with zipfile.ZipFile(io.BytesIO(zipped.content)) as archive:
        assert "usage_records.csv" in archive.namelist()
        text = archive.read("usage_records.csv").decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 8
    assert {row["user_id"] for row in rows} == {ALICE, BOB}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝"])
def test_no_cell_is_a_formula(start: str) -> None:
    assert cell(f"{start}1+1") == f"'{start}1+1"
    assert cell(-1) == "-1"
    assert cell("a=1") == "a=1"
    assert cell("a;=1") == "a;'=1"  # another program separates cells there


def test_restricted_calls_count_without_the_person(quick: Place) -> None:
    for kind in ("restrict", "object"):
        quick.ask(kind)
        record(quick.app, usage(f"r-{kind}", user_id=ALICE), usage(f"s-{kind}", user_id=BOB))
        assert len(quick.read(f"/costs?user_id={ALICE}")["data"]) == 5
        quick.ask("lift")
    assert len(quick.read(f"/costs?user_id={BOB}")["data"]) == 5
    assert sums(quick)[0] == 12


def test_rectifying_changes_the_user(quick: Place) -> None:
    made = quick.ask("rectify", changes={"name": "Alice Hargreaves"})
    assert made["status"] == "done"
    data = quick.read(f"/privacy/requests/{quick.ask('access')['id']}/export")["data"]
    assert data["users"][0]["name"] == "Alice Hargreaves"
    for changes in ({"id": "x"}, {"email": "nonsense"}):
        body = {"kind": "rectify", "subject": ALICE, "changes": changes}
        assert send(quick.app, "/privacy/requests", body).status_code == 422
    body = {"kind": "rectify", "subject": BOB, "changes": {"name": "Bob"}}
    assert send(quick.app, "/privacy/requests", body).status_code == 422


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "forget", "subject": ALICE}, "kind"),
        ({"kind": "erase"}, "subject"),
        ({"kind": "erase", "subject": " "}, "subject"),
        ({"kind": "erase", "subject": "a" * 256}, "subject"),
        ({"kind": "erase", "subject": ALICE, "changes": {}}, "changes"),
        ({"kind": "rectify", "subject": ALICE}, "changes"),
        ({"kind": "erase", "subject": ALICE, "status": "done"}, "status"),
    ],
)
def test_what_cannot_be_asked(quick: Place, body: dict[str, Any], field: str) -> None:
    found = error(send(quick.app, "/privacy/requests", body), 422)
    assert field in found["field_errors"]
    assert quick.read("/privacy/requests")["data"] == []


def test_permissions(quick: Place) -> None:
    body = {"kind": "access", "subject": ALICE}
    for scopes in (("read:users", "write:users"), ("read:privacy",)):
        key = quick.app.new_key(*scopes)
        assert send(quick.app, "/privacy/requests", body, key=key).status_code == 403
    key = quick.app.new_key("write:privacy")
    made = accepted(send(quick.app, "/privacy/requests", body, key=key), 201)
    reader = quick.app.new_key("read:privacy")
    path = f"/api/v1/privacy/requests/{made['id']}"
    assert quick.app.get(path, key=reader).status_code == 200
    assert quick.app.get(f"{path}/export", key=reader).status_code == 403
    error(quick.app.get(f"{path}/certificate", key=reader), 404)
    error(quick.app.get(f"{path}/export?format=xml"), 422)


def test_nobody_rectifies_or_erases_who_may_more(quick: Place) -> None:
    with write(quick.app.database) as session:
        actor = Actor(quick.app.organization_id, None, None, quick.app.clock.micros())
        new = NewUser(email="root@example.com", name="Root", role="admin", user_id="root")
        create_user(session, actor, new)
        create_user(session, actor, replace(new, email="deputy@example.com", user_id="deputy"))
    key = quick.app.new_key("write:privacy")
    for subject in ("root", "root@example.com"):
        for body in (
            {"kind": "rectify", "changes": {"email": "mine@example.com"}},
            {"kind": "erase"},
        ):
            answer = send(quick.app, "/privacy/requests", {**body, "subject": subject}, key=key)
            error(answer, 403, "INSUFFICIENT_PERMISSIONS")
    quick.ask("rectify", "root", changes={"name": "Root of all"})
    assert quick.read("/users/root")["email"] == "root@example.com"
    quick.erase("root")
