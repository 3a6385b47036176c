"""Summaries, breakdowns, analytics and queries with operators."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.server.analytics.reading import API, ask, post, refusal
from tests.support.application import Application
from tests.support.factories import make_call, record_calls

CALLS: list[dict[str, Any]] = [
    {"at": "2025-03-10T08:00:00Z", "cost": "1", "model_name": "a", "input_tokens": 10,
     "user_id": "u1", "project_id": "p1"},
    {"at": "2025-03-10T09:00:00Z", "cost": "2", "model_name": "b", "output_tokens": 20,
     "user_id": "u2", "reasoning_tokens": 5},
    {"at": "2025-03-12T09:00:00Z", "cost": "5", "model_name": "b", "cached_tokens": 4,
     "input_tokens": 4, "user_id": "u1"},
    {"at": "2025-03-12T10:00:00Z", "cost": None, "model_name": "c", "user_id": "u2"},
    {"at": "2025-02-01T10:00:00Z", "cost": "100", "model_name": "a", "user_id": "u3",
     "usage": {"input_tokens": 3, "input_audio_tokens": 3}, "input_tokens": 3},
]  # fmt: skip


def record(application: Application) -> list[str]:
    """The calls; the app's clock says 12 March 2025, 15:30 UTC."""
    made = [make_call(organization_id=application.organization_id, **call) for call in CALLS]
    return record_calls(application.database, made)


def test_the_summary_of_a_named_period(application: Application) -> None:
    record(application)
    found = ask(application, "/costs/summary", period="this-month")
    assert {name: found[name] for name in list(found)[:9]} == {
        "total_cost": 8, "list_cost": 8, "total_requests": 4,
        "avg_cost_per_request": Decimal("2.6666666667"),
        "average_cost_per_request": Decimal("2.6666666667"), "total_tokens": 34,
        "tokens": {"input_tokens": 14, "output_tokens": 20, "cache_read_tokens": 4,
                   "output_reasoning_tokens": 5},
        "unpriced_count": 1, "partially_priced_count": 0,
    }  # fmt: skip
    assert (found["currency"], found["period"], found["timezone"]) == ("USD", "this-month", "UTC")
    assert (found["start_date"], found["end_date"]) == (
        "2025-03-01T00:00:00Z",
        "2025-04-01T00:00:00Z",
    )
    models = [(row["model"], row["total_cost"], row["requests"]) for row in found["top_models"]]
    assert models == [("b", 7, 2), ("a", 1, 1), ("c", None, 1)]
    trend = {row["date"]: (row["total_cost"], row["requests"]) for row in found["daily_trend"]}
    assert list(trend) == [f"2025-03-{day:02d}" for day in range(1, 13)]  # up to today
    assert trend["2025-03-10"] == (3, 2)
    assert trend["2025-03-11"] == (0, 0)
    assert trend["2025-03-12"] == (5, 2)


def test_the_summary_of_everything_and_of_a_filter(application: Application) -> None:
    record(application)
    everything = ask(application, "/costs/summary")
    assert (everything["total_cost"], everything["start_date"]) == (108, None)
    assert everything["tokens"]["input_tokens"] == 17
    kinds = ask(application, "/costs/summary", metrics="tokens")["tokens"]
    assert kinds == {
        "cache_read_tokens": 4, "input_audio_tokens": 3, "input_tokens": 17,
        "output_reasoning_tokens": 5, "output_tokens": 20,
    }  # fmt: skip
    mine = ask(application, "/costs/summary", user_id="u1", days=30)
    assert (mine["total_cost"], mine["total_requests"]) == (6, 2)
    assert ask(application, "/analytics/summary", user_id="u1", days=30) == mine
    assert list(refusal(application, "/costs/summary", period="sometime")[1]) == ["period"]


def test_days_of_the_summary_are_those_of_the_time_zone(application: Application) -> None:
    record(application)
    found = ask(application, "/costs/summary", days=3, timezone="America/Los_Angeles")
    assert [(row["date"], row["total_cost"]) for row in found["daily_trend"]] == [
        ("2025-03-10", 3),
        ("2025-03-11", 0),
        ("2025-03-12", 5),
    ]
    for zone, total in (("Pacific/Kiritimati", 3), ("Pacific/Pago_Pago", 0)):
        tenth = ask(
            application, "/costs/summary", start_date="2025-03-10", end_date="2025-03-10",
            timezone=zone,
        )  # fmt: skip
        assert tenth["total_cost"] == total


def test_costs_with_groups_are_a_summary_with_a_breakdown(application: Application) -> None:
    record(application)
    found = ask(application, "/costs", group_by="model", period="this-month")
    assert found["total_cost"] == 8
    rows = [
        (row["dimension"], row["value"], row["cost"], row["tokens"], row["requests"])
        for row in found["breakdown"]
    ]
    assert rows == [("model", "a", 1, 10, 1), ("model", "b", 7, 24, 2), ("model", "c", None, 0, 1)]
    assert ask(application, "/costs", group_by="none")["breakdown"] == []
    by_two = ask(application, "/costs", group_by="model,day", limit=1)["breakdown"]
    assert [(row["dimension"], row["value"]) for row in by_two] == [("model,day", "a,2025-02-01")]


