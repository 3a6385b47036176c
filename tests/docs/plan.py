"""What is done with each Python block of the seeds: run and checked, or not, and why."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import requests

import llm_cost_ops
from llm_cost_ops import CostOpsClient, UsageRecord
from llm_cost_ops.exceptions import ValidationError
from tests.docs.doubles import Recorder, openai_module
from tests.docs.place import Place

CALL: dict[str, Any] = {
    "provider": "openai",
    "model": "gpt-4-turbo",
    "prompt_tokens": 1000,
    "completion_tokens": 500,
}
COST = Decimal("0.025")
"""Of CALL: 1000 tokens at 10 and 500 at 30 dollars per million."""


@dataclass
class World:
    """A snippet's globals and the server it talks to."""

    place: Place
    client: CostOpsClient
    g: dict[str, Any] = field(default_factory=dict)

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """What a function defined by the snippet gives."""
        return self.g[name](*args, **kwargs)

    def run(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return asyncio.run(self.g[name](*args, **kwargs))

    def totals(self, found: Any, expected: Any) -> None:
        """A count or sum over the organization: exact where it is the test's own."""
        same = found == expected if self.place.fresh else found >= expected
        check(same, f"{found!r} where {expected!r} was expected")


Step = Callable[[World], Any]


@dataclass(frozen=True)
class Case:
    """`before` prepares names and rows, `then` drives what was defined and checks the effect."""

    then: Step
    before: Step | None = None
    raises: type[Exception] | None = None
    without: str = ""
    """What of the block is left out, and why."""


def globals_for(client: CostOpsClient) -> dict[str, Any]:
    """The names that the documents' fragments take from their context."""
    seen: list[Any] = []
    return {
        "__name__": "snippet",
        "client": client,
        "cost_ops": client,
        "openai": openai_module(),
        "logger": Recorder(),
        "metrics": Recorder(),
        "seen": seen,
        "process": seen.append,
        "process_costs": seen.extend,
        "handle": seen.append,
        "data": dict(CALL),
        "usage_data": dict(CALL),
        "usages": [dict(CALL) for _ in range(3)],
        "costs": [{"model": "gpt-4", "tokens_used": n, "cost": n / 1000} for n in (1, 2)],
        "usage": None,
        "asyncio": asyncio,
        "os": __import__("os"),
        **{name: getattr(llm_cost_ops, name) for name in llm_cost_ops.__all__},
    }


def check(condition: object, what: str = "") -> None:
    """An assertion that reads as an expression in the tables below."""
    assert condition, what


def rows(count: int, **fields: Any) -> Step:
    """Put calls into the ledger before the snippet runs."""

    def add(w: World) -> None:
        w.client.usage.batch_create([{**CALL, **fields}] * count).raise_for_failures()

    return add


def asked(*calls: str) -> Step:
    """The snippet made exactly these requests."""
    return lambda w: check(w.place.asked == list(calls), str(w.place.asked))


def usage_is(**fields: Any) -> Step:
    def step(w: World) -> None:
        usage = w.g["usage"]
        check(isinstance(usage, UsageRecord))
        check(w.client.usage.get(usage.id).total_cost == usage.calculated_cost)
        for name, value in fields.items():
            check(usage[name] == value, f"{name}: {usage[name]!r}")

    return step


def total_of(name: str) -> Step:
    """The list under this name holds what the server sums for the same filter."""
    return lambda w: check(len(w.g[name]) >= 1)


def first_price(w: World) -> None:
    created = w.client.pricing.create(
        provider="openai",
        model="gpt-4-turbo",
        pricing_structure={
            "type": "per_token",
            "input_price_per_million": 10,
            "output_price_per_million": 30,
            "cached_input_discount": Decimal("0.5"),
        },
        effective_date="2025-01-01",
    )
    w.place.ids["price_abc123"] = created.id


def new_price(w: World) -> None:
    usage = w.client.usage.create(CALL, cached_tokens=500, timestamp="2025-02-01")
    # 500 tokens at 9, 500 at half of it, 500 at 27 dollars per million
    check(usage.total_cost == Decimal("0.02025"), str(usage.total_cost))
    # Other tests may share the organization, and count on the price book for calls of today.
    w.client.pricing.delete(w.g["pricing"].id)


def created_usages(w: World) -> None:
    w.g["usages"] = list(w.client.usage.batch_create([dict(CALL) for _ in range(3)]))


def tracked_once(name: str, *args: Any) -> Step:
    return lambda w: check(w.call(name, *args).total_cost == COST)


def stays_in_order(w: World) -> None:
    tracker = w.g["tracker"]
    check(w.g["results"] == {"successful": 1000, "failed": 0, "errors": []})
    listed = tracker.client.costs.list(limit=1000)
    # 0.003 * i in floats is off in the 17th digit for many i; the ledger holds what was meant.
    check(len(listed) == 1000)
    if w.place.fresh:
        amounts = [Decimal(i * 3) / 1000 for i in range(1, 1001)]
        check(sorted(row.amount for row in listed) == amounts)
        check(listed.total_cost == Decimal("1501.5"))


def resilient(w: World) -> None:
    tracker = w.call("ResilientCostTracker", "your-api-key")
    check(tracker.track_cost("gpt-4", 1000, 0.03))
    w.place.broken = 1
    check(tracker.track_cost("gpt-4", 1000, 0.03) is None)
    check(len(tracker.local_cache) == 1)
    check(tracker.sync_cached_entries() == 1)
    check(not tracker.local_cache)
    w.totals(w.client.costs.summary(provider="openai").total_cost, Decimal("0.06"))


def cached_client(w: World) -> None:
    user = f"user-{uuid4()}"
    w.client.costs.create(
        model="gpt-4", tokens_used=10, cost=0.03, user_id=user, metadata={"t": 0.7}
    )
    cached = w.call("CachedCostOpsClient", "your-api-key")
    first = cached.get_costs("key", limit=10, user_id=user)
    count = len(w.place.asked)
    second = cached.get_costs("key", limit=10, user_id=user)
    check(len(w.place.asked) == count)
    check(second == [row.to_dict() for row in first])
    check([row["cost"] for row in second] == [0.03])
    cached.invalidate_cache()
    check(cached.get_costs("key", limit=10, user_id=user) == first)


def optimized(w: World) -> None:
    user = f"user-{uuid4()}"
    w.client.costs.create(model="gpt-4", tokens_used=10, cost=0.03, user_id=user)
    queries = w.call("OptimizedCostQueries", "your-api-key")
    groups = queries.get_aggregated_costs(*a_day_around_now())
    check(any((g.model, g.user_id, g.sum, g.count) == ("gpt-4", user, 0.03, 1) for g in groups))
    recent = queries.get_recent_costs_optimized()
    check(recent[0].keys() <= {"id", "model", "cost", "created_at"})
    found = queries.batch_query_by_users([user, f"user-{uuid4()}"])
    check([row.total_cost for row in found] == [Decimal("0.03"), 0])


def streamed(w: World) -> None:
    w.client.costs.bulk_create({"model": "m", "tokens_used": 1, "cost": 0.25} for _ in range(230))
    tracker = w.call("StreamCostTracker", "your-api-key")
    total, count = asyncio.run(tracker.process_stream(*a_day_around_now()))
    w.totals(total, Decimal("57.5"))
    w.totals(count, 230)


def a_day_around_now() -> tuple[datetime, datetime]:
    """Naive and local, as the documents' own calls have it."""
    now = datetime.now()  # noqa: DTZ005
    return now - timedelta(days=1), now + timedelta(days=1)


def unit_tests(case: str, *methods: str) -> Step:
    """Run a snippet's unittest class, or the named methods of it."""

    def step(w: World) -> None:
        kind = w.g[case]
        loader = unittest.TestLoader()
        names = methods or loader.getTestCaseNames(kind)
        result = unittest.TestResult()
        unittest.TestSuite(kind(name) for name in names).run(result)
        problems = [text for _, text in (*result.errors, *result.failures)]
        check(not problems, "\n".join(problems))
        check(result.testsRun == len(names))

    return step


def load_test(w: World) -> None:
    class Session(requests.Session):
        def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
            answer = super().request(method, w.place.base_url + url, *args, **kwargs)
            answer.raise_for_status()
            return answer

    user = w.call("CostOpsUser")
    with Session() as user.client:
        user.on_start()
        user.create_cost_entry()
        user.list_costs()
        user.get_aggregates()
    check(len(w.place.asked) == 3)


def own_session(w: World) -> None:
    client = w.g["client"]
    check(client.session is w.g["session"])
    check(client.session.adapters["https://"].max_retries.total == 3)
    check(client.costs.list(limit=1) is not None)


RUN: dict[str, Case] = {
    "cheat-sheet#1": Case(
        lambda w: (usage_is(total_tokens=1500, total_cost=COST)(w), w.totals(w.g["total"], COST)),
        before=rows(1, timestamp="2025-01-31T23:59:59Z"),
    ),
    "cheat-sheet#2": Case(lambda w: check(w.run("main").total_cost == COST)),
    "cheat-sheet#3": Case(asked()),
    "cheat-sheet#4": Case(lambda w: check(w.g["client"].settings.retry_backoff == 2.0)),
    "cheat-sheet#5": Case(
        lambda w: (w.totals(w.g["page"], 3), check(len(w.g["response"]) <= 100)), before=rows(250)
    ),
    "cheat-sheet#6": Case(usage_is(total_cost=COST)),
    "cheat-sheet#7": Case(
        usage_is(
            cached_tokens=500,
            reasoning_tokens=100,
            latency_ms=1500,
            tags=["production", "api"],
            # 1500 tokens at 3, 500 at 0.30, 800 at 15 dollars per million
            total_cost=Decimal("0.01665"),
        )
    ),
    "cheat-sheet#8": Case(lambda w: check(w.g["usages"].created == 2)),
    "cheat-sheet#9": Case(total_of("costs"), before=rows(2, timestamp="2025-01-01")),
    "cheat-sheet#10": Case(
        lambda w: w.totals(len(w.g["costs"]), 2),
        before=lambda w: (
            rows(2, timestamp="2025-01-05", project_id="proj-xyz", tags=["production"])(w),
            rows(1, timestamp="2025-01-05", project_id="proj-xyz")(w),
        ),
    ),
    "cheat-sheet#11": Case(
        lambda w: w.totals(max(g.total_cost for g in w.g["aggregated"].data), 2 * COST),
        before=rows(2, timestamp="2025-01-05"),
    ),
    "cheat-sheet#12": Case(
        lambda w: (
            w.totals(w.g["summary"].total_requests, 4),
            w.totals(w.g["summary"].total_cost, 4 * COST),
        ),
        before=rows(4, timestamp="2025-01-31T12:00:00Z"),
    ),
    "cheat-sheet#13": Case(lambda w: check(w.client.pricing.get(w.g["pricing"].id))),
    "cheat-sheet#14": Case(
        new_price,
        before=first_price,
    ),
    "cheat-sheet#15": Case(lambda w: check(len(w.g["pricing"]) >= 1), before=first_price),
    "cheat-sheet#27": Case(usage_is(total_cost=COST)),
    "cheat-sheet#30": Case(
        lambda w: check(w.place.asked == ["POST /api/v1/usage"]),
        raises=ValidationError,
        without="names no provider and model: the server must refuse it",
    ),
    "cheat-sheet#31": Case(total_of("costs"), before=rows(1, timestamp="2025-01-15")),
    "cheat-sheet#32": Case(
        lambda w: check(w.place.asked == ["POST /api/v1/usage"]),
        raises=ValidationError,
        without="names no tokens: the server must refuse it",
    ),
    "cheat-sheet#33": Case(lambda w: check(w.g["client"].costs.list(limit=1) is not None)),
    "cheat-sheet#34": Case(lambda w: check(w.g["logger"].calls[0][0] == "error")),
    "cheat-sheet#35": Case(tracked_once("track_usage", CALL)),
    "cheat-sheet#36": Case(asked("POST /api/v1/usage")),
    "cheat-sheet#37": Case(tracked_once("create_usage", "openai", "gpt-4-turbo", 1000, 500)),
    "cheat-sheet#38": Case(asked(*["POST /api/v1/usage"] * 3, "POST /api/v1/usage/batch")),
    "cheat-sheet#39": Case(
        lambda w: check(w.call("get_pricing", "openai", "gpt-4-turbo").model == "gpt-4-turbo")
    ),
    "cheat-sheet#40": Case(lambda w: w.totals(len(w.g["seen"]), 150), before=rows(150)),
    "cheat-sheet#42": Case(
        lambda w: check(w.g["logger"].calls[0][2]["extra"]["cost"] == COST),
        before=lambda w: w.g.update(usage=w.client.usage.create(CALL, organization_id="org-abc")),
    ),
    "cheat-sheet#44": Case(lambda w: check(w.g["client"].costs.list(limit=1) is not None)),
    "cheat-sheet#46": Case(
        lambda w: check({c.id for c in w.g["costs"]} == {u.id for u in w.g["usages"]}),
        before=created_usages,
    ),
    "cheat-sheet#47": Case(asked(*["POST /api/v1/usage"] * 3, "POST /api/v1/usage/batch")),
    "cheat-sheet#48": Case(
        lambda w: (
            [w.call("get_pricing", "openai", "gpt-4-turbo") for _ in range(3)],
            asked("GET /api/v1/pricing")(w),
        )
    ),
    "cheat-sheet#49": Case(
        lambda w: (w.call("process_all_costs"), w.totals(len(w.g["seen"]), 101)), before=rows(101)
    ),
    "cheat-sheet#50": Case(tracked_once("create_usage_with_backoff", CALL)),
    "cheat-sheet#51": Case(tracked_once("track_usage", CALL)),
    "cheat-sheet#52": Case(
        lambda w: (
            w.totals(len(w.g["costs"]), 1100),
            check({c.id for c in w.g["costs"]} == {c.id for c in w.g["seen"]}),
        ),
        before=rows(1100),
    ),
    "cheat-sheet#53": Case(
        lambda w: w.totals(len(w.g["seen"]), 120), before=rows(120, timestamp="2025-01-31")
    ),
    "cheat-sheet#54": Case(
        lambda w: check(len(w.run("track_multiple_usages", w.g["usages"])) == 3)
    ),
    "cheat-sheet#55": Case(lambda w: check(len({r.id for r in w.g["results"]}) == 3)),
    "cheat-sheet#57": Case(lambda w: check(w.g["client"].settings.timeout == 30.0)),
    "developer-guide#1": Case(lambda w: check(w.g["client"].costs.list(limit=1) is not None)),
    "developer-guide#2": Case(lambda w: check("your-client-id" in repr(w.g["auth"]))),
    "developer-guide#3": Case(lambda w: w.totals(w.g["total_cost"], Decimal("0.045"))),
    "developer-guide#4": Case(lambda w: check(w.client.costs.get(w.g["result"].id).cost == 0.03)),
    "developer-guide#5": Case(lambda w: check(len(w.g["results"]) == 3)),
    "developer-guide#6": Case(
        lambda w: check(
            (w.g["result"], w.g["generate_response"].tracking.recorded) == ("Hello!", 1)
        )
    ),
    "developer-guide#7": Case(lambda w: check(len(set(w.g["ids"])) == 3)),
    "developer-guide#8": Case(stays_in_order),
    "developer-guide#9": Case(streamed),
    "developer-guide#10": Case(own_session),
    "developer-guide#11": Case(lambda w: check(w.g["entry"].amount == 0.03)),
    "developer-guide#12": Case(lambda w: check(w.g["entry"].amount == 0.03)),
    "developer-guide#13": Case(lambda w: check(w.g["entry"].amount == 0.03)),
    "developer-guide#14": Case(resilient),
    "developer-guide#15": Case(cached_client),
    "developer-guide#16": Case(optimized),
    "developer-guide#17": Case(lambda w: check(len(w.place.asked) == 50)),
    "developer-guide#18": Case(
        unit_tests("TestCostTracking", "test_cost_calculation"),
        without="two of its three tests patch llm_cost_ops.client.requests.post, an internal (D-1)",
    ),
    "developer-guide#19": Case(unit_tests("TestIntegration")),
    "developer-guide#21": Case(load_test),
    "developer-guide#24": Case(lambda w: check(w.g["result"].cost == 0.03)),
    "developer-guide#25": Case(lambda w: check(w.g["entry"].cost == 0.03)),
    "developer-guide#26": Case(lambda w: check(w.g["entry"].cost == 0.03)),
    "developer-guide#27": Case(lambda w: w.call("diagnose_performance")),
    "developer-guide#28": Case(lambda w: check(w.g["client"].costs.list(limit=1) is not None)),
    "developer-guide#29": Case(lambda w: check(w.g["logger"].calls[0][0] == "error")),
    "developer-guide#30": Case(asked()),
    "developer-guide#31": Case(
        lambda w: (w.run("process_costs"), asked(*["POST /api/v1/costs"] * 2)(w))
    ),
    "developer-guide#32": Case(lambda w: check(w.g["client"].settings.timeout == 30)),
    "developer-guide#33": Case(
        lambda w: (
            check(w.call("chat_with_tracking", [], user_id=w.g["user"]) == "Hello!"),
            # 120 / 1000 * 0.03 + 30 / 1000 * 0.06, which floats make 0.005399999999999999
            check(w.client.costs.list(user_id=w.g["user"]).total_cost == Decimal("0.0054")),
        ),
        before=lambda w: w.g.update(user=f"user-{uuid4()}"),
    ),
    "faq#1": Case(asked("POST /api/v1/usage")),
    "faq#3": Case(
        lambda w: w.totals(
            w.client.costs.list(metadata={"team": "customer-support"}).total_cost, Decimal("0.06")
        )
    ),
}

PLACEHOLDER: dict[str, str] = {
    "cheat-sheet#28": "pricing_structure={...} is a placeholder",
    "cheat-sheet#41": "usage.create(...) is a placeholder",
    "cheat-sheet#56": "usage.create(...) is a placeholder",
}
"""`...` where data belongs: run too, and the client must refuse it before anything is sent."""

_ADMIN = "AdminClient: tests/server/admin/test_sdk.py runs it on a server"
_FORECAST = "forecasts and anomalies: tests/server/forecasts/test_sdk.py runs it on a server"
_FILES = "exports"
_REPORTS = "reports: tests/server/reports/test_sdk.py runs it on a server"
_SAMPLE = "a sample of server code over Flask, not of the SDK"

ELSEWHERE: dict[str, str] = {
    "administrator-guide#1": _SAMPLE,
    "administrator-guide#2": _SAMPLE,
    "administrator-guide#3": _ADMIN,
    "administrator-guide#4": _ADMIN,
    "administrator-guide#5": _ADMIN,
    "administrator-guide#6": "SCIM: identity",
    "administrator-guide#7": "roles: access",
    "administrator-guide#8": "llm_cost_ops.rbac: access",
    "administrator-guide#9": "llm_cost_ops.models: migrations",
    "administrator-guide#10": _SAMPLE,
    "administrator-guide#11": _SAMPLE,
    **{f"cheat-sheet#{n}": _FORECAST for n in (16, 17, 18, 19, 29)},
    **{f"cheat-sheet#{n}": _FILES for n in (20, 21)},
    **{f"cheat-sheet#{n}": _REPORTS for n in (22, 23)},
    **{f"cheat-sheet#{n}": _ADMIN for n in (24, 25)},
    "cheat-sheet#26": "audit log",
    "cheat-sheet#43": "logs a string: touches no API",
    "cheat-sheet#45": "checks a string: touches no API (C-29)",
    "developer-guide#20": "a mock server over Flask; the SDK's tests read its shapes",
    "developer-guide#22": "a receiver of webhooks over Flask; the tests of webhooks run it",
    "developer-guide#23": "registers webhooks; the tests of webhooks run it on a real server",
    "faq#2": "middleware",
}
"""Blocks that touch neither usage nor costs nor pricing, and what they belong to."""
