from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.client.policy import (
    Raise,
    Retry,
    RetryPolicy,
    Return,
    Send,
    Sleep,
    decide,
    exchange,
)
from llm_cost_ops.client.response import Response
from llm_cost_ops.exceptions import (
    APIError,
    ConflictError,
    CostOpsError,
    NetworkError,
    RateLimitError,
    ServerError,
    TimeoutError,
)

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
HALF = RetryPolicy(random=lambda: 0.5, now=lambda: NOW)
REQUEST = Send("POST", "http://x/api/v1/usage", {"Idempotency-Key": "k1"}, b"{}")


def answer(status: int, **headers: str) -> Response:
    return Response(status, {name.replace("_", "-"): text for name, text in headers.items()}, b"")


@pytest.mark.parametrize("status", [200, 201, 204, 207, 299])
def test_success_is_returned(status: int) -> None:
    response = answer(status)
    assert decide(0, response, HALF) == Return(response)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 529, 599])
def test_overload_and_failure_are_tried_again(status: int) -> None:
    assert decide(0, answer(status), HALF) == Retry(0.5)
    assert decide(2, answer(status), HALF) == Retry(2.0)
    final = decide(3, answer(status), HALF)
    assert isinstance(final, Raise)
    assert final.error.status_code == status
    assert isinstance(final.error, RateLimitError if status == 429 else ServerError)


@pytest.mark.parametrize(
    "status", [300, 302, 400, 401, 402, 403, 404, 405, 408, 409, 413, 422, 451, 499]
)
def test_other_refusals_are_final(status: int) -> None:
    verdict = decide(0, answer(status, retry_after="1"), HALF)
    assert isinstance(verdict, Raise)
    assert isinstance(verdict.error, APIError)
    assert verdict.error.status_code == status


def test_a_conflict_with_our_own_lost_attempt_is_waited_for() -> None:
    busy = answer(409, retry_after="1")
    assert isinstance(decide(0, busy, HALF), Raise)
    assert decide(1, busy, HALF) == Retry(1.0)
    final = decide(1, answer(409), HALF)
    assert isinstance(final, Raise)
    assert isinstance(final.error, ConflictError)


@pytest.mark.parametrize("failure", [NetworkError("reset"), TimeoutError("slow")])
def test_lost_connections_are_tried_again(failure: NetworkError) -> None:
    assert decide(0, failure, HALF) == Retry(0.5)
    assert decide(3, failure, HALF) == Raise(failure)


def test_a_refused_certificate_is_final() -> None:
    failure = NetworkError("certificate verify failed", retryable=False)
    assert decide(0, failure, HALF) == Raise(failure)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("1.5", 1.5),
        ("59", 59.0),
        ("60", 60.0),
        ("61", 60.0),
        ("999999999999", 60.0),
        ("9" * 400, 60.0),
        ("Sun, 15 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 15 Mar 2026 11:59:00 GMT", 0.0),
        ("Sun, 15 Mar 2026 12:00:30 -0000", 30.0),
        ("Mon, 15 Mar 2027 12:00:30 GMT", 60.0),
        ("", 0.5),
        ("soon", 0.5),
        ("-5", 0.5),
        ("1_0", 0.5),
        ("١", 0.5),
    ],
)
def test_retry_after_is_obeyed_up_to_a_minute(text: str, seconds: float) -> None:
    assert decide(0, answer(429, retry_after=text), HALF) == Retry(seconds)


@given(st.text(max_size=60))
def test_any_retry_after_gives_a_bounded_wait(text: str) -> None:
    verdict = decide(0, answer(503, retry_after=text), HALF)
    assert isinstance(verdict, Retry)
    assert 0 <= verdict.after <= 60


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_waits_grow_up_to_a_ceiling_and_are_drawn_from_zero(attempt: int, drawn: float) -> None:
    policy = RetryPolicy(max_retries=10**6, delay=1.0, backoff=2.0, random=lambda: drawn)
    ceiling = min(60.0, 2.0 ** min(attempt, 100))  # beyond 2**6 the minute rules
    assert policy.wait(attempt, None) == pytest.approx(drawn * ceiling)


def run(outcomes: Iterable[Response | NetworkError], policy: RetryPolicy) -> tuple[Any, list[Any]]:
    """The flow's result or error and its actions."""
    flow = exchange(REQUEST, policy)
    left = iter(outcomes)
    actions: list[Any] = []
    try:
        action = next(flow)
        while True:
            actions.append(action)
            if isinstance(action, Sleep):
                action = flow.send(None)
                continue
            outcome = next(left)
            action = (
                flow.throw(outcome) if isinstance(outcome, NetworkError) else flow.send(outcome)
            )
    except StopIteration as done:
        return done.value, actions
    except CostOpsError as error:
        return error, actions


def test_all_attempts_send_the_same_request_with_one_key() -> None:
    good = answer(201)
    outcomes = [answer(503), NetworkError("reset"), answer(429, retry_after="4"), good]
    result, actions = run(outcomes, HALF)
    assert result is good
    assert actions == [REQUEST, Sleep(0.5), REQUEST, Sleep(1.0), REQUEST, Sleep(4.0), REQUEST]


def test_the_last_error_is_raised() -> None:
    result, actions = run([answer(503), answer(500)], RetryPolicy(max_retries=1, random=lambda: 0))
    assert isinstance(result, ServerError)
    assert result.status_code == 500
    assert len(actions) == 3


def test_no_retries_means_one_attempt() -> None:
    lost = NetworkError("reset")
    result, actions = run([lost], RetryPolicy(max_retries=0))
    assert result is lost
    assert actions == [REQUEST]


def test_a_rate_limit_tells_when_to_come_back() -> None:
    policy = RetryPolicy(max_retries=0, now=lambda: NOW)
    date = (NOW + timedelta(hours=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    result, _ = run([answer(429, retry_after=date)], policy)
    assert isinstance(result, RateLimitError)
    assert result.retry_after == 3600
    result, _ = run([answer(429)], policy)
    assert result.retry_after is None
