"""Who is counted where: keys, users, organizations, tiers, buckets, wrong credentials."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.http.ratelimit.gate import MAX_BACKOFF_SECONDS, RateLimits
from llm_cost_ops.server.http.ratelimit.metrics import RateLimitMetrics
from llm_cost_ops.server.http.ratelimit.terms import installed_terms, terms_of
from llm_cost_ops.server.settings import RateLimitSettings, Settings

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
INGEST = ("POST", "/api/v1/usage/batch")


@dataclass
class Caller:
    key_id: str = "key-1"
    user_id: str | None = None
    organization_id: str = "org-1"


@dataclass
class Place:
    """The limits of a process, its clock and what organizations have set."""

    chosen: dict[str, Any]
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    settings: dict[str, Mapping[str, object]] = field(default_factory=dict[str, Any])
    down: bool = False
    told: list[tuple[int, str, int]] = field(default_factory=list[tuple[int, str, int]])

    def __post_init__(self) -> None:
        self.registry = CollectorRegistry()
        self.limits = RateLimits(
            Settings(rate_limit=RateLimitSettings(**{"enabled": True, **self.chosen})),
            self.clock,
            RateLimitMetrics(self.registry),
            self.load,
            ingest=[INGEST],
        )

    def load(self, organization_id: str) -> Mapping[str, object]:
        if self.down:
            raise DatabaseUnavailable(Reason.TIMEOUT)
        return self.settings.get(organization_id, {})

    def scope(self, method: str = "GET", path: str = "/api/v1/costs", ip: str = "") -> Any:
        return {
            "method": method,
            "route": SimpleNamespace(path=path),
            "state": {"client_ip": ip},
        }

    def admitted(self, times: int, caller: Caller | None = None, **scope: Any) -> int:
        return asyncio.run(self._admitted(times, caller or Caller(), scope))

    async def _admitted(self, times: int, caller: Caller, scope: dict[str, Any]) -> int:
        count = 0
        for _ in range(times):
            try:
                await self.limits.check(self.scope(**scope), caller)
                count += 1
            except Problem as refused:
                told = (refused.status, refused.code, int((refused.headers or {})["Retry-After"]))
                self.told.append(told)
        await asyncio.gather(*self.limits.reading())
        return count

    def later(self, seconds: float) -> None:
        self.clock.current += timedelta(seconds=seconds)
        self.clock.elapsed_s += seconds


def place(**chosen: Any) -> Place:
    return Place(chosen)


def test_a_key_has_100_a_minute_by_default_and_no_hour() -> None:
    there = place()
    assert there.admitted(150) == 100
    assert {(status, code) for status, code, _ in there.told} == {(429, "RATE_LIMIT_EXCEEDED")}
    assert all(1 <= wait_s <= 120 for _, _, wait_s in there.told)
    there.later(180)
    assert sum(there.admitted(100) or there.later(120) or 0 for _ in range(15)) >= 700


def test_keys_are_counted_apart() -> None:
    there = place(requests_per_minute=5)
    assert there.admitted(9, Caller("a")) == 5
    assert there.admitted(9, Caller("b")) == 5


def test_equal_names_in_two_organizations_are_counted_apart() -> None:
    there = place(requests_per_minute=5, user_limits=("3/minute",))
    assert there.admitted(9, Caller("a", "ann", "org-1")) == 3
    assert there.admitted(9, Caller("a", "ann", "org-2")) == 3


def test_a_user_is_counted_over_all_keys() -> None:
    there = place(user_limits=("6/minute",))
    assert there.admitted(5, Caller("a", "ann")) == 5
    assert there.admitted(5, Caller("b", "ann")) == 1
    assert there.admitted(5, Caller("c", "bob")) == 5
    assert there.admitted(9, Caller("d")) == 9


def test_an_organization_is_counted_over_all_keys() -> None:
    there = place(organization_limits=("6/minute",))
    assert there.admitted(5, Caller("a")) == 5
    assert there.admitted(5, Caller("b")) == 1


def test_an_address_is_counted_over_all_organizations() -> None:
    there = place(address_limits=("6/minute",))
    assert there.admitted(5, Caller("a", None, "org-1"), ip="192.0.2.1") == 5
    assert there.admitted(5, Caller("b", None, "org-2"), ip="192.0.2.1") == 1
    assert there.admitted(5, Caller("b", None, "org-2"), ip="192.0.2.2") == 5
    assert there.admitted(5, Caller("c"), ip="2001:db8::1") == 5
    assert there.admitted(5, Caller("d"), ip="2001:db8::ffff:2") == 1


def test_an_hour_counts_beside_the_minute() -> None:
    there = place(requests_per_minute=10, requests_per_hour=25)
    counts = [there.admitted(10) or there.later(0) or 0]
    for _ in range(3):
        there.later(120)
        counts.append(there.admitted(10))
    assert counts == [10, 10, 5, 0]


def test_a_list_replaces_both() -> None:
    there = place(requests_per_minute=1, default_limits=("4/minute", "6/hour"))
    assert there.admitted(9) == 4
    there.later(120)
    assert there.admitted(9) == 2


@pytest.mark.parametrize(
    ("tier", "admitted"), [("free", 10), ("starter", 100), ("professional", 1000)]
)
def test_a_tier_is_of_the_organization(tier: str, admitted: int) -> None:
    there = place()
    there.settings["org-1"] = {"rate_limit": {"tier": tier}}
    half = admitted // 2
    assert there.admitted(half, Caller("a")) == half
    assert there.admitted(admitted, Caller("b")) == admitted - half


def test_an_enterprise_has_its_own_numbers() -> None:
    there = place()
    there.settings["org-1"] = {
        "rate_limit": {"tier": "enterprise", "requests_per_minute": 250, "requests_per_hour": 300}
    }
    assert there.admitted(400) == 250
    there.later(120)
    assert there.admitted(400) == 50


@pytest.mark.parametrize(
    "broken",
    [
        {"rate_limit": "free"},
        {"rate_limit": {"tier": "gold"}},
        {"rate_limit": {"requests_per_minute": "many"}},
        {"rate_limit": {"requests_per_minute": True}},
        {"rate_limit": {"requests_per_minute": -1}},
        {"rate_limit": {"tier": 7}},
    ],
)
def test_settings_that_cannot_be_read_change_nothing(broken: dict[str, object]) -> None:
    installed = installed_terms(RateLimitSettings())
    assert terms_of(installed, broken) == installed


def test_a_new_tier_holds_within_seconds() -> None:
    there = place()
    assert there.admitted(20) == 20
    there.settings["org-1"] = {"rate_limit": {"tier": "free"}}
    there.later(11)
    there.admitted(1)  # begins to read them again
    assert there.admitted(100) < 12


def test_without_a_database_the_limits_stay() -> None:
    there = place(requests_per_minute=5)
    there.down = True
    assert there.admitted(9) == 5
    there.later(11)
    assert there.admitted(9) == 0


def test_records_have_a_bucket_of_their_own() -> None:
    there = place(requests_per_minute=5, ingest_records_per_minute=100)
    post: Any = {"method": INGEST[0], "path": INGEST[1]}
    assert there.admitted(9) == 5
    assert there.admitted(60, **post) == 60
    caller, scope = Caller(), there.scope(**post)
    there.limits.charge(scope, caller, 40)
    with pytest.raises(Problem) as refused:
        there.limits.charge(scope, caller, 1)
    assert refused.value.message == "More than 100 records per minute."
    assert there.admitted(9, method="GET", path=INGEST[1]) == 0, "reading is no ingest"


def test_an_organization_may_have_its_own_number_of_records() -> None:
    there = place(ingest_records_per_minute=5)
    there.settings["org-1"] = {"rate_limit": {"ingest_records_per_minute": 8}}
    post: Any = {"method": INGEST[0], "path": INGEST[1]}
    assert there.admitted(5, Caller("a"), **post) == 5
    assert there.admitted(5, Caller("b"), **post) == 3


def test_switched_off_nothing_is_counted() -> None:
    there = place(enabled=False, requests_per_minute=1)
    assert there.admitted(50) == 50
    problem = Problem(401, "AUTH_001", "no")
    assert all(there.limits.failed(there.scope(), problem) is problem for _ in range(50))


def test_wrong_credentials_are_slowed_down_by_address() -> None:
    there = place()
    problem = Problem(401, "AUTH_001", "no")

    def fail(ip: str) -> Problem:
        return there.limits.failed(there.scope(ip=ip), problem)

    assert [fail("192.0.2.1").status for _ in range(20)] == [401] * 20
    waits = [int((fail("192.0.2.1").headers or {})["Retry-After"]) for _ in range(200)]
    assert waits == sorted(waits)
    assert waits[0] == 60
    assert waits[-1] == MAX_BACKOFF_SECONDS
    assert fail("192.0.2.2").status == 401
    assert there.admitted(5, ip="192.0.2.1") == 5, "who is known is not affected"
    there.later(180)
    assert fail("192.0.2.1").status == 401


def test_refusals_are_measured() -> None:
    there = place(requests_per_minute=5)
    there.admitted(9)
    sample = there.registry.get_sample_value(
        "llm_cost_ops_rate_limited_total", {"bucket": "requests"}
    )
    assert sample == 4
