"""Anomalies as they happen: found once, told of once, and heeding what people said."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.session import read, snapshot, write
from llm_cost_ops.server.forecasts import jobs, watch
from llm_cost_ops.server.identity.organizations import get_organization
from llm_cost_ops.server.queue.runner import Runner
from llm_cost_ops.server.queue.tables import jobs as jobs_table
from llm_cost_ops.server.queue.work import Job
from llm_cost_ops.server.settings import AnomalySettings, DatabaseSettings, Settings
from tests.server.forecasts.conftest import cost, events, record_all, spend, total, use
from tests.support.application import Application
from tests.support.calls import accepted, send

tables = jobs_table.c
FIRST = datetime(2026, 11, 10, tzinfo=UTC)
BAD = datetime(2026, 11, 20, 8, 20, tzinfo=UTC)
DOLLAR = 400_000
"""Prompt tokens of gpt-4o for a dollar."""


def hours(app: Application, count: int = 250, each: int = 5 * DOLLAR, first: int = 0) -> None:
    """Use in every hour, NOW's the last, a little different each."""
    numbers = range(first, first + count)
    record_all(app, [use(app, FIRST + timedelta(hours=n), each + n % 7 * 4000) for n in numbers])


def spike(app: Application, at: datetime = BAD, dollars: int = 60, **fields: Any) -> None:
    record_all(app, [use(app, at, dollars * DOLLAR, **fields)])


def look(
    app: Application, *steps: str, least: object = 1, organization_id: str | None = None
) -> int:
    """A run of the watch; how many anomalies it stored."""
    now_us = app.clock.micros()
    with snapshot(app.database) as session:
        organization = get_organization(session, organization_id or app.organization_id)
    assert organization is not None
    watching = watch.Watching(Decimal(str(least)))
    found = watch.judge(app.database, organization, watching, steps or ("hour",), now_us)
    with write(app.database) as session:
        return watch.keep(session, organization.id, found, now_us)


def listed(app: Application, query: str = "") -> list[dict[str, Any]]:
    return accepted(app.get(f"/api/v1/forecasts/anomalies/found{query}"), 200)["data"]


