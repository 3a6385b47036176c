"""Files are made of the period before a slot, and delivered once to each destination."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from sqlalchemy import select

from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.queue.tables import outbox
from llm_cost_ops.server.schedules import deliveries
from llm_cost_ops.server.schedules.tables import delivery_parts
from llm_cost_ops.server.webhooks.catalogue import EVENTS
from tests.support.mailsink import mail_sink
from tests.support.schedules import START, Room
from tests.support.troubles import TROUBLES, fails_once

DAY = datetime(2027, 3, 10, 12, tzinfo=UTC)
RECIPIENTS = ["ann@example.com", "bob@example.com"]


def events(room: Room, topic: str) -> list[dict[str, Any]]:
    with read(room.app.database) as session:
        rows = session.execute(select(outbox.c.payload).where(outbox.c.topic == topic))
        return [json.loads(row[0]) for row in rows]


def spend_around(room: Room) -> None:
    """Calls at both sides of both edges of the day of New York before 11 March."""
    for cost, when in (
        ("100", "2027-03-10T04:59:59.999999"),
        ("1.5", "2027-03-10T05:00:00"),
        ("0.0000000001", "2027-03-11T04:59:59.999999"),
        ("200", "2027-03-11T05:00:00"),
    ):
        room.spend(cost, datetime.fromisoformat(when).replace(tzinfo=UTC))


def lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


def test_a_daily_file_is_about_the_day_before_in_its_zone(room: Room) -> None:
    room.clock.current = START + timedelta(days=2)
    spend_around(room)
    room.clock.current = START
    made = room.schedule(format="jsonl", include_fields=["total_cost", "timestamp"])
    assert made["next_run_at"] == "2027-03-10T14:00:00Z"
    room.at(datetime(2027, 3, 11, 14, tzinfo=UTC))
    run = room.runs(made["id"])[-1]
    assert (run["status"], run["cause"]) == ("completed", "scheduled")
    assert (run["period_start"], run["period_end"]) == (
        "2027-03-10T05:00:00Z",
        "2027-03-11T05:00:00Z",
    )
    content = room.file(run)
    assert [row["total_cost"] for row in lines(content)] == [1.5, 1e-10]
    assert run["file"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert run["file"]["size_bytes"] == len(content)
    assert run["file"]["name"].startswith("costs-2027-03-10-")
    assert run["file"]["name"].endswith(".jsonl")
    assert run["facts"]["Total cost"] == "USD 1.5000000001"
    assert room.get(made["id"])["last_run"]["id"] == run["id"]
    (event,) = [each for each in events(room, "export.completed") if each["export_id"] == run["id"]]
    assert set(event) == set(EVENTS["export.completed"].data["properties"])
    assert event["file"] == run["file"]["name"]


def test_a_run_of_now_takes_nothing_from_after_it(quick: Room) -> None:
    quick.spend("1", START - timedelta(hours=1))
    quick.clock.current = START + timedelta(hours=2)
    quick.spend("5", START + timedelta(hours=1))
    quick.clock.current = START
    made = quick.schedule(format="jsonl", period="last_7_days", timezone="UTC")
    run = quick.run(made["id"])
    assert (run["cause"], run["period_end"]) == ("requested", "2027-03-10T12:00:00Z")
    assert [row["total_cost"] for row in lines(quick.file(run))] == [1]


def mails(taken: list[Any]) -> list[EmailMessage]:
    return [each.mail for each in taken]


def test_mail_goes_to_each_recipient_with_the_file(quick: Room) -> None:
    quick.spend("2.25", DAY - timedelta(days=1))
    with mail_sink() as sink:
        quick.mail_to(sink.port)
        made = quick.schedule(format="excel", delivery={"type": "email", "recipients": RECIPIENTS})
        run = quick.run(made["id"])
    assert [each["recipient"] for each in run["deliveries"]] == RECIPIENTS
    assert {each["status"] for each in run["deliveries"]} == {"delivered"}
    assert [each.recipients for each in sink.taken] == [(name,) for name in RECIPIENTS]
    for mail in mails(sink.taken):
        (attached,) = mail.iter_attachments()
        assert attached.get_filename() == run["file"]["name"]
        assert attached.get_payload(decode=True) == quick.file(run)
        text = mail.get_body(("plain",))
        assert text is not None
        assert "USD 2.25" in text.get_content()
        assert "https://" not in text.get_content()


def test_a_mail_that_fails_goes_again_to_that_recipient_alone(quick: Room) -> None:
    with mail_sink() as sink:
        quick.mail_to(sink.port)
        sink.refuse["bob@example.com"] = "451 come back later"
        made = quick.schedule(delivery={"type": "email", "recipients": RECIPIENTS})
        run = quick.run(made["id"])
        assert run["status"] == "delivering"
        assert [each["status"] for each in run["deliveries"]] == ["delivered", "pending"]
        assert "451" in run["deliveries"][1]["detail"]
        sink.refuse.clear()
        quick.later(minutes=2)
        again = quick.runs(made["id"])[0]
    assert again["status"] == "completed"
    assert [each["attempts"] for each in again["deliveries"]] == [1, 2]
    assert [each.recipients[0] for each in sink.taken] == RECIPIENTS
    assert len({mail["Message-ID"] for mail in mails(sink.taken)}) == 2


def test_the_message_id_is_the_same_at_each_attempt(quick: Room) -> None:
    with mail_sink() as sink:
        quick.mail_to(sink.port)
        sink.refuse["QUIT"] = "421 gone"
        made = quick.schedule(delivery={"type": "email", "recipients": RECIPIENTS[:1]})
        run = quick.run(made["id"])
        load = quick.runs(made["id"])[0]["deliveries"][0]
        expected = hashlib.sha256(load["id"].encode()).hexdigest()[:32]
    assert run["status"] == "completed"
    assert mails(sink.taken)[0]["Message-ID"] == f"<{expected}@example.com>"


def test_a_large_file_is_linked_and_the_link_needs_no_key(quick: Room) -> None:
    quick.spend("3", DAY - timedelta(days=1))
    with mail_sink() as sink:
        quick.mail_to(sink.port)
        desk = quick.app.app.state.schedules
        object.__setattr__(desk, "attach_max_bytes", 10)
        made = quick.schedule(delivery={"type": "email", "recipients": RECIPIENTS[:1]})
        run = quick.run(made["id"])
    body = mails(sink.taken)[0].get_body(("plain",))
    assert body is not None
    (link,) = [word for word in body.get_content().split() if word.startswith("https://")]
    assert not list(mails(sink.taken)[0].iter_attachments())
    path = link.removeprefix("https://costs.example.com")
    answer = quick.app.get(path, key=None)
    assert answer.status_code == 200, answer.text
    assert answer.content == quick.file(run)
    assert answer.headers["Cache-Control"] == "no-store"
    for wrong in (
        path.replace("signature=", "signature=0"),
        path.replace("expires=1", "expires=2"),
        path.replace("organization=", "organization=x"),
        path.replace(run["id"], "drn_00000000000000000000000000"),
        path[:-1] + ("0" if path[-1] != "0" else "1"),
    ):
        refused = quick.app.get(wrong, key=None)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "NOT_FOUND"), wrong
    quick.clock.current = START + timedelta(days=7) - timedelta(seconds=1)
    assert quick.app.get(path, key=None).status_code == 200
    quick.clock.current = START + timedelta(days=7)
    assert quick.app.get(path, key=None).status_code == 404


def test_a_failure_for_good_is_told_to_everybody_who_should_know(quick: Room) -> None:
    with mail_sink() as sink:
        quick.mail_to(sink.port)
        sink.refuse["ann@example.com"] = "550 no such user"
        made = quick.schedule(delivery={"type": "email", "recipients": RECIPIENTS})
        run = quick.run(made["id"])
    assert run["status"] == "failed"
    assert "550" in run["error"]
    assert [each["status"] for each in run["deliveries"]] == ["failed", "delivered"]
    (event,) = events(quick, "export.failed")
    assert (event["export_id"], event["status"]) == (run["id"], "failed")
    assert events(quick, "export.completed") == []
    entries = quick.app.get("/api/v1/audit", params={"limit": 100}).json()["data"]
    assert "export.failed" in [each["action"] for each in entries]


def test_eight_failures_are_the_last(quick: Room) -> None:
    with mail_sink() as sink:
        quick.mail_to(sink.port)
        sink.refuse["MAIL"] = "451 later"
        made = quick.schedule(delivery={"type": "email", "recipients": RECIPIENTS[:1]})
        assert quick.run(made["id"])["status"] == "delivering"
        for _ in range(7):
            assert quick.runs(made["id"])[0]["status"] == "delivering"
            quick.later(hours=1)
    run = quick.runs(made["id"])[0]
    assert (run["status"], run["deliveries"][0]["attempts"]) == ("failed", 8)
    assert sink.taken == []


def test_files_are_kept_as_long_as_the_settings_say(quick: Room) -> None:
    run = quick.run(quick.schedule()["id"])
    assert run["file"]["expires_at"] == "2027-04-09T12:00:00Z"
    quick.at(START + timedelta(days=30, minutes=-1))
    assert quick.file(run)
    quick.clock.current = START + timedelta(days=30)
    path = f"/api/v1/exports/schedules/runs/{run['id']}/file"
    assert quick.app.get(path).status_code == 404
    quick.later(hours=1)
    shown = quick.app.get(f"/api/v1/exports/schedules/runs/{run['id']}").json()
    assert shown["file"]["is_kept"] is False
    assert not list((quick.folder.parent / "kept").rglob(run["id"]))


def test_runs_are_kept_as_long_as_the_settings_say(quick: Room) -> None:
    made = quick.schedule(frequency="monthly", time="00:00")
    old = quick.run(made["id"])
    quick.at(START + timedelta(days=399))
    assert quick.runs(made["id"])[0]["id"] == old["id"]
    quick.at(START + timedelta(days=401))
    kept = quick.runs(made["id"])
    assert kept
    assert old["id"] not in [each["id"] for each in kept]
    assert quick.app.get(f"/api/v1/exports/schedules/runs/{old['id']}").status_code == 404
    with read(quick.app.database) as session:
        runs = set(session.execute(select(delivery_parts.c.run_id)).scalars())
    assert runs <= {each["id"] for each in kept}


@pytest.mark.parametrize("trouble", TROUBLES, ids=["timeout", "deadlock"])
def test_a_trouble_that_passes_ends_no_run(
    quick: Room, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    fails_once(monkeypatch, deliveries, "window_of", trouble)
    made = quick.schedule()
    assert quick.run(made["id"])["status"] == "pending"
    quick.later(minutes=5)
    assert quick.runs(made["id"])[0]["status"] == "completed"
