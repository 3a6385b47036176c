"""What goes wrong with one event, rule or organization stops no other; what a batch costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, select, text

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.alerts import jobs as alert_jobs
from llm_cost_ops.server.alerts import levels, on_batch, on_news
from llm_cost_ops.server.alerts.look import Look
from llm_cost_ops.server.alerts.rules import Rule
from llm_cost_ops.server.alerts.work import DELIVER, EVENTS
from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.ledger import watched
from llm_cost_ops.server.queue import dead_letters
from llm_cost_ops.server.queue.outbox import Event, publish
from llm_cost_ops.server.queue.tables import jobs
from llm_cost_ops.server.queue.work import Job
from tests.server.alerts.test_kinds import call
from tests.support.alerts import Room
from tests.support.budgets import make_budget

ANOMALY = "cost.anomaly_detected"


def anomaly_of(room: Room, value: str) -> Event:
    payload = {"date": "2027-03-09", "dimension": "model", "value": value, "severity": "high"}
    return Event(room.app.organization_id, ANOMALY, payload)


def together(room: Room, events: list[Event]) -> None:
    """Events of one job."""
    with write(room.app.database) as session:
        publish(session, events, now_us=room.clock.micros())
    room.work()


def dead(room: Room) -> list[dict[str, Any]]:
    with read(room.app.database) as session:
        return dead_letters.list_jobs(session, room.app.organization_id, state="dead")


def test_an_event_that_cannot_be_read_takes_no_other_along(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.channel()
    real = on_news.anomaly

    def odd(look: Look, given: Any) -> Any:
        if given["payload"]["value"] == "odd":
            look.session.execute(text("SELECT no_such_column FROM alerts"))
        return real(look, given)

    monkeypatch.setattr(on_news, "anomaly", odd)
    together(room, [anomaly_of(room, value) for value in ("a", "odd", "b")])
    assert sorted(told.notice.title for told in room.told) == [
        "Unusual cost of model a: unknown",
        "Unusual cost of model b: unknown",
    ]
    together(room, [anomaly_of(room, "c")])  # while the odd one waits for its next attempt
    assert len(room.alerts()) == 3
    for _ in range(EVENTS.max_attempts):
        room.later(minutes=5)
    (job,) = dead(room)
    with read(room.app.database) as session:
        payload = loads(session.scalar(select(jobs.c.payload).where(jobs.c.id == job["id"])))
    assert [each["payload"]["value"] for each in payload["events"]] == ["odd"]
    monkeypatch.setattr(on_news, "anomaly", real)
    with write(room.app.database) as session:
        dead_letters.replay(session, None, job["id"], now_us=room.clock.micros())
    room.work()
    assert len(room.alerts()) == 4


def test_a_database_that_is_away_fails_the_whole_job(
    quick: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = on_news.anomaly

    def away(*_: object) -> Any:
        raise DatabaseUnavailable(Reason.CONNECTION)

    with monkeypatch.context() as patched:
        patched.setattr(on_news, "anomaly", away)
        together(quick, [anomaly_of(quick, value) for value in ("a", "b")])
    assert on_news.anomaly is real
    with read(quick.app.database) as session:
        (job,) = dead_letters.list_jobs(session, None, kind=EVENTS.name, state="ready")
    assert "does not answer" in job["last_error"]
    quick.later(minutes=1)
    assert len(quick.alerts()) == 2


@contextmanager
def too_slow(
    monkeypatch: pytest.MonkeyPatch, which: Callable[[Look, Rule], bool]
) -> Iterator[None]:
    """The rules whose measuring takes longer than a statement may."""
    real = levels.levels

    def measured(look: Look, rule: Rule) -> Any:
        if which(look, rule):
            raise DatabaseUnavailable(Reason.TIMEOUT)
        return real(look, rule)

    with monkeypatch.context() as patched:
        patched.setattr(levels, "levels", measured)
        yield


def test_a_rule_that_takes_too_long_stops_no_other(
    quick: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick.rule("usage", name="slow", metric="requests", threshold=1, window_minutes=60)
    quick.rule("usage", name="quick", metric="requests", threshold=1, window_minutes=60)
    quick.rule("usage", name="month", metric="requests", threshold=1, window="month")
    quick.rule("call_cost", threshold=1)
    with too_slow(monkeypatch, lambda _, rule: rule.name == "slow"):
        quick.spend(5)
        titles = sorted(each["title"].partition(":")[0] for each in quick.alerts())
        assert titles == ["A call of m cost USD 5.00", "quick"]
        quick.later(minutes=1)
        assert len(quick.alerts()) == 3
        assert {each["status"] for each in quick.alerts()} == {"active"}
    quick.later(minutes=1)
    slow = quick.alerts(type="usage")[-1]
    assert slow["title"].startswith("slow:")
    with too_slow(monkeypatch, lambda _, rule: rule.name == "slow"):
        quick.later(hours=2)  # over, as far as anybody could measure
        assert quick.alert(slow["id"])["status"] == "active"
        states = {each["title"][:5]: each["status"] for each in quick.alerts(type="usage")}
        assert states == {"slow:": "active", "quick": "resolved", "month": "active"}


def test_an_organization_that_takes_too_long_holds_up_no_other(
    quick: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = [quick, Room(quick.app.another(), quick.clock), Room(quick.app.another(), quick.clock)]
    for each in rooms:
        each.rule("usage", metric="requests", threshold=1, window="month")
        call(each, 1)
    slow = min(each.app.organization_id for each in rooms)
    with too_slow(monkeypatch, lambda look, _: look.organization.id == slow):
        quick.later(minutes=1)
    assert sorted(len(each.alerts()) for each in rooms) == [0, 1, 1]


def test_everybody_has_a_turn_where_there_is_not_time_for_all() -> None:
    organizations = [f"org-{number:03}" for number in range(100)]
    covered: set[str] = set()
    for minute in range(1_000, 1_030):
        job = Job("job", None, "k", {"scheduled_for": minute * 60_000_000}, 1, 3, "lease")
        turn = alert_jobs.in_turn(organizations, job)
        assert sorted(turn) == organizations
        covered.update(turn[:10])
    assert covered == set(organizations)


def test_a_sweep_that_takes_long_ends_and_leaves_the_rest_to_the_next(
    quick: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = [quick, *(Room(quick.app.another(), quick.clock) for _ in range(2))]
    for each in rooms:
        each.rule("usage", metric="requests", threshold=1, window="month")
        call(each, 1)
    real = levels.levels

    def slow(look: Look, rule: Rule) -> Any:
        quick.clock.elapsed_s += alert_jobs.LONGEST_SWEEP_S
        return real(look, rule)

    monkeypatch.setattr(levels, "levels", slow)
    quick.later(minutes=1)
    assert sum(len(each.alerts()) for each in rooms) == 1
    for _ in range(8):
        quick.later(minutes=1)
    assert [len(each.alerts()) for each in rooms] == [1, 1, 1]


def test_deliveries_have_places_of_their_own() -> None:
    assert DELIVER.waits
    assert not EVENTS.waits


@contextmanager
def statements(room: Room) -> Iterator[list[str]]:
    """The SELECTs on calls meanwhile."""
    seen: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "usage_records" in statement and statement.startswith("SELECT"):
            seen.append(statement)

    engine = room.app.database.reader
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_a_batch_asks_for_the_rules_and_budgets_that_it_is_about(quick: Room) -> None:
    for number in range(30):
        scope = {"project_id": f"p{number}"}
        quick.rule("usage", name=f"u{number}", metric="requests", threshold=2, scope=scope)
        quick.rule("call_cost", name=f"c{number}", threshold=9, scope=scope)
        make_budget(quick.app, name=f"b{number}", amount=10, alert_thresholds=[], scope=scope)
    quick.rule("budget", thresholds=["0.5"])
    with statements(quick) as seen:
        for number in range(20):
            body = {"model": "m", "provider": "openai", "cost": "0.25", "project_id": "p7"}
            assert quick.app.post("/api/v1/costs", json=body).status_code == 201, number
        quick.work()
    assert len(seen) < 40  # of 20 events and 60 rules
    assert sorted(each["type"] for each in quick.alerts()) == ["budget", "usage"]
    quick.spend(9, project_id="p8")
    assert sorted(each["type"] for each in quick.alerts()) == [
        "budget", "budget", "call_cost", "usage",
    ]  # fmt: skip


def test_calls_with_too_many_labels_concern_every_rule(
    quick: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "MAX_LABELS", 2)
    quick.rule("usage", metric="requests", threshold=3, window="day")
    quick.rule("budget", thresholds=["0.5"])
    make_budget(quick.app, amount="0.03", alert_thresholds=[])
    now = f"{quick.clock.current:%Y-%m-%dT%H:%M:%SZ}"
    batch = [
        {"provider": "openai", "model": "gpt-4o", "prompt_tokens": 1000, "completion_tokens": 500,
         "timestamp": now, "user_id": f"u{number}"}
        for number in range(3)
    ]  # fmt: skip
    answer = quick.app.post("/api/v1/usage/batch", json={"records": batch})
    assert answer.status_code == 200
    quick.work()
    assert [each["type"] for each in quick.alerts()] == ["usage"]
    quick.later(minutes=1)  # budgets are left to the sweep then
    assert sorted(each["type"] for each in quick.alerts()) == ["budget", "usage"]


def test_a_batch_that_moves_very_many_budgets_leaves_them_to_the_sweep(
    quick: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_batch, "MAX_BUDGETS", 1)
    quick.rule("budget", thresholds=["0.5"])
    for name in ("a", "b"):
        make_budget(quick.app, name=name, amount=10, alert_thresholds=[])
    quick.spend(6)
    assert quick.alerts() == []
    quick.later(minutes=1)
    assert len(quick.alerts()) == 2


def test_dear_calls_of_another_scope_hide_none(quick: Room) -> None:
    quick.rule("call_cost", threshold=1, scope={"tags": ["prod"]})
    now = f"{quick.clock.current:%Y-%m-%dT%H:%M:%SZ}"
    call_of = {"provider": "openai", "model": "gpt-4o", "completion_tokens": 1, "timestamp": now}
    batch = [{**call_of, "prompt_tokens": 10**8} for _ in range(250)]
    batch.append({**call_of, "prompt_tokens": 10**6, "tags": ["prod"]})
    assert quick.app.post("/api/v1/usage/batch", json={"records": batch}).status_code == 200
    quick.work()
    assert quick.only()["occurrences"] == 1
