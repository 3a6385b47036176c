"""Burn rate and projection: exact where they are sums, bounded where they are guesses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.period import DAY_US
from llm_cost_ops.core.projection import Projection, project

E10 = 10**10
MONTH = 30 * DAY_US


def at(day: float, used: int, limit: int | None, days: list[int]) -> Projection:
    now = int(day * DAY_US)
    return project(used, limit, days, now_us=now, start_us=0, end_us=MONTH)


def test_without_earlier_days_the_period_itself_gives_the_rate() -> None:
    found = at(10, 100 * E10, 150 * E10, [])
    assert found == Projection(10 * E10, 300 * E10, None, None, 15 * DAY_US, None)


def test_equal_days_leave_no_doubt() -> None:
    found = at(10, 100 * E10, 400 * E10, [10 * E10] * 5)
    assert found == Projection(10 * E10, 300 * E10, 300 * E10, 300 * E10, None, 0.0)
    over = at(10, 100 * E10, 299 * E10, [10 * E10] * 5)
    assert (over.probability, over.breach_us) == (1.0, int(29.9 * DAY_US))


def test_the_interval_is_the_normal_one() -> None:
    # Variance of 8, 10, 12 is 4, so 20 days have 80: a deviation of 8.944.
    found = at(10, 100 * E10, 300 * E10, [8 * E10, 10 * E10, 12 * E10])
    margin = 17.5305
    assert found.projected_e10 == 300 * E10
    assert found.lower_e10 is not None
    assert found.upper_e10 is not None
    assert abs(found.upper_e10 / E10 - 300 - margin) < 0.001
    assert found.upper_e10 - found.projected_e10 == found.projected_e10 - found.lower_e10
    assert found.probability == 0.5
    likely = at(10, 100 * E10, 290 * E10, [8 * E10, 10 * E10, 12 * E10])
    assert likely.probability is not None
    assert 0.86 < likely.probability < 0.87


def test_a_limit_that_is_reached_is_breached_now() -> None:
    assert at(10, 5, 5, []).breach_us == 10 * DAY_US
    assert at(10, 6, 5, []).breach_us == 10 * DAY_US
    assert at(10, 0, 5, []).breach_us is None
    assert at(10, 4, None, []).breach_us is None


def test_what_is_spent_is_never_taken_back_by_a_projection() -> None:
    found = at(29, 100 * E10, None, [0, 0, 90 * E10])
    assert found.lower_e10 == 100 * E10
    assert found.probability is None


def test_at_the_ends_of_a_period() -> None:
    assert at(0, 0, 5, []).rate_e10 == 0
    assert at(31, 7, 50, [3, 3, 3]).projected_e10 == 7
    assert at(5, 7, 50, [-3, -3]).rate_e10 == 0


@given(
    st.lists(st.integers(0, 10**14), max_size=28),
    st.integers(0, 10**15),
    st.integers(0, 10**15),
    st.integers(0, MONTH),
)
def test_the_interval_holds_the_projection(
    days: list[int], used: int, limit: int, now: int
) -> None:
    found = project(used, limit, days, now_us=now, start_us=0, end_us=MONTH)
    assert found.projected_e10 >= used
    if found.lower_e10 is not None and found.upper_e10 is not None:
        assert used <= found.lower_e10 <= found.projected_e10 <= found.upper_e10
    if found.probability is not None:
        assert 0 <= found.probability <= 1
    if found.breach_us is not None:
        assert now <= found.breach_us <= MONTH
