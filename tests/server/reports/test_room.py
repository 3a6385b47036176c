"""Reports as things that are kept: made by a worker, cancelled, read by whom they may."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from llm_cost_ops.core.report.text import from_text
from llm_cost_ops.server.clock import Clock, FixedClock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.queue.metrics import QueueMetrics
from llm_cost_ops.server.reports import claim, jobs, make, produce, routes, store
from llm_cost_ops.server.reports.claim import Claim
from llm_cost_ops.server.settings import Settings
from llm_cost_ops.server.worker import create_worker
from tests.support.application import Application
from tests.support.calls import accepted, body_of, error, send
from tests.support.factories import make_call, record_calls
from tests.support.roles import key_of, make_role
from tests.support.troubles import TROUBLES, fails_once

ASKED = {"start_date": "2026-10-01", "end_date": "2026-10-31", "format": "markdown"}


def ask(app: Application, status: int = 202, **fields: Any) -> dict[str, Any]:
    return accepted(send(app, "/reports/generate", {**ASKED, **fields}), status)


def shown(app: Application, report_id: str) -> dict[str, Any]:
    return accepted(app.get(f"/api/v1/reports/{report_id}"), 200)


def work_off(app: Application, days: int = 0) -> None:
    """What a worker does some days later, until nothing is due."""
    clock = FixedClock(app.clock.now() + timedelta(days=days))
    create_worker(
        Settings(),
        app.database,
        clock,
        QueueMetrics(CollectorRegistry()),
        jobs.work(app.database, clock),
    ).run(until_idle=True)


def calls(app: Application, **fields: Any) -> None:
    record_calls(
        app.database,
        [
            make_call(
                f"2026-10-{day:02}T12:00:00Z", "1.5",
                organization_id=app.organization_id, **fields,
            )
            for day in (3, 4)
        ],
    )  # fmt: skip


def test_a_worker_makes_what_was_asked_for(application: Application) -> None:
    calls(application)
    row = ask(application, title="Kosten: ../../etc/passwd Übersicht")
    assert row["status"] == "pending"
    assert row["download_url"] is None
    path = f"/api/v1/reports/{row['id']}/download"
    error(application.get(path), 409, "CONFLICT")
    work_off(application)
    made = shown(application, row["id"])
    assert made["status"] == "completed", made
    assert made["finished_at"] is not None
    answer = application.get(path)
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    name = answer.headers["content-disposition"]
    assert f'filename="cost_summary-{row["id"]}.md"' in name
    assert "/" not in name
    assert "3.00" in answer.text
    document = from_text(application.get(path, params={"format": "json"}).text)
    assert document.period == "2026-10-01 to 2026-10-31"
    again = application.get(path, params={"format": "html"})
    assert again.headers["content-type"] == "text/html; charset=utf-8"
    listed = accepted(application.get("/api/v1/reports", params={"status": "completed"}), 200)
    assert [each["id"] for each in listed["data"]] == [row["id"]]
    actions = [
        each["action"]
        for each in body_of(application.get("/api/v1/audit", params={"action": "report.*"}))["data"]
    ]
    assert actions == ["report.downloaded"] * 3 + ["report.generated"]


def test_what_is_over_is_removed(application: Application) -> None:
    row = ask(application)
    day_us = 86_400_000_000
    end = application.clock.micros() + 400 * day_us
    with write(application.database) as session:
        assert store.remove_expired(session, end - 1, 10) == 0
        assert store.remove_expired(session, end, 10) == 1
    error(application.get(f"/api/v1/reports/{row['id']}"), 404, "NOT_FOUND")


def test_a_cancelled_report_is_never_made(sqlite_application: Application) -> None:
    app = sqlite_application
    row = ask(app)
    path = f"/api/v1/reports/{row['id']}/cancel"
    assert accepted(app.post(path), 200)["status"] == "cancelled"
    work_off(app)
    assert shown(app, row["id"])["status"] == "cancelled"
    error(app.post(path), 409, "CONFLICT")
    error(app.get(f"/api/v1/reports/{row['id']}/download"), 409, "CONFLICT")
    assert app.delete(f"/api/v1/reports/{row['id']}").status_code == 204
    error(app.delete(f"/api/v1/reports/{row['id']}"), 404, "NOT_FOUND")


def test_a_request_that_comes_again_makes_no_second_report(
    sqlite_application: Application,
) -> None:
    headers = {"Idempotency-Key": "october"}
    body = {**ASKED, "wait": True}
    first = accepted(send(sqlite_application, "/reports/generate", body, headers=headers), 201)
    again = accepted(send(sqlite_application, "/reports/generate", body, headers=headers), 201)
    assert (first["id"], first["status"]) == (again["id"], "completed")
    assert len(body_of(sqlite_application.get("/api/v1/reports"))["data"]) == 1


def test_a_repetition_while_the_first_request_makes_it_computes_nothing(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, begun, go_on = sqlite_application, threading.Event(), threading.Event()
    made, outcome_of = list[str](), routes.outcome_of

    def slow(database: Database, clock: Clock, row: Mapping[str, Any]) -> dict[str, Any]:
        made.append(row["id"])
        begun.set()
        assert go_on.wait(30)
        return outcome_of(database, clock, row)

    monkeypatch.setattr(routes, "outcome_of", slow)
    asked = partial(
        send, app, "/reports/generate", {**ASKED, "wait": True}, headers={"Idempotency-Key": "k"}
    )
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(asked)
        try:
            assert begun.wait(30)
            again = asked()
        finally:
            go_on.set()
        pending = accepted(again, 202)
        assert int(again.headers["retry-after"]) > 0
        done = accepted(first.result(), 201)
    assert (pending["id"], pending["status"], done["status"]) == (
        done["id"],
        "pending",
        "completed",
    )
    assert accepted(asked(), 201) == done
    assert made == [done["id"]]


def test_another_process_makes_it_only_when_the_first_is_gone(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = application
    asked = partial(
        send, app, "/reports/generate", {**ASKED, "wait": True}, headers={"Idempotency-Key": "k"}
    )
    with monkeypatch.context() as patch:
        fails_once(patch, produce, "make_report", TROUBLES[0])
        assert asked().status_code == 503
    (row,) = body_of(app.get("/api/v1/reports"))["data"]
    elsewhere = Claim(app.database, app.clock, row)
    assert elsewhere.take()
    assert accepted(asked(), 202)["status"] == "pending"
    elsewhere.end(made=True)  # as if its process had ended: nobody renews, nobody writes
    assert accepted(asked(), 202)["status"] == "pending"
    assert isinstance(app.clock, FixedClock)
    app.clock.current += timedelta(seconds=61)
    assert accepted(asked(), 201)["status"] == "completed"


def test_a_claim_lasts_as_long_as_its_holder(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = sqlite_application
    monkeypatch.setattr(claim, "RENEWED_S", 0.01)
    row = ask(app)
    first, second = (Claim(app.database, app.clock, row) for _ in range(2))
    assert first.take()
    work_off(app)
    assert shown(app, row["id"])["status"] == "pending"
    assert isinstance(app.clock, FixedClock)
    app.clock.current += timedelta(seconds=50)
    until, stored = app.clock.micros() + 60_000_000, None
    for _ in range(300):
        with read(app.database) as session:
            stored = (store.row(session, app.organization_id, row["id"]) or {})["making_until"]
        if stored == until:
            break
        time.sleep(0.02)
    assert stored == until
    app.clock.current += timedelta(seconds=50)
    first.end(made=False)
    assert second.take()
    second.end(made=True)


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"type": "profit"}, "type"),
    ({"format": "docx"}, "format"),
    ({"compare": "week"}, "compare"),
    ({"group_by": ["colour"]}, "group_by"),
    ({"currency": "dollars"}, "currency"),
    ({"rates": [{"currency": "USD", "date": "2026-10-01", "rate": 1, "source": "x"}]},
     "rates.0.currency"),
    ({"rates": [{"currency": "EUR", "date": "2026-10-01", "rate": 0, "source": "x"}]},
     "rates.0.rate"),
    ({"rates": [{"currency": "EUR", "date": "2026-10-01", "rate": "1.1"}]}, "rates.0.source"),
    ({"allocation": [{"name": "x", "shared": ["a"], "by": "luck"}]}, "allocation.0.by"),
    ({"allocation": [{"name": "x", "shared": []}]}, "allocation.0.shared"),
    ({"charge_by": "tag"}, "charge_by"),
    ({"sections": ["totals"]}, "sections"),
    ({"type": "custom"}, "sections"),
    ({"type": "custom", "sections": ["poem"]}, "sections.0"),
    ({"type": "custom", "sections": [{"section": "trend", "group_by": ["x"]}]},
     "sections.0.group_by"),
    ({"template": "unknown"}, "template"),
    ({"title": "a\nb"}, "title"),
    ({"timezone": "Mars/Base"}, "timezone"),
    ({"wait": "yes"}, "wait"),
    ({"colour": "red"}, "colour"),
)  # fmt: skip


def test_what_cannot_be_made_is_refused_by_name(sqlite_application: Application) -> None:
    for fields, field in REFUSED:
        answer = send(sqlite_application, "/reports/generate", {**ASKED, **fields})
        found = error(answer, 422, "VALIDATION_ERROR")["field_errors"]
        assert field in found, (fields, found)
    assert body_of(sqlite_application.get("/api/v1/reports"))["data"] == []


def test_a_custom_report_has_the_sections_that_were_kept(sqlite_application: Application) -> None:
    app = sqlite_application
    calls(app, team_id="a")
    sections = ["totals", {"section": "breakdown", "title": "Teams", "group_by": ["team"]}]
    kept = accepted(send(app, "/reports/templates", {"name": "Mine", "sections": sections}), 201)
    error(send(app, "/reports/templates", {"name": "Mine", "sections": ["trend"]}), 409, "CONFLICT")
    assert body_of(app.get("/api/v1/reports/templates"))["data"] == [kept]
    for named in ("Mine", kept["id"]):
        row = ask(app, 201, type="custom", template=named, wait=True)
        answer = app.get(f"/api/v1/reports/{row['id']}/download", params={"format": "json"})
        titles = [each.title for each in from_text(answer.text).sections]
        assert titles == ["Totals", "Teams", "Appendix: where the figures come from"]
    other = app.another()
    error(other.delete(f"/api/v1/reports/templates/{kept['id']}"), 404, "NOT_FOUND")
    assert app.delete(f"/api/v1/reports/templates/{kept['id']}").status_code == 204
    error(app.delete(f"/api/v1/reports/templates/{kept['id']}"), 404, "NOT_FOUND")


def test_a_report_shows_nobody_more_than_they_may_see(sqlite_application: Application) -> None:
    app = sqlite_application
    calls(app, team_id="ml")
    calls(app, team_id="web")
    whole = ask(app, 201, wait=True)
    audit = ask(app, 201, type="audit", wait=True)
    permissions = ["read:costs", "read:reports", "write:reports"]
    database, clock, organization_id = app.database, app.clock, app.organization_id
    role = make_role(database, clock, organization_id, "ml", permissions, {"team": ["ml"]})
    key = key_of(app, "a-person", role)
    own = accepted(send(app, "/reports/generate", {**ASKED, "wait": True}, key=key), 201)
    assert own["limited_to"] == [{"team": ["ml"]}]
    path = f"/api/v1/reports/{own['id']}/download"
    document = from_text(app.get(path, params={"format": "json"}, key=key).text)
    assert document.subtitle == "Of team ml alone"
    assert "3.00" in app.get(path, key=key).text
    assert "6.00" in app.get(f"/api/v1/reports/{whole['id']}/download").text
    for hidden in (whole, audit):
        error(app.get(f"/api/v1/reports/{hidden['id']}", key=key), 404, "NOT_FOUND")
        error(app.delete(f"/api/v1/reports/{hidden['id']}", key=key), 404, "NOT_FOUND")
    listed = body_of(app.get("/api/v1/reports", key=key))["data"]
    assert [each["id"] for each in listed] == [own["id"]]
    error(send(app, "/reports/generate", {**ASKED, "type": "audit"}, key=key), 403)
    reader = app.new_key("read:reports", "read:costs")
    error(app.get(f"/api/v1/reports/{audit['id']}", key=reader), 404, "NOT_FOUND")
    error(app.another().get(f"/api/v1/reports/{whole['id']}"), 404, "NOT_FOUND")


def test_sections_reach_no_more_than_the_permission_to_read_them(
    sqlite_application: Application,
) -> None:
    app = sqlite_application
    for team in ("ml", "web"):
        calls(app, team_id=team)
        budget = {"name": f"only-{team}", "amount": "50", "team_id": team}
        accepted(send(app, "/budgets", budget), 201)
    at = (app.database, app.clock, app.organization_id)
    reporter = make_role(*at, "reporter", ["read:costs", "read:reports", "write:reports"])
    needed = ["read:budgets", "read:audit", "read:forecasts"]
    of_ml = make_role(*at, "ml", needed, {"team": ["ml"]})
    key = key_of(app, "a-person", reporter, of_ml)
    totals = accepted(send(app, "/reports/generate", {**ASKED, "wait": True}, key=key), 201)
    assert totals["limited_to"] is None
    this_month = {"start_date": "2026-11-01", "end_date": "2026-11-28"}
    asked = {**ASKED, **this_month, "type": "budget", "wait": True}
    whole = accepted(send(app, "/reports/generate", asked), 201)
    error(app.get(f"/api/v1/reports/{whole['id']}", key=key), 404, "NOT_FOUND")
    own = accepted(send(app, "/reports/generate", asked, key=key), 201)
    assert own["limited_to"] == [{"team": ["ml"]}]
    text = app.get(f"/api/v1/reports/{own['id']}/download", key=key).text
    assert "Of team ml alone" in text
    assert "only-ml" in text
    assert "only-web" not in text
    # Forecasts come with read:costs, which is not limited here.
    forecast = accepted(send(app, "/reports/generate", {**asked, "type": "forecast"}, key=key), 201)
    assert forecast["limited_to"] is None
    audit = ask(app, 201, type="audit", wait=True)
    error(app.get(f"/api/v1/reports/{audit['id']}", key=key), 404, "NOT_FOUND")
    error(send(app, "/reports/generate", {**ASKED, "type": "audit"}, key=key), 403)
    elsewhere = make_role(*at, "web", ["read:costs"], {"team": ["web"]})
    reports = make_role(*at, "reports", ["read:reports", "write:reports"])
    nothing = key_of(app, "b-person", elsewhere, reports, of_ml)
    made = accepted(send(app, "/reports/generate", asked, key=nothing), 201)
    text = app.get(f"/api/v1/reports/{made['id']}/download", key=nothing).text
    assert "only-" not in text


def test_a_job_that_dies_says_so(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = sqlite_application
    row = ask(app)

    def broken(*_: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(make, "get_organization", broken)
    for days in range(jobs.MAKE.max_attempts):
        work_off(app, days)
    found = shown(app, row["id"])
    assert found["status"] == "failed"
    assert "no memory" in found["error"]


@pytest.mark.parametrize("trouble", TROUBLES, ids=["timeout", "deadlock"])
def test_a_trouble_that_passes_ends_no_report(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    fails_once(monkeypatch, produce, "make_report", trouble)
    asked = ask(sqlite_application)
    work_off(sqlite_application)
    assert shown(sqlite_application, asked["id"])["status"] == "pending"
    work_off(sqlite_application, days=1)
    assert shown(sqlite_application, asked["id"])["status"] == "completed"
