"""Windows that slide, and what an answer tells of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.server.http.ratelimit.meters import MICROS, Limit, Meter, Meters
from llm_cost_ops.server.http.ratelimit.standing import take
from llm_cost_ops.server.settings.throttling import parse_limit, parse_limits

START_US = 1_700_000_040 * MICROS  # the turn of a minute


def meter(amount: int = 10, seconds: int = 60) -> Meter:
    return Meter("one", Limit(amount, seconds))


def at(seconds: float) -> int:
    return START_US + round(seconds * MICROS)


def admitted(one: Meter, times: list[float]) -> int:
    standings = [take([one], 1, at(second)) for second in times]
    return sum(standing is not None and not standing.wait_s for standing in standings)


def test_a_limit_admits_so_many_and_no_more() -> None:
    assert admitted(meter(10), [0.0] * 25) == 10


def test_what_is_refused_is_not_counted() -> None:
    one = meter(10)
    admitted(one, [0.0] * 1000)
    assert one.used(at(0)) == 10


def test_a_window_slides() -> None:
    one = meter(10)
    assert admitted(one, [59.0] * 10) == 10
    assert admitted(one, [60.0] * 10) == 0, "the turn of the minute gives nothing back"
    assert admitted(one, [90.0] * 10) == 5
    assert admitted(one, [200.0] * 25) == 10


def test_the_standing_counts_down_and_tells_when_to_come_back() -> None:
    one = meter(3)
    first = take([one], 1, at(10))
    assert first is not None
    assert (first.limit, first.remaining, first.window_s, first.wait_s) == (3, 2, 60, 0)
    assert first.reset_s == at(60) // MICROS
    take([one], 2, at(10))
    refused = take([one], 1, at(20))
    assert refused is not None
    assert refused.remaining == 0
    assert refused.reset_s == at(20) // MICROS + refused.wait_s
    assert take([one], 1, at(20 + refused.wait_s)).wait_s == 0  # type: ignore[union-attr]


@given(
    amount=st.integers(1, 500),
    count=st.integers(1, 600),
    times=st.lists(st.floats(0, 180), max_size=60),
    ask=st.floats(180, 300),
)
def test_the_wait_is_enough_and_not_too_long(
    amount: int, count: int, times: list[float], ask: float
) -> None:
    one = meter(amount)
    for second in sorted(times):
        take([one], max(1, amount // 7), at(second))
    wait_us = one.wait_us(count, at(ask))
    probe = Meter("probe", Limit(amount, 60))
    for name in ("index", "current", "previous"):
        setattr(probe, name, getattr(one, name))
    assert probe.fits(count, at(ask) + wait_us)
    assert wait_us <= 120 * MICROS


@pytest.mark.parametrize(("used", "count", "fits"), [(0, 50, True), (1, 50, False), (1, 9, True)])
def test_a_batch_beyond_the_limit_waits_for_an_empty_window(
    used: int, count: int, fits: bool
) -> None:
    one = meter(10)
    if used:
        take([one], used, at(0))
    standing = take([one], count, at(0))
    assert standing is not None
    assert (standing.wait_s == 0) is fits


def test_all_limits_or_none_are_counted() -> None:
    wide, narrow = meter(100), meter(2)
    for _ in range(5):
        take([wide, narrow], 1, at(0))
    assert (wide.used(at(0)), narrow.used(at(0))) == (2, 2)


def test_the_tightest_window_is_told() -> None:
    minute, hour = meter(100, 60), meter(50, 3600)
    standing = take([minute, hour], 1, at(0))
    assert standing is not None
    assert (standing.limit, standing.window_s) == (50, 3600)


def test_meters_make_room_for_new_names() -> None:
    now = START_US
    meters = Meters(lambda: now, capacity=100)
    for number in range(100):
        take(meters.of(f"old{number}", (Limit(5, 60),)), 1, now)
    now = at(180)
    kept = meters.of("new", (Limit(5, 60),))
    assert len(meters) == 1
    take(kept, 3, now)
    for number in range(1000):
        meters.of(f"more{number}", (Limit(5, 60),))
        assert len(meters) <= 100


def test_a_changed_amount_keeps_what_was_counted() -> None:
    meters = Meters(lambda: START_US)
    take(meters.of("one", (Limit(5, 60),)), 5, START_US)
    standing = take(meters.of("one", (Limit(8, 60),)), 1, START_US)
    assert standing is not None
    assert (standing.limit, standing.remaining) == (8, 2)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("100/minute", (100, 60)),
        ("100 per minute", (100, 60)),
        ("1000/hour", (1000, 3600)),
        ("10000/day", (10_000, 86_400)),
        ("5 per 10 seconds", (5, 10)),
        (" 7/15minutes ", (7, 900)),
    ],
)
def test_limits_are_read(text: str, limit: tuple[int, int]) -> None:
    assert parse_limit(text) == limit


@pytest.mark.parametrize("text", ["", "100", "0/minute", "-1/minute", "100/fortnight", "1.5/hour"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its text is the settings' business
        parse_limit(text)


def test_one_text_may_hold_several() -> None:
    assert parse_limits(["1/second; 20/minute", "300/hour"]) == ((1, 1), (20, 60), (300, 3600))