def places(rows: Iterable[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {(row["date"], row["dimension"], row["value"]) for row in rows}


def runner(app: Application, settings: Settings | None = None, **more: Any) -> Runner:
    work = jobs.work(settings or Settings(), app.database, app.clock)
    return Runner(app.database, work, app.clock, spawn=lambda run: run(), **more)


def test_a_spike_is_found_with_its_causes_and_told_of_in_the_same_transaction(
    any_app: Application,
) -> None:
    hours(any_app)
    spike(any_app)
    assert look(any_app) == 3
    date = "2026-11-20T08:00:00Z"
    assert places(listed(any_app)) == {
        (date, "total", "all"), (date, "provider", "openai"), (date, "model", "gpt-4o")
    }  # fmt: skip
    told = events(any_app, "cost.anomaly_detected")
    assert places(told) == places(listed(any_app))
    whole = next(each for each in told if each["dimension"] == "total")
    for name in ("actual_cost", "expected_cost", "lower", "upper", "severity", "score"):
        assert whole[name] is not None
    assert whole["actual_cost"] > 60
    assert whole["causes"]["jump"] == whole["actual_cost"] - whole["expected_cost"]
    assert total(whole["causes"]["drivers"]) == whole["causes"]["jump"]
    assert {each["parent_id"] for each in told} == {None, whole["anomaly_id"]}
    stored = accepted(any_app.get(f"/api/v1/forecasts/anomalies/{whole['anomaly_id']}"), 200)
    assert stored["causes"] == whole["causes"]
    path = f"/api/v1/forecasts/anomalies/{whole['anomaly_id']}/causes"
    assert accepted(any_app.get(path), 200) == whole["causes"]


def test_each_is_found_once_however_often_it_is_looked(any_app: Application) -> None:
    hours(any_app)
    spike(any_app)
    now_us = any_app.clock.micros()
    with snapshot(any_app.database) as session:
        organization = get_organization(session, any_app.organization_id)
    assert organization is not None
    judged = partial(watch.judge, any_app.database, organization, watch.Watching(Decimal(1)))
    found = [judged(("hour",), now_us) for _ in range(2)]
    barrier = threading.Barrier(2)
    stored: list[int] = []

    def keep(rows: list[watch.Row]) -> None:
        barrier.wait()
        with write(any_app.database) as session:
            stored.append(watch.keep(session, organization.id, rows, now_us))

    both = [threading.Thread(target=keep, args=(rows,)) for rows in found]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(stored) == [0, 3]
    assert look(any_app) == 0
    assert len(listed(any_app)) == 3
    assert len(events(any_app, "cost.anomaly_detected")) == 3


def test_the_schedule_runs_it_with_two_workers(app: Application, clock: FixedClock) -> None:
    hours(app, 252)
    spike(app)
    both = [runner(app), runner(app)]
    for each in both:
        each.round()  # makes the schedule, whose next hour is 10:07
    for minutes in (38, 1, 60):
        clock.current += timedelta(minutes=minutes)
        clock.elapsed_s += minutes * 60
        for each in both:
            while each.round() == 0.0:
                pass
    assert len(listed(app)) == 3
    assert len(events(app, "cost.anomaly_detected")) == 3


def run_until(app: Application, clock: FixedClock, each: Runner, minutes: int) -> None:
    """Every minute one round, and another for what the first has made."""
    for _ in range(minutes):
        clock.current += timedelta(minutes=1)
        clock.elapsed_s += 60
        while each.round() == 0.0:
            pass


def test_it_can_be_turned_off(app: Application, clock: FixedClock) -> None:
    off = Settings(anomalies=AnomalySettings(watch=False))
    assert jobs.work(off, app.database, clock).schedules == ()


def test_one_organization_is_not_in_the_way_of_another(
    app: Application, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = app.another()
    for each in (app, other):
        hours(each, 252)
        spike(each)
    refused: list[str] = []
    judge = watch.judge

    def judged(database: Any, organization: Any, *more: Any) -> list[watch.Row]:
        if organization.id == app.organization_id:
            refused.append(organization.id)
            raise OverflowError("what no other organization has")
        return judge(database, organization, *more)

    monkeypatch.setattr(watch, "judge", judged)
    run_until(app, clock, runner(app), 45)  # from half past nine until a quarter past ten
    assert refused == [app.organization_id] * jobs.WATCH_ONE.max_attempts
    assert len(listed(other)) == 3
    assert listed(app) == []
    monkeypatch.setattr(watch, "judge", judge)
    run_until(app, clock, runner(app), 60)
    assert len(listed(app)) == 3  # the next hour looks at the same hours again


class Slot:
    job = Job("job-1", None, jobs.WATCH.name, {}, 1, 4, "")


def test_after_days_without_a_worker_they_are_judged_too(
    app: Application, clock: FixedClock
) -> None:
    each = runner(app)
    hours(app, 252)
    run_until(app, clock, each, 45)
    assert listed(app) == []
    clock.current += timedelta(hours=100)
    clock.elapsed_s += 100 * 3600
    hours(app, 101, first=252)
    spike(app, BAD + timedelta(hours=10))
    run_until(app, clock, each, 60)
    assert {row["date"] for row in listed(app, "?interval=hour")} == {"2026-11-20T18:00:00Z"}
    assert len(events(app, "cost.anomaly_detected")) == 3


def test_no_job_is_made_beside_one_that_has_not_ended(app: Application, clock: FixedClock) -> None:
    spread, _ = jobs.work(Settings(), app.database, clock).handlers.values()
    for others in (0, 0, 1):
        if others:
            app.another()
        effect = spread(Slot())  # type: ignore[arg-type]
        assert effect is not None
        with write(app.database) as session:
            effect(session)
    with read(app.database) as session:
        made = select(func.count()).where(tables.kind == jobs.WATCH_ONE.name)
        waiting = session.execute(made.group_by(tables.organization_id)).scalars().all()
    assert waiting == [1, 1]


def test_an_organization_that_is_gone_is_not_watched(app: Application, clock: FixedClock) -> None:
    _, look_at = jobs.work(Settings(), app.database, clock).handlers.values()

    class Gone:
        job = Job(
            "job-1", "org-gone", jobs.WATCH_ONE.name, {"steps": ["hour"], "since_us": 0}, 1, 2, ""
        )

    assert look_at(Gone()) is None  # type: ignore[arg-type]


def test_a_new_model_is_no_alarm_of_its_own(app: Application) -> None:
    hours(app)
    calls = [use(app, BAD - timedelta(hours=n), DOLLAR // 4, model="gpt-4o-mini") for n in range(9)]
    spend(app, *(cost(BAD - timedelta(hours=n), 90, model="brand-new") for n in range(3)))
    record_all(app, calls)
    look(app)
    assert {row["value"] for row in listed(app)} == {"all", "openai"}


def test_small_money_is_no_alarm(app: Application) -> None:
    hours(app, each=DOLLAR // 100)
    record_all(app, [use(app, BAD, DOLLAR // 2)])
    assert look(app, least=1) == 0
    assert look(app, least="0.1") == 3


def test_the_hour_that_is_not_over_is_not_judged(app: Application, clock: FixedClock) -> None:
    hours(app)
    spike(app, datetime(2026, 11, 20, 9, 10, tzinfo=UTC))
    assert look(app) == 0
    clock.current = datetime(2026, 11, 20, 10, 4, 59, tzinfo=UTC)
    assert look(app) == 0
    clock.current += timedelta(seconds=1)
    assert look(app) == 3


def test_late_calls_are_judged_and_old_ones_are_not(app: Application, clock: FixedClock) -> None:
    hours(app)
    assert look(app) == 0
    spike(app, BAD - timedelta(hours=40))
    spike(app, BAD - timedelta(hours=60))
    assert look(app) == 3
    assert {row["date"] for row in listed(app)} == {"2026-11-18T16:00:00Z"}


def test_hours_that_follow_are_one_episode(app: Application) -> None:
    hours(app)
    for back in range(3):
        spike(app, BAD - timedelta(hours=back))
    assert look(app) == 9
    told = events(app, "cost.anomaly_detected")
    assert {row["date"] for row in told} == {"2026-11-20T06:00:00Z"}
    assert len(told) == 3
    first = {row["dimension"]: row["anomaly_id"] for row in told}
    for row in listed(app):
        assert row["episode_id"] == first[row["dimension"]]
    (total_id,) = {row["episode_id"] for row in listed(app) if row["dimension"] == "total"}
    assert len(listed(app, f"?episode_id={total_id}")) == 3


def days(app: Application, now: datetime) -> None:
    first = now - timedelta(days=60)
    spend(
        app,
        *(
            cost(first + timedelta(days=n), Decimal(20) + Decimal(n % 5) / 5, project_id="p")
            for n in range(60)
        ),
    )


def test_days_are_judged_by_project_too(any_app: Application) -> None:
    days(any_app, datetime(2026, 11, 20, 6, tzinfo=UTC))
    spend(any_app, cost(datetime(2026, 11, 18, 5, tzinfo=UTC), 200, project_id="p"))
    assert look(any_app, "day") == 4
    rows = listed(any_app, "?interval=daily&dimension=project_id")
    assert places(rows) == {("2026-11-18", "project_id", "p")}
    assert rows[0]["period_start"] == "2026-11-18T00:00:00Z"
    assert {row["frequency"] for row in listed(any_app)} == {"day"}


def row(frequency: str, day: int, hour: int = 0, **more: Any) -> dict[str, Any]:
    start = int(datetime(2026, 11, day, hour, tzinfo=UTC).timestamp()) * 1_000_000
    width = 3_600_000_000 * (1 if frequency == "hour" else 24)
    return {
        "frequency": frequency, "dimension": "model", "value": "x", "currency": "USD",
        "bucket_start": start, "bucket_end": start + width, "date": f"{day}T{hour}",
        "actual_e10": 50, "expected_e10": 10, "lower_e10": 0, "upper_e10": 20, "score_e4": 90_000,
        "severity": "high", "method": "auto", "found_at": start + width, "causes": None, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("then", "told"),
    [
        (row("day", 18), 0),  # its own day
        (row("day", 19), 1),
        (row("hour", 19, 20), 0),  # a day later
        (row("hour", 19, 21), 1),
        (row("hour", 18, 21, value="y"), 1),
        (row("hour", 18, 21, currency="EUR"), 1),
        (row("hour", 18, 21, actual_e10=1), 1),  # on the other side
    ],
)
def test_what_belongs_to_an_episode(app: Application, then: dict[str, Any], told: int) -> None:
    def kept(each: dict[str, Any]) -> int:
        with write(app.database) as session:
            return watch.keep(session, app.organization_id, [each], app.clock.micros())

    assert kept(row("hour", 18, 20)) == 1
    assert kept(then) == 1
    assert len(events(app, "cost.anomaly_detected")) == 1 + told
    assert kept(then) == 0


def test_a_false_alarm_raises_the_bar_and_a_true_one_lowers_it(
    any_app: Application, clock: FixedClock
) -> None:
    hours(any_app)
    spike(any_app, BAD - timedelta(hours=20), 40)
    assert look(any_app) == 3
    for row in listed(any_app):
        path = f"/forecasts/anomalies/{row['id']}/feedback"
        said = accepted(send(any_app, path, {"is_anomaly": False, "note": "a batch"}), 200)
        assert (said["is_anomaly"], said["note"]) == (False, "a batch")
    assert len(listed(any_app, "?is_anomaly=false")) == 3
    clock.current += timedelta(hours=30)
    hours(any_app, 30, first=250)
    spike(any_app, BAD + timedelta(hours=28), 30)  # less than what was called false
    assert look(any_app) == 0
    whole = listed(any_app, "?dimension=total")[0]
    again = {"feedback": "true"}
    accepted(send(any_app, f"/forecasts/anomalies/{whole['id']}/feedback", again), 200)
    assert look(any_app) == 1
    assert {row["dimension"] for row in listed(any_app, "?start_date=2026-11-21")} == {"total"}


def test_more_than_what_was_called_false_is_flagged(app: Application, clock: FixedClock) -> None:
    hours(app)
    spike(app, BAD - timedelta(hours=20), 40)
    look(app)
    for row in listed(app):
        send(app, f"/forecasts/anomalies/{row['id']}/feedback", {"is_anomaly": False})
    clock.current += timedelta(hours=30)
    hours(app, 30, first=250)
    spike(app, BAD + timedelta(hours=28), 400)
    assert look(app) == 3
    # The range heeds it, too, by the methods that learn.
    asked = {"interval": "hour", "start_date": "2026-11-19"}
    found = accepted(send(app, "/forecasts/anomalies", asked), 200)["data"]
    assert "2026-11-19T12:00:00Z" not in {row["date"] for row in found}


def test_what_was_said_can_be_taken_back(app: Application) -> None:
    hours(app)
    spike(app)
    look(app)
    path = f"/forecasts/anomalies/{listed(app)[0]['id']}/feedback"
    assert accepted(send(app, path, {"is_anomaly": True}), 200)["judged_at"] is not None
    back = accepted(send(app, path, {"is_anomaly": None}), 200)
    assert (back["is_anomaly"], back["judged_at"]) == (None, None)
    for body, field in (
        ({}, "is_anomaly"),
        ({"is_anomaly": "maybe"}, "is_anomaly"),
        ({"is_anomaly": 1}, "is_anomaly"),
        ({"is_anomaly": True, "feedback": True}, "is_anomaly"),
        ({"is_anomaly": True, "note": "x" * 256}, "note"),
        ({"is_anomaly": True, "colour": "red"}, "colour"),
    ):
        answer = send(app, path, body)
        assert answer.status_code == 422, body
        assert field in answer.json()["error"]["field_errors"], body


def test_pages_and_filters_of_the_list(app: Application) -> None:
    hours(app)
    spike(app)
    spike(app, BAD - timedelta(hours=30))
    look(app)
    everything = listed(app)
    assert [row["date"] for row in everything] == sorted(
        (row["date"] for row in everything), reverse=True
    )
    seen: list[str] = []
    cursor = ""
    while True:
        page = accepted(app.get(f"/api/v1/forecasts/anomalies/found?limit=4{cursor}"), 200)
        seen += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [row["id"] for row in everything]
    assert len(listed(app, "?start_date=2026-11-20&dimension=total&value=all&currency=USD")) == 1
    for query, field in (
        ("?interval=century", "interval"),
        ("?is_anomaly=perhaps", "is_anomaly"),
        ("?colour=red", "colour"),
    ):
        answer = app.get(f"/api/v1/forecasts/anomalies/found{query}")
        assert field in answer.json()["error"]["field_errors"]


def test_organizations_are_watched_and_told_apart(any_app: Application) -> None:
    hours(any_app)
    spike(any_app)
    other = any_app.another()
    hours(other)
    assert look(other) == 0
    assert look(any_app) == 3
    assert listed(other) == []
    assert events(other, "cost.anomaly_detected") == []
    anomaly_id = listed(any_app)[0]["id"]
    for answer in (
        other.get(f"/api/v1/forecasts/anomalies/{anomaly_id}"),
        other.get(f"/api/v1/forecasts/anomalies/{anomaly_id}/causes"),
        send(other, f"/forecasts/anomalies/{anomaly_id}/feedback", {"is_anomaly": False}),
    ):
        assert answer.status_code == 404
    with read(any_app.database) as session:
        assert get_organization(session, any_app.organization_id) is not None
    assert listed(any_app, "?is_anomaly=false") == []


@pytest.mark.parametrize("amount", ["-1", "many", "NaN"])
def test_the_least_amount_must_be_one(
    amount: str, sqlite_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llm_cost_ops.server.settings import SettingsError, load_settings

    monkeypatch.setenv("COST_OPS_ANOMALIES_MIN_AMOUNT", amount)
    with pytest.raises(SettingsError, match="a decimal number from 0"):
        load_settings()


def test_causes_where_nothing_like_it_was_spent_before(app: Application) -> None:
    def causes(**more: Any) -> dict[str, Any]:
        with write(app.database) as session:
            made = row("hour", 20, 8, **{"value": "gpt-4o", **more})
            watch.keep(session, app.organization_id, [made], app.clock.micros())
        [kept] = listed(app, f"?dimension={made['dimension']}")
        path = f"/api/v1/forecasts/anomalies/{kept['id']}/causes"
        return accepted(app.get(path), 200)

    spike(app, dollars=7)
    found = causes(expected_e10=2 * 10**10)
    assert (found["jump"], total(found["drivers"])) == (5, 5)
    assert {"name": "other", "amount": -2, "share": Decimal("-0.4")} in found["drivers"]
    whole = causes(expected_e10=0, dimension="total", value="all")
    assert (whole["jump"], total(whole["drivers"])) == (7, 7)


def test_causes_of_very_many_users_leave_users_out(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours(app)
    record_all(app, [use(app, BAD, DOLLAR, user_id=f"u{n}") for n in range(60)])
    look(app)
    whole = listed(app, "?dimension=total")[0]
    monkeypatch.setattr("llm_cost_ops.server.analytics.groups.MAX_GROUPS", 20)
    path = f"/api/v1/forecasts/anomalies/{whole['id']}/causes"
    found = accepted(app.get(path), 200)
    assert total(found["drivers"]) == found["jump"]
    assert [each["name"] for each in found["members"]["user"]] == [None]
    assert [each["name"] for each in found["members"]["model"]] == ["gpt-4o"]


def test_a_price_that_depends_on_the_size_of_a_call_has_exact_parts_too(app: Application) -> None:
    large = {"provider": "google", "model": "gemini-2.5-pro"}
    calls = [use(app, FIRST + timedelta(hours=n), 150_000, **large) for n in range(250)]
    record_all(app, [*calls, *(use(app, BAD, 900_000, **large) for _ in range(20))])
    look(app, least="0.1")
    whole = listed(app, "?dimension=total")[0]
    found = accepted(app.get(f"/api/v1/forecasts/anomalies/{whole['id']}"), 200)["causes"]
    assert total(found["drivers"]) == found["jump"]
    assert next(each for each in found["drivers"] if each["name"] == "price")["amount"] > 0
