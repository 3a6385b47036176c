"""Sums by team: who asks by team is answered from them while their days are what they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from llm_cost_ops.core.instant import to_micros
from llm_cost_ops.core.period import DAY_US, Window
from llm_cost_ops.server.analytics.aggregate import dimensions
from llm_cost_ops.server.analytics.groups import read_groups
from llm_cost_ops.server.analytics.selection import Grouping, Selection
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.session import snapshot, write_retrying
from llm_cost_ops.server.ledger import jobs, teams
from llm_cost_ops.server.ledger.verify import rebuild
from llm_cost_ops.server.queue.runner import Pace, Runner
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from tests.support.application import Application, running
from tests.support.calls import (
    accepted,
    assert_proven,
    body_of,
    count,
    proof,
    put,
    record,
    select_all,
    send,
    set_price,
    tamper,
    usage,
)
from tests.support.factories import sum_by_team

NOW = datetime(2025, 6, 17, 12, 13, tzinfo=UTC)
NOW_US = to_micros(NOW)
UTC_ZONE = ZoneInfo("UTC")
DAYS = (20_253, 20_254, 20_255)  # 2025-06-14 to 2025-06-16
MORE = "UPDATE rollup_teams SET cost_whole = cost_whole + 1000 WHERE team_id = 'a'"
TEAMS = {"a": "0.006", "b": "0.012"}


class House:
    """An app with calls of two teams on each of four days, and its worker."""

    def __init__(self, app: Application, clock: FixedClock) -> None:
        self.app, self.clock = app, clock
        self.price = set_price(app)
        self.calls = [
            usage(f"{team}{day}", team_id=team, prompt_tokens=tokens, completion_tokens=0,
                  timestamp=f"2025-06-{day}T10:00:00Z")
            for day in range(14, 18) for team, tokens in (("a", 1_000), ("b", 2_000))
        ]  # fmt: skip
        self.ids = [each["id"] for each in record(app, *self.calls)["results"]]
        self.runner = Runner(
            app.database, jobs.work(app.database, clock), clock, pace=Pace(concurrency=1),
            spawn=lambda run: run(), sleep=lambda _: None, jitter=lambda: 0.0,
        )  # fmt: skip
        self.rounds()  # plans when it will look next

    def rounds(self) -> None:
        while self.runner.round() == 0:
            pass

    def work(self, **later: float) -> None:
        """Do what an hour later is due."""
        passed = timedelta(**(later or {"hours": 1}))
        self.clock.current += passed
        self.clock.elapsed_s += passed.total_seconds()
        self.rounds()

    def known(self) -> tuple[int, ...]:
        with snapshot(self.app.database) as session:
            return tuple(teams.known_days(session, self.app.organization_id))

    def costs(self, by: str = "team_id", **more: str) -> dict[Any, Any]:
        period = {"start_date": "2025-06-14", "end_date": "2025-06-16", "group_by": by, **more}
        rows = body_of(self.app.get("/api/v1/costs/aggregate", params=period))["data"]
        return {row[by]: str(row["total_cost"]) for row in rows}


@pytest.fixture
def house(database_settings: DatabaseSettings) -> Iterator[House]:
    clock = FixedClock(NOW)
    with running(Settings(database=database_settings), clock=clock) as app:
        yield House(app, clock)


@pytest.fixture
def quick(sqlite_settings: DatabaseSettings) -> Iterator[House]:
    clock = FixedClock(NOW)
    with running(Settings(database=sqlite_settings), clock=clock) as app:
        yield House(app, clock)


def test_days_that_are_over_are_summed_each_hour(house: House) -> None:
    assert house.known() == ()
    house.work()
    assert house.known() == DAYS
    assert count(house.app, "rollup_teams") == 6
    assert house.costs() == TEAMS
    assert_proven(house.app)
    house.work(hours=24)
    assert house.known() == (*DAYS, DAYS[-1] + 1)


def test_who_asks_by_team_is_answered_from_them(house: House) -> None:
    """Told by sums that are wrong, which `verify` finds and `rebuild` removes."""
    house.work()
    tamper(house.app, MORE)
    assert house.costs()["a"] == "3000.006"
    assert house.costs("project_id", team_id="a") == {None: "3000.006"}
    whole = {"start_date": "2025-06-14T06:00:00Z", "end_date": "2025-06-16T12:00:00Z"}
    assert house.costs(**whole)["a"] == "1000.006", "the days at both ends are cut"
    assert house.costs("user_id")[None] == "0.018"
    assert house.costs("provider") == {"openai": "0.018"}
    found = proof(house.app).first_difference
    assert found is not None
    assert (found.rollup, found.key["team_id"]) == ("rollup_teams", "a")
    write_retrying(house.app.database, lambda session: rebuild(session, house.app.organization_id))
    assert (count(house.app, "rollup_teams"), count(house.app, "team_days")) == (0, 0)
    assert house.costs() == TEAMS
    house.work()
    assert house.known() == DAYS
    assert_proven(house.app)


def late(house: House) -> None:
    record(house.app, usage("late", team_id="a", timestamp="2025-06-15T23:59:59Z",
                            prompt_tokens=1_000, completion_tokens=0))  # fmt: skip


def late_and_free(house: House) -> None:
    body = {"model": "gpt-4o", "provider": "openai", "cost": "0", "requests": 0, "tokens_used": 1,
            "team_id": "b", "timestamp": "2025-06-15T12:00:00Z"}  # fmt: skip
    accepted(send(house.app, "/costs", body), 201)


def moved(house: House) -> None:
    """Taken back, and sent again for the other team: all sums of the day are the same."""
    assert house.app.delete(f"/api/v1/costs/{house.ids[2]}").status_code == 204
    record(house.app, {**house.calls[2], "event_id": "again", "team_id": "b"})


def rerated(house: House) -> None:
    accepted(put(house.app, f"/pricing/{house.price['id']}", {"input_price_per_million": 4}), 200)
    day = {"start_date": "2025-06-15", "end_date": "2025-06-15", "dry_run": False}
    accepted(send(house.app, "/pricing/rerate", day))


def uncounted(house: House, *calls: tuple[str, str, str]) -> None:
    """Calls of an import that count no request, by team, cost and cost before discounts."""
    name = accepted(send(house.app, "/imports", {}), 201)["id"]
    body = [
        {"model": "gpt-4o", "provider": "openai", "cost": cost, "list_cost": listed, "requests": 0,
         "tokens_used": 0, "team_id": team, "timestamp": "2025-06-15T12:00:00Z"}
        for team, cost, listed in calls
    ]  # fmt: skip
    accepted(send(house.app, f"/costs/bulk?import_id={name}", body), 200, 201, 207)


def credited(house: House) -> None:
    """What a negative cost takes away, another call adds for another team."""
    uncounted(house, ("a", "-0.001", "-0.001"), ("b", "0.001", "0.001"))


def discounted(house: House) -> None:
    uncounted(house, ("a", "0", "-1"), ("b", "0", "1"))


def free(house: House) -> None:
    """It adds to no sum and is the smallest cost of its team all the same."""
    uncounted(house, ("b", "0", "0"))


CHANGES: list[tuple[Callable[[House], None], dict[str, str]]] = [
    (late, {"a": "0.008", "b": "0.012"}),
    (late_and_free, TEAMS),
    (moved, {"a": "0.004", "b": "0.014"}),
    (rerated, {"a": "0.008", "b": "0.016"}),
    (credited, {"a": "0.005", "b": "0.013"}),
    (discounted, TEAMS),
    (free, TEAMS),
]


@pytest.mark.parametrize(("change", "costs"), CHANGES)
def test_a_day_that_changed_is_read_from_its_calls(
    house: House, change: Callable[[House], None], costs: dict[str, str]
) -> None:
    house.work()
    change(house)
    assert house.known() == (DAYS[0], DAYS[2])
    assert house.costs() == costs
    assert_proven(house.app)
    house.work()
    assert house.known() == DAYS
    assert house.costs() == costs
    assert_proven(house.app)


def test_only_what_changed_is_summed_again(quick: House) -> None:
    app = quick.app

    def made() -> list[int]:
        return [*sum_by_team(app.database, app.organization_id, DAYS[-1] + 1)]

    assert made() == [*DAYS]
    assert made() == []
    late(quick)
    assert made() == [DAYS[1]]


@pytest.mark.parametrize(
    ("limits", "grain"),
    [
        ({"MOST_LINES": 3}, "team"),
        ({"MOST_LINES": 1}, "none"),
        ({"FEW_LINES": 2}, "team"),
        ({"FEW_LINES": 1}, "none"),
    ],
)
def test_a_day_of_too_many_groups_is_summed_less_finely(
    quick: House, limits: dict[str, int], grain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(teams, name, value)
    for n, team in enumerate("abab"):
        record(quick.app, {**quick.calls[0], "event_id": f"p{n}", "team_id": team,
                           "project_id": f"p{n}"})  # fmt: skip
    quick.work()
    with snapshot(quick.app.database) as session:
        own = (quick.app.organization_id, (DAYS[0], DAYS[0] + 1))
        assert teams.known_days(session, *own) == ({} if grain == "none" else {DAYS[0]: grain})
        assert teams.known_days(session, *own, ("project",)) == {}
    assert select_all(quick.app, "SELECT grain FROM team_days ORDER BY day")[0] == (grain,)
    tamper(quick.app, MORE)
    day = {"start_date": "2025-06-14", "end_date": "2025-06-14"}
    by_project = {None: "0.002", "p0": "0.002", "p2": "0.002"}
    assert quick.costs("project_id", team_id="a", **day) == by_project
    tampered = quick.costs(**day)
    assert tampered == {"a": "0.006" if grain == "none" else "1000.006", "b": "0.008"}
    tamper(quick.app, MORE.replace("+", "-"))
    assert_proven(quick.app)
    assert quick.costs(**day) == {"a": "0.006", "b": "0.008"}


def test_sums_that_became_too_many_are_no_sums(
    quick: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another release may have it: `verify` says that they are not what would be made."""
    quick.work()
    monkeypatch.setattr(teams, "MOST_LINES", 1)
    found = proof(quick.app).first_difference
    assert found is not None
    assert (found.rollup, found.ledger) == ("rollup_teams", None)


