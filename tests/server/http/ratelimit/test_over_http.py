"""Limits as a client meets them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from starlette.routing import Route

from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.app import ROOMS
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.http.ratelimit.standing import STATE
from llm_cost_ops.server.identity.tables import organizations
from tests.server.http.ratelimit.conftest import Limited
from tests.support.application import Application

COSTS = "/api/v1/costs"
USAGE = "/api/v1/usage"
HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "x-ratelimit-window")


def record(number: int) -> dict[str, Any]:
    return {
        "id": f"call-{number}",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "prompt_tokens": 10,
        "completion_tokens": 5,
    }


def test_every_authenticated_answer_tells_where_it_stands(five: Application) -> None:
    first = five.get(COSTS)
    limit, remaining, reset, window = (int(first.headers[name]) for name in HEADERS)
    assert (limit, remaining, window) == (5, 4, 60)
    assert time.time() < reset <= time.time() + 61
    missing = five.get("/api/v1/budgets/budget_unknown")
    assert (missing.status_code, missing.headers["x-ratelimit-remaining"]) == (404, "3")
    forbidden = five.get(COSTS, key=five.new_key("write:costs"))
    assert (forbidden.status_code, forbidden.headers["x-ratelimit-remaining"]) == (403, "4")
    for open_to_all in ("/health", "/live", "/ready", "/docs"):
        assert HEADERS[0] not in five.get(open_to_all, key=None).headers


def test_above_the_limit_429_says_when_to_come_back(five: Application) -> None:
    statuses = [five.get(COSTS).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    refused = five.get(COSTS)
    assert refused.json()["error"]["code"] == "RATE_LIMIT_EXCEEDED"
    assert refused.json()["error"]["message"] == "More than 5 requests per minute."
    wait_s = int(refused.headers["retry-after"])
    assert 1 <= wait_s <= 120
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert abs(int(refused.headers["x-ratelimit-reset"]) - time.time() - wait_s) < 3
    assert five.get(COSTS, key=five.new_key()).status_code == 200, "another key goes on"


def test_usage_is_taken_while_reading_is_held_up(five: Application) -> None:
    while five.get(COSTS).status_code != 429:
        pass
    answers = [five.post(USAGE, json=record(number)) for number in range(10)]
    assert {answer.status_code for answer in answers} == {201}
    assert int(answers[-1].headers["x-ratelimit-limit"]) == 1_000_000


def test_a_batch_counts_its_records(limited: Limited) -> None:
    with limited(ingest_records_per_minute=10) as app:
        batch = [record(number) for number in range(8)]
        first = app.post(f"{USAGE}/batch", json={"records": batch})
        assert first.headers["x-ratelimit-remaining"] == "2"
        second = app.post(f"{USAGE}/batch", json={"records": [record(n) for n in range(20, 24)]})
        assert second.status_code == 429
        assert len(app.get(COSTS).json()["data"]) == 8, "nothing of it was stored"
        assert app.post(USAGE, json=record(30)).status_code == 201


def test_reservations_are_in_the_bucket_of_records(five: Application) -> None:
    ask = {"model": "gpt-4o-mini", "provider": "openai", "prompt_tokens": 5, "max_tokens": 5}
    for _ in range(12):
        held = five.post("/api/v1/budgets/reserve", json=ask)
        assert held.status_code in (200, 201)
        path = f"/api/v1/budgets/reservations/{held.json()['id']}/release"
        assert five.post(path).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("GET", "/login", 5),
        ("POST", "/login", 5),
        ("POST", "/account/password", 5),
        ("GET", COSTS, 5),
        ("POST", USAGE, 1_000_000),
        ("POST", "/api/v1/budgets/reserve", 1_000_000),
    ],
)
def test_pages_of_signing_in_count_as_requests(
    five: Application, method: str, path: str, limit: int
) -> None:
    found = (room.routes if room.router is None else [*room.routes, *room.router.routes]
             for room in ROOMS)  # fmt: skip
    route = next(
        route
        for routes in found
        for route in routes
        if isinstance(route, Route) and route.path == path and method in (route.methods or ())
    )
    scope: dict[str, Any] = {"method": method, "route": route, "state": {"client_ip": "192.0.2.1"}}
    who = Principal("key_of_a_page", five.organization_id, frozenset())
    five.portal.call(five.app.state.limits.check, scope, who)
    assert scope["state"][STATE].limit == limit


def test_the_tier_of_an_organization_holds(limited: Limited) -> None:
    with limited() as app:
        with write(app.database) as session:
            session.execute(
                organizations.update()
                .where(organizations.c.id == app.organization_id)
                .values(settings='{"rate_limit":{"tier":"free"}}')
            )
        statuses = [app.get(COSTS).status_code for _ in range(12)]
        assert statuses == [200] * 10 + [429] * 2


def test_wrong_keys_are_slowed_down_and_right_ones_are_not(limited: Limited) -> None:
    with limited(failures_per_minute=3) as app:
        wrong = "sk_test_" + "x" * 40
        statuses = [app.get(COSTS, key=wrong).status_code for _ in range(5)]
        assert statuses == [401] * 3 + [429] * 2
        assert int(app.get(COSTS, key=wrong).headers["retry-after"]) >= 60
        assert app.get(COSTS).status_code == 200, "the same address with a right key"
        assert app.get(COSTS, key=app.new_key()).status_code == 200, "and one never seen before"
        elsewhere = app.get(COSTS, key=wrong, headers={"X-Forwarded-For": "203.0.113.9"})
        assert elsewhere.status_code == 401
        assert app.get(COSTS, key=None).status_code == 401, "without a key nothing was guessed"


def test_the_operator_in_its_own_process_is_not_limited() -> None:
    from llm_cost_ops.cli.local import _unhurried
    from llm_cost_ops.server.settings import RateLimitSettings, Settings

    given = Settings(rate_limit=RateLimitSettings(enabled=True))
    assert not _unhurried(given).rate_limit.enabled


@pytest.mark.parametrize("path", [COSTS, "/api/v1/budgets/reserve", USAGE])
def test_429_is_documented(five: Application, path: str) -> None:
    document = five.get("/openapi.json", key=None).json()
    for operation in document["paths"][path].values():
        assert "429" in operation["responses"]
