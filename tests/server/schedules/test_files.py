"""The file of a run: one for each attempt, none that is left, and shown to whom it may be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.identity.tables import user_roles
from llm_cost_ops.server.schedules import define, store
from llm_cost_ops.server.schedules.folder import write_file
from llm_cost_ops.server.schedules.tables import delivery_schedules
from llm_cost_ops.server.storage.folder import Folder
from tests.support.calls import accepted, select_all, send, usage
from tests.support.roles import make_role, make_user, make_user_key
from tests.support.schedules import START, Room

ROOT = "/api/v1/exports/schedules"
AUDIT = {
    "type": "audit", "format": "json", "frequency": "daily", "time": "09:00",
    "delivery": "download",
}  # fmt: skip


def kept(room: Room) -> list[Path]:
    return [path for path in (room.folder.parent / "kept").rglob("*") if path.is_file()]


def noted(room: Room, run_id: str) -> str | None:
    with read(room.app.database) as session:
        row = store.run(session, room.app.organization_id, run_id)
    assert row is not None
    return row["file_key"]


def test_a_report_is_shown_to_who_may_read_its_sections_alone(quick: Room) -> None:
    made = accepted(send(quick.app, "/reports/schedules", AUDIT), 201)
    run = quick.run(made["id"])
    few = quick.app.new_key("read:costs", "export:data")
    more = quick.app.new_key("read:costs", "export:data", "write:reports", "read:audit")
    for key, found, begun in ((few, 404, 403), (more, 200, 202)):
        assert quick.app.get(f"{ROOT}/runs/{run['id']}", key=key).status_code == found
        assert quick.app.get(f"{ROOT}/runs/{run['id']}/file", key=key).status_code == found
        (listed,) = quick.app.get(f"{ROOT}/{made['id']}/runs", key=key).json()["data"][-1:]
        assert (listed["file"] is not None, bool(listed["facts"])) == (found == 200,) * 2
        quick.later(seconds=1)
        assert quick.app.post(f"{ROOT}/{made['id']}/run", key=key).status_code == begun
    assert quick.app.request("DELETE", f"{ROOT}/{made['id']}").status_code == 204
    assert quick.app.get(f"{ROOT}/runs/{run['id']}/file", key=few).status_code == 404
    assert quick.app.get(f"{ROOT}/runs/{run['id']}/file", key=more).status_code == 200


def test_who_was_narrowed_keeps_no_wider_file(quick: Room) -> None:
    at = (quick.app.database, quick.clock, quick.app.organization_id)
    narrow = make_role(
        *at, "of-mine", ["read:costs", "export:data"], conditions={"projects": ["mine"]}
    )
    user_id = make_user(*at, "ann", "analyst")
    _, key = make_user_key(*at, user_id)
    body = {"frequency": "daily", "time": "09:00", "delivery": "download"}
    made = accepted(send(quick.app, "/exports/schedules", body, key=key), 201)
    wide = quick.run(made["id"])
    path = f"{ROOT}/runs/{wide['id']}/file"
    assert quick.app.get(path, key=key).status_code == 200
    with write(quick.app.database) as session:
        session.execute(
            update(user_roles).where(user_roles.c.user_id == user_id).values(role=narrow)
        )
    quick.later(minutes=1)
    assert quick.app.get(path, key=key).status_code == 404
    run = quick.run(made["id"])
    assert quick.app.get(f"{ROOT}/runs/{run['id']}/file", key=key).status_code == 200


def test_a_late_attempt_changes_no_file(quick: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    quick.spend("1", START - timedelta(days=1))
    made = quick.schedule(format="jsonl")
    put, first = Folder.put, list[bool]()

    def late(self: Folder, key: str, chunks: Iterable[bytes]) -> int:
        if first:
            return put(self, key, chunks)
        first.append(True)
        quick.spend("7", START - timedelta(days=1))
        other = quick.worker()
        for _ in range(2):  # the lease is over, then the wait
            quick.clock.current += timedelta(minutes=2)
            quick.clock.elapsed_s += 120
            quick.work(other)
        return put(self, key, [*chunks, b"late"])

    monkeypatch.setattr(Folder, "put", late)
    run = quick.run(made["id"])
    assert (run["status"], run["attempts"]) == ("completed", 2)
    content = quick.file(run)
    assert hashlib.sha256(content).hexdigest() == run["file"]["sha256"]
    assert len(content) == run["file"]["size_bytes"]
    assert len(kept(quick)) == 1


def test_what_a_dead_attempt_left_is_removed(quick: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    put = Folder.put

    def dies(self: Folder, key: str, chunks: Iterable[bytes]) -> int:
        put(self, key, chunks)
        raise RuntimeError("gone")

    monkeypatch.setattr(Folder, "put", dies)
    made = quick.schedule()
    run = quick.run(made["id"])
    assert (run["status"], len(kept(quick))) == ("pending", 1)
    for _ in range(5):
        quick.later(minutes=20)
    (run,) = quick.runs(made["id"])
    assert (run["status"], run["attempts"]) == ("failed", 5)
    assert kept(quick) == []  # by the sweep of 13:27
    assert noted(quick, run["id"]) is None


def test_no_file_is_made_that_nobody_can_send(quick: Room) -> None:
    url = "https://hooks.slack.com/services/T00000000/B00000000/abcdefghijklmnopqrstuvwx"
    made = quick.schedule(delivery={"type": "slack", "url": url})
    with write(quick.app.database) as session:
        session.execute(update(delivery_schedules).values(secrets="v1.nonsense"))
    run = quick.run(made["id"])
    assert (run["status"], run["attempts"]) == ("failed", 1)
    assert "secrets cannot be read" in run["error"]
    assert kept(quick) == []


def test_a_stopping_worker_gives_the_run_back(quick: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    from llm_cost_ops.server.queue.runner import _Running

    monkeypatch.setattr(_Running, "stopping", True)
    made = quick.schedule()
    accepted(send(quick.app, f"/exports/schedules/{made['id']}/run", {}), 202)
    quick.runner.round()
    assert quick.runs(made["id"])[0]["status"] == "pending"
    assert kept(quick) == []
    monkeypatch.undo()
    quick.work()
    assert quick.runs(made["id"])[0]["status"] == "completed"


def test_many_runs_of_an_owner_without_rights_pause_it_once(quick: Room) -> None:
    at = (quick.app.database, quick.clock, quick.app.organization_id)
    user_id = make_user(*at, "ann", "analyst")
    _, key = make_user_key(*at, user_id)
    body = {"frequency": "daily", "time": "09:00", "delivery": "download", "catch_up": "all"}
    made = accepted(send(quick.app, "/exports/schedules", body, key=key), 201)
    with write(quick.app.database) as session:
        session.execute(
            update(user_roles).where(user_roles.c.user_id == user_id).values(role="viewer")
        )
    quick.later(days=5)
    assert [run["status"] for run in quick.runs(made["id"])] == ["failed"] * 5
    entries = quick.app.get("/api/v1/audit", params={"limit": 100}).json()["data"]
    assert [each["action"] for each in entries].count("schedules.pause") == 1


def test_a_report_whose_owner_lost_a_section_pauses(quick: Room) -> None:
    at = (quick.app.database, quick.clock, quick.app.organization_id)
    plain = ["read:costs", "read:reports", "write:reports", "export:data"]
    auditor, reporter = (
        make_role(*at, "with-log", [*plain, "read:audit"]), make_role(*at, "without-log", plain)
    )  # fmt: skip
    user_id = make_user(*at, "ann", auditor)
    _, key = make_user_key(*at, user_id)
    made = accepted(send(quick.app, "/reports/schedules", AUDIT, key=key), 201)
    with write(quick.app.database) as session:
        session.execute(
            update(user_roles).where(user_roles.c.user_id == user_id).values(role=reporter)
        )
    quick.later(days=1)
    assert "read:audit" in quick.get(made["id"])["paused_reason"]


def test_the_permission_to_export_is_asked_of_reports_when_they_run(quick: Room) -> None:
    at = (quick.app.database, quick.clock, quick.app.organization_id)
    plain = ["read:costs", "read:reports", "write:reports"]
    wide, narrow = make_role(*at, "wide", [*plain, "export:data"]), make_role(*at, "few", plain)
    user_id = make_user(*at, "ann", wide)
    _, key = make_user_key(*at, user_id)
    made = accepted(
        send(quick.app, "/reports/schedules", {**AUDIT, "type": "cost_summary"}, key=key), 201
    )
    with write(quick.app.database) as session:
        session.execute(
            update(user_roles).where(user_roles.c.user_id == user_id).values(role=narrow)
        )
    quick.later(days=1)
    assert "export:data" in quick.get(made["id"])["paused_reason"]


def test_no_more_runs_than_so_many_wait(quick: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(define, "MAX_UNFINISHED", 1)
    path = f"{ROOT}/{quick.schedule()['id']}/run"
    assert quick.app.post(path).status_code == 202
    refused = quick.app.post(path)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    quick.later(seconds=1)
    assert quick.app.post(path).status_code == 202


def test_the_period_of_a_schedule_is_no_parameter_of_its_file(quick: Room) -> None:
    body = {"frequency": "daily", "time": "09:00", "delivery": "download"}
    answer = send(quick.app, "/exports/schedules", {**body, "billing_period": "2026-10"})
    assert answer.status_code == 422
    assert "billing_period" in answer.json()["error"]["field_errors"]


def test_what_is_not_kept_any_more_is_no_answer_that_breaks_off(quick: Room) -> None:
    run = quick.run(quick.schedule()["id"])
    for path in kept(quick):
        path.unlink()
    assert quick.app.get(f"{ROOT}/runs/{run['id']}/file").status_code == 404


def test_what_died_in_a_folder_is_removed_by_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "org"
    folder.mkdir()
    (folder / ".costs.csv.0123.part").write_bytes(b"half")
    (folder / ".other.csv.0123.part").write_bytes(b"half")
    assert write_file(str(tmp_path), "org", "", "costs.csv", iter((b"all",))).delivered
    assert sorted(path.name for path in folder.iterdir()) == [".other.csv.0123.part", "costs.csv"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"format": "jsonl"}, {"Total cost": "USD 3.75", "Requests": "2"}),
        ({"include_fields": ["amount", "model"]}, {"Total cost": "USD 3.75", "Rows": "2"}),
        ({"include_fields": ["model"]}, {"Rows": "2"}),
        ({"type": "usage"}, {"Requests": "2"}),
        ({"type": "aggregates", "group_by": "model"}, {"Total cost": "USD 3.75", "Requests": "2"}),
        ({"format": "focus"}, {"Total cost": "USD 3.75", "Rows": "2"}),
        ({"format": "jsonl", "provider": "anthropic"}, {"Total cost": "USD 0", "Requests": "0"}),
    ],
)
def test_what_a_message_says_is_counted_while_the_file_is_written(
    quick: Room, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], expected: dict[str, str]
) -> None:
    """A call of the period that arrives when the file is written is in neither."""
    for cost, model in (("1.5", "m"), ("2.25", "n")):
        quick.spend(cost, START - timedelta(days=1), model=model)
    made = quick.schedule(**fields)
    put = Folder.put

    def late(self: Folder, key: str, chunks: Iterator[bytes]) -> int:
        count = put(self, key, chunks)
        quick.spend("70", START - timedelta(days=1))
        return count

    monkeypatch.setattr(Folder, "put", late)
    run = quick.run(made["id"])
    assert (run["status"], run["facts"]) == ("completed", expected)


@pytest.mark.parametrize("grain", ["hour", "day"])
def test_a_message_about_focus_says_what_has_no_price(quick: Room, grain: str) -> None:
    """The column of billed cost has 0 there, because the specification wants a number."""
    before = (START - timedelta(days=1)).isoformat()
    for place in range(3):
        call = usage(f"u{place}", model="no-such-model", timestamp=before)
        accepted(send(quick.app, "/usage", call))
    made = quick.schedule(format="focus", focus_grain=grain)
    facts = quick.run(made["id"])["facts"]
    assert (facts["Total cost"], facts["Without a price"]) == ("not priced yet", "3")
    quick.spend("0", START - timedelta(days=1))
    facts = quick.run(quick.schedule(format="focus", focus_grain=grain)["id"])["facts"]
    assert (facts["Total cost"], facts["Without a price"]) == ("USD 0", "3")
    quick.spend("2.5", START - timedelta(days=1))
    facts = quick.run(quick.schedule(format="focus", focus_grain=grain)["id"])["facts"]
    assert (facts["Total cost"], facts["Without a price"]) == ("USD 2.5", "3")


def test_a_message_about_corrections_counts_no_call_that_they_take_back(quick: Room) -> None:
    for event, at in (("jan", "2027-01-05T00:00:00Z"), ("feb", "2027-02-05T00:00:00Z")):
        accepted(send(quick.app, "/usage", usage(event, model="later", timestamp=at)))
        if event == "jan":
            accepted(send(quick.app, "/periods/2027-01/close", {}), 200)
    query = "SELECT id FROM usage_records WHERE event_id = 'jan'"
    ((taken,),) = select_all(quick.app, query)
    assert quick.app.delete(f"/api/v1/costs/{taken}").status_code == 204
    made = quick.schedule(frequency="monthly", timezone="UTC", format="focus")
    facts = quick.run(made["id"])["facts"]
    assert (facts["Total cost"], facts["Without a price"]) == ("not priced yet", "1")


def test_the_sum_of_a_month_is_that_of_its_books(quick: Room) -> None:
    """A call of February that came after its closing is a correction in the books of March."""
    quick.spend("1.5", datetime(2027, 2, 10, tzinfo=UTC))
    accepted(send(quick.app, "/periods/2027-02/close", {}), 200)
    quick.later(minutes=1)
    quick.spend("4", datetime(2027, 2, 11, tzinfo=UTC))
    made = quick.schedule(frequency="monthly", timezone="UTC", format="jsonl")
    run = quick.run(made["id"])
    rows = [json.loads(line) for line in quick.file(run).splitlines()]
    assert sum(row["total_cost"] for row in rows) == 1.5
    assert (run["facts"]["Total cost"], run["facts"]["Requests"]) == ("USD 1.5", "1")
