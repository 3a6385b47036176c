from __future__ import annotations

from typing import Any

from llm_cost_ops.client import cache
from llm_cost_ops.client.cache import ResponseCache
from llm_cost_ops.client.response import Response
from llm_cost_ops.testing import FakeServer


def answer(text: str) -> Response:
    return Response(200, {}, text.encode())


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_answers_live_for_their_time() -> None:
    clock = Clock()
    kept = ResponseCache(10, clock)
    kept.put("a", answer("1"), kept.generation)
    clock.now = 9.999
    assert kept.get("a") is not None
    clock.now = 10
    assert kept.get("a") is None
    assert kept.get("b") is None


def test_the_oldest_goes_when_it_is_full() -> None:
    kept = ResponseCache(10, Clock())
    for number in range(cache.MAX_ENTRIES + 1):
        kept.put(str(number), answer(""), 0)
    assert kept.get("0") is None
    assert kept.get("1") is not None


def test_an_answer_asked_for_before_a_write_is_not_kept() -> None:
    kept = ResponseCache(10, Clock())
    asked_at = kept.generation
    kept.clear()
    kept.put("a", answer("old"), asked_at)
    assert kept.get("a") is None


def test_a_caching_client_asks_once_until_it_writes(drive: Any, fake: FakeServer) -> None:
    api = drive(fake, enable_caching=True)
    for _ in range(3):
        assert api(api.costs.summary).total_requests == 0
    assert api(api.costs.summary, user_id="u").total_requests == 0
    assert len(fake.requests) == 2
    api(api.costs.create, model="m", tokens_used=1, cost=1)
    assert api(api.costs.summary).total_requests == 1
    fake.fail_next(500, times=4)
    try:
        api(api.costs.create, model="m", tokens_used=1, cost=1)
    except Exception:
        api(api.costs.summary)
    assert [r.method for r in fake.requests] == ["GET", "GET", "POST", "GET", *["POST"] * 4, "GET"]


def test_nothing_is_kept_unless_asked(api: Any, fake: FakeServer) -> None:
    api(api.costs.summary)
    api(api.costs.summary)
    assert len(fake.requests) == 2