def test_a_corrected_call_without_a_request_keeps_its_extremes(house: House) -> None:
    """As in a cost report that is imported again when it has grown."""
    name = accepted(send(house.app, "/imports", {}), 201)["id"]
    for cost in ("5", "7"):
        call = {"model": "gpt-4o", "provider": "openai", "cost": cost, "requests": 0,
                "tokens_used": 0, "event_id": "grows", "team_id": "a",
                "timestamp": "2025-06-15T12:00:00Z"}  # fmt: skip
        path = f"/costs/bulk?import_id={name}&correct=true"
        accepted(send(house.app, path, [call]), 200, 201, 207)
    assert_proven(house.app)
    house.work()
    assert_proven(house.app)
    asked = {"start_date": "2025-06-15", "end_date": "2025-06-15", "metrics": "max"}
    for by in ("team_id", "model", "user_id"):
        found = house.app.get("/api/v1/costs/aggregate", params={**asked, "group_by": by})
        assert body_of(found)["data"][0]["max"] == 7


def test_an_answer_does_not_depend_on_the_worker(house: House) -> None:
    record(house.app, usage("u", team_id="a", model="own", provider="custom",
                            timestamp="2025-06-15T12:00:00Z"))  # fmt: skip
    asked = {"start_date": "2025-06-14", "end_date": "2025-06-16", "group_by": "team_id,provider",
             "metrics": "cost_per_1k_tokens,min,max,list_cost"}  # fmt: skip
    selection = Selection(house.app.organization_id, Window(DAYS[0] * DAY_US, NOW_US), UTC_ZONE)

    def answers() -> object:
        with snapshot(house.app.database) as session:
            groups = read_groups(session, selection, Grouping(dimensions(["team_id"]), {}))
        shown = body_of(house.app.get("/api/v1/costs/aggregate", params=asked))["data"]
        return groups, shown

    before = answers()
    house.work()
    assert house.known() == DAYS
    assert answers() == before


def test_a_stopping_worker_goes_on_later(quick: House, monkeypatch: pytest.MonkeyPatch) -> None:
    stopping = iter([False, True])
    with monkeypatch.context() as patch:
        patch.setattr(Runner, "stopping", property(lambda _: next(stopping, False)))
        quick.clock.current += timedelta(hours=1)
        quick.clock.elapsed_s += 3_600
        assert quick.runner.round() == 0
        assert quick.runner.round() == 0
    known = quick.known()
    assert len(known) < len(DAYS)
    quick.work()
    assert quick.known() == DAYS


def test_no_second_job_while_one_is_under_way(quick: House) -> None:
    for _ in range(2):
        write_retrying(
            quick.app.database, lambda session: jobs._spread(session, quick.clock.micros())
        )
    assert count(quick.app, "jobs", "kind = :kind", kind=jobs.SUM_ONE.name) == 1