def test_breakdowns_by_each_dimension(application: Application) -> None:
    record(application)
    asked = {"dimensions": ["model", "user_id"], "metrics": ["p50"], "start_date": "2025-03-01"}
    found = post(application, "/costs/breakdown", asked)
    rows = [(r["dimension"], r["value"], r["total_cost"], r["share"]) for r in found["data"]]
    assert rows == [
        ("model", "b", 7, Decimal("0.875")),
        ("model", "a", 1, Decimal("0.125")),
        ("model", "c", None, None),
        ("user_id", "u1", 6, Decimal("0.75")),
        ("user_id", "u2", 2, Decimal("0.25")),
    ]
    assert found["data"][0]["p50"] == 2
    in_url = ask(
        application, "/costs/breakdown", dimensions="model,user_id", metrics="p50",
        start_date="2025-03-01",
    )  # fmt: skip
    assert in_url == found
    assert list(refusal(application, "/costs/breakdown")[1]) == ["dimensions"]


def test_analytics_per_interval(application: Application) -> None:
    record(application)
    found = ask(
        application, "/analytics", interval="day", group_by="model", period="this-month",
        metrics="total_cost,average_cost_per_request,average_tokens_per_request",
    )  # fmt: skip
    rows = [
        (row["period"], row["day"], row["model"], row["total_cost"],
         row["average_tokens_per_request"])
        for row in found["data"]
    ]  # fmt: skip
    assert rows == [
        ("2025-03-10", "2025-03-10", "a", 1, 10),
        ("2025-03-10", "2025-03-10", "b", 2, 20),
        ("2025-03-12", "2025-03-12", "b", 5, 4),
        ("2025-03-12", "2025-03-12", "c", None, 0),
    ]
    assert found["interval"] == "day"
    whole = ask(application, "/analytics", metrics="total_cost,p50", period="this-month")
    assert (whole["total_cost"], whole["total_requests"], whole["p50"]) == (8, 4, 2)
    by_organization = ask(application, "/analytics", group_by="organization")["data"]
    assert [row["organization"] for row in by_organization] == [application.organization_id]
    assert list(refusal(application, "/analytics", interval="minute")[1]) == ["interval"]


def test_queries_with_operators(application: Application) -> None:
    ids = record(application)

    def found(filters: Any, **more: Any) -> list[str]:
        rows = post(application, "/costs/query", {"filters": filters, **more})["data"]
        return [row["id"] for row in rows]

    assert found({"cost": {"gte": 2, "lt": 100}}) == [ids[1], ids[2]]
    assert found({"model": {"in": ["a", "c"]}, "user_id": {"ne": "u3"}}) == [ids[0], ids[3]]
    assert found([{"field": "model", "operator": "nin", "values": ["a", "b"]}]) == [ids[3]]
    assert found([{"field": "user_id", "op": "contains", "value": "3"}]) == [ids[4]]
    assert found({"project_id": {"exists": True}}) == [ids[0]]
    assert found({"timestamp": {"gt": "2025-03-12T09:00:00Z"}}) == [ids[3]]
    assert found({"user_id": "u1"}, order_by=["-cost"], limit=1) == [ids[2]]
    assert found({"tags": {"contains": "x"}}) == []
    assert found({}, model="c", start_date="2025-03-01") == [ids[3]]
    grouped = post(
        application,
        "/costs/query",
        {"filters": {"cost": {"gt": 0}}, "group_by": ["user_id"], "metrics": ["sum"],
         "order_by": ["-sum"], "limit": 2},
    )  # fmt: skip
    assert [(row["user_id"], row["sum"]) for row in grouped["data"]] == [("u3", 100), ("u1", 6)]
    assert grouped["has_more"] is True
    many = post(application, "/costs/query", {"filters": {"id": {"in": ids}}, "limit": 2})
    rest = post(
        application,
        "/costs/query",
        {"filters": {"id": {"in": ids}}, "limit": 2, "cursor": many["next_cursor"]},
    )
    assert [row["id"] for row in (*many["data"], *rest["data"])] == [ids[4], *ids[:3]]


def test_several_queries_at_once(application: Application) -> None:
    record(application)
    queries = [{"user_id": "u1", "days": 30}, {"user_id": "u2", "days": 30}, {"group_by": "model"}]
    found = post(application, "/costs/query", {"queries": queries})["data"]
    assert [answer["query"] for answer in found] == queries
    assert [answer["total_cost"] for answer in found[:2]] == [6, 2]
    assert [row["model"] for row in found[2]["data"]] == ["a", "b", "c"]


def test_wrong_queries_are_refused_by_name(sqlite_application: Application) -> None:
    wrong: list[tuple[Any, str]] = [
        ({"filters": {"nonsense": 1}}, "nonsense"),
        ({"filters": {"cost": {"about": 1}}}, "cost"),
        ({"filters": {"cost": {"contains": "1"}}}, "cost"),
        ({"filters": {"model": {"gt": "a"}}}, "model"),
        ({"filters": {"model": {"exists": "yes"}}}, "model"),
        ({"filters": {"model": []}}, "model"),
        ({"filters": {"model": {"in": "a"}}}, "model"),
        ({"filters": {"total_tokens": {"gt": True}}}, "total_tokens"),
        ({"filters": [{"field": "nonsense", "value": 1}]}, "filters"),
        ({"filters": "model"}, "filters"),
        ({"nonsense": 1}, "nonsense"),
        ({"limit": [1]}, "limit"),
        ({"group_by": [1]}, "group_by"),
        ({"queries": []}, "queries"),
        ({"queries": [{}] * 101}, "queries"),
        ({"queries": [{}], "model": "a"}, "queries"),
        ({"queries": ["x"]}, "queries.0"),
    ]
    for body, field in wrong:
        answer = sqlite_application.post(f"{API}/costs/query", json=body)
        assert answer.status_code == 422, (body, answer.text)
        assert list(answer.json()["error"]["field_errors"]) == [field], body
    for text in (b"[]", b"", b"{", b'{"a":1,"a":2}', b"nul"):
        answer = sqlite_application.post(f"{API}/costs/query", content=text)
        assert answer.status_code == 400, text
