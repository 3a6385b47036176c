"""The audit log over HTTP: list, filters, pages, export, proof, and who was not let in."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from sqlalchemy import update

from llm_cost_ops.server.audit.record import record as audited
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.session import write
from tests.server.audit.test_calls import entries
from tests.support.application import Application
from tests.support.calls import accepted, body_of, error, record, send, usage


def note(app: Application, action: str, number: int = 1, **more: Any) -> None:
    details = {
        "organization_id": app.organization_id,
        "actor_id": "key_1",
        "resource_type": "team",
        "resource_id": f"team_{number}",
        "now_us": 1_750_000_000_000_000 + number * 1_000_000,
        **more,
    }
    with write(app.database) as session:
        audited(session, action=action, **details)


def listed(app: Application, query: str = "") -> list[dict[str, Any]]:
    return list(accepted(app.get(f"/api/v1/audit{query}"), 200)["data"])


def flush(app: Application) -> None:
    app.portal.call(lambda: app.app.state.attempts.flush(all_of_it=True))


def test_filters_narrow_and_pages_follow(application: Application) -> None:
    for number in range(1, 6):
        note(application, "teams.create", number, after={"name": f"T{number}"})
    note(application, "teams.delete", 6, outcome="denied", request_id="req_x")
    note(application, "teams_other.create", 7)
    record(application, usage("e1"))
    other = application.another()
    note(other, "teams.create", 9)
    assert [row["action"] for row in listed(application, "?action=usage.create")] == [
        "usage.create"
    ]
    found = listed(application, "?action=teams.*")
    assert [row["resource_id"] for row in found] == [f"team_{n}" for n in range(6, 0, -1)]
    assert found[1]["after"] == {"name": "T5"}
    for query, count in (
        ("?action=teams.create&limit=2", 2),
        ("?outcome=denied", 1),
        ("?request_id=req_x", 1),
        ("?resource=team:team_3", 1),
        ("?resource=team", 7),
        ("?actor=key_1", 7),
        ("?actor=operator&action=api_keys.*", 0),
        ("?start_date=2025-06-15&end_date=2025-06-15", 7),
        ("?end_date=2025-06-14", 0),
        ("?user_id=nobody", 0),
        (f"?organization_id={application.organization_id}&action=teams.delete", 1),
    ):
        assert len(listed(application, query)) == count, query
    seen: list[str] = []
    cursor = ""
    while True:
        path = f"/api/v1/audit/logs?action=teams.*&limit=4{cursor}"
        page = accepted(application.get(path), 200)
        seen += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [row["id"] for row in found]
    error(application.get("/api/v1/audit?actoin=x"), 422)
    error(application.get("/api/v1/audit?outcome=odd"), 422)
    error(application.get("/api/v1/audit?start_date=odd"), 422)
    key = application.new_key("read:costs")
    error(application.get("/api/v1/audit", key=key), 403)


def test_an_export_is_safe_in_a_spreadsheet_and_whole(sqlite_application: Application) -> None:
    app = sqlite_application
    evil = ["=1+1", "+1+1", "-1+cmd", "@SUM(1)", "\t1", "\r1", "＝1", 'a"b,c\nd', " =1"]
    for number, name in enumerate(evil):
        note(app, "teams.create", number, resource_id=name)
    note(app, "teams.create", 99, resource_id="-12.5")
    answer = app.get("/api/v1/audit/export?format=csv&action=teams.create")
    assert answer.status_code == 200
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    cells = [row["resource_id"] for row in rows]
    assert cells[0] == "-12.5"
    assert cells[1:] == [name if name.startswith("a") else f"'{name}" for name in reversed(evil)]
    for form in ("json", "jsonl"):
        text = app.get(f"/api/v1/audit/export?format={form}&action=teams.create").text
        data = json.loads(text) if form == "json" else [json.loads(x) for x in text.splitlines()]
        assert [row["resource_id"] for row in data][1:] == evil[::-1]
    empty = app.get("/api/v1/audit/export?format=json&action=none.*")
    assert empty.json() == []
    exports = entries(app, "audit.export")
    assert [json.loads(each["after"])["format"] for each in exports] == [
        "csv", "json", "jsonl", "json",
    ]  # fmt: skip


def test_a_log_is_proven_over_http(sqlite_application: Application) -> None:
    app = sqlite_application
    note(app, "teams.create")
    proof = accepted(app.get("/api/v1/audit/verify"), 200)
    assert (proof["ok"], proof["first_bad_seq"]) == (True, None)
    from llm_cost_ops.server.audit.checkpoint import make_checkpoints
    from llm_cost_ops.server.audit.sign import Signer

    with write(app.database) as session:
        make_checkpoints(session, Signer([]), now_us=1)
    kept = accepted(app.get("/api/v1/audit/checkpoints"), 200)["data"]
    assert len(kept) == 1
    accepted(send(app, "/audit/verify", {"checkpoints": kept}), 200)
    changed = [{**kept[0], "hash": "1" * 64}]
    found = accepted(send(app, "/audit/verify", {"checkpoints": changed}), 200)
    assert (found["ok"], found["fault"]) == (False, "rewritten")
    foreign = [{**kept[0], "organization_id": "org-x"}]
    for given in (foreign, [1], "x"):
        error(send(app, "/audit/verify", {"checkpoints": given}), 422)
    with write(app.database) as session:
        session.execute(update(audit_log).where(audit_log.c.seq == 1).values(action="x"))
    assert accepted(app.get("/api/v1/audit/verify"), 200)["first_bad_seq"] == 1


def test_refusals_are_counted_and_a_flood_is_one_entry(sqlite_application: Application) -> None:
    app = sqlite_application
    key_id, key = app.new_key_with_id("read:costs")
    secret = "sk_test_" + "x" * 49
    for _ in range(7):
        error(app.get("/api/v1/audit", key=key), 403)
        error(app.get(f"/api/v1/{secret}", key=secret), 404)
        error(app.get("/api/v1/audit", key=secret), 401)
    flush(app)
    (denied,) = entries(app, "auth.denied")
    assert (denied["outcome"], denied["actor_id"], denied["ip"]) == ("denied", key_id, "127.0.0.1")
    assert json.loads(denied["after"])["count"] == 7
    assert json.loads(denied["after"])["code"] == "INSUFFICIENT_PERMISSIONS"
    system = Application(**{**vars(app), "organization_id": "system"})
    (failed,) = entries(system, "auth.failure")
    assert json.loads(failed["after"])["count"] == 7
    assert (failed["actor_kind"], failed["outcome"]) == ("anonymous", "failure")
    assert secret not in str(entries(app) + entries(system))
    error(app.get("/api/v1/audit", key=key), 403)
    app.portal.call(app.app.state.attempts.flush)  # not due within the minute
    assert len(entries(app, "auth.denied")) == 1
    assert listed(app, "?action=auth.*&outcome=denied")[0]["id"] == denied["id"]


def test_who_was_let_in_is_told_once_an_hour(sqlite_application: Application) -> None:
    app = sqlite_application
    for _ in range(3):
        listed(app)
    flush(app)
    listed(app)
    app.portal.call(app.app.state.attempts.flush)
    (entry,) = entries(app, "auth.success")
    assert json.loads(entry["after"])["count"] == 3
    assert body_of(app.get("/api/v1/audit/verify"))["ok"]
