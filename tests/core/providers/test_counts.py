"""Single counts: what is accepted, what is refused, and where."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.providers import counts
from llm_cost_ops.core.providers.counts import check_sums, header, integral, seconds, whole
from llm_cost_ops.core.usage import KINDS, MAX_QUANTITY, TOKEN_KINDS, check_consistent


@pytest.mark.parametrize("value", [0, 1, MAX_QUANTITY])
def test_whole_numbers(value: int) -> None:
    assert whole(value, "p") == integral(value, "p") == header(value, "p") == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1, "must be greater than or equal to 0"),
        (MAX_QUANTITY + 1, "must be at most 9007199254740991"),
        (1.0, "must be an integer"),
        (Decimal(1), "must be an integer"),
        ("1", "must be an integer"),
        (True, "must be an integer"),
        (False, "must be an integer"),
        ([], "must be an integer"),
    ],
)
def test_what_is_no_count(value: object, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        whole(value, "usage.prompt_tokens")
    assert refusal.value.message == message
    assert refusal.value.field_errors == {"usage.prompt_tokens": message}


@pytest.mark.parametrize(
    ("value", "count"), [(13.0, 13), (Decimal("13.00"), 13), (Decimal("1.3E+1"), 13), (0.0, 0)]
)
def test_numbers_of_apis_that_type_counts_as_numbers(value: object, count: int) -> None:
    assert integral(value, "p") == count


@pytest.mark.parametrize(
    "value",
    [
        13.5,
        float("nan"),
        float("inf"),
        Decimal("1.5"),
        Decimal("NaN"),
        Decimal("1E+30"),
        "13",
        True,
    ],
)
def test_numbers_that_are_not_whole(value: object) -> None:
    with pytest.raises(UsageError, match="must be an integer"):
        integral(value, "p")


@pytest.mark.parametrize(
    ("value", "count"), [("0", 0), ("14", 14), (str(MAX_QUANTITY), MAX_QUANTITY)]
)
def test_header_counts(value: str, count: int) -> None:
    assert header(value, "p") == count


@pytest.mark.parametrize("value", ["", "-1", "1.0", "1e3", "１４", "9" * 17, " 1", None])
def test_what_is_no_header_count(value: object) -> None:
    with pytest.raises(UsageError, match="must be an integer"):
        header(value, "p")


def test_a_header_count_out_of_range() -> None:
    with pytest.raises(UsageError, match="must be at most"):
        header(str(MAX_QUANTITY + 1), "p")


@pytest.mark.parametrize(
    ("value", "duration"),
    [
        (3, 3),
        (3.0, 3),
        (8.470000267028809, Decimal("8.47")),
        (Decimal("73.5"), Decimal("73.5")),
        ("73.5", Decimal("73.5")),
        ("3", 3),
        (0.0000005, 0),
        (0.0000015, Decimal("0.000002")),
        (MAX_QUANTITY, MAX_QUANTITY),
    ],
)
def test_seconds(value: object, duration: object) -> None:
    found = seconds(value, "p")
    assert found == duration
    assert type(found) is type(duration)


@pytest.mark.parametrize(
    "value",
    [
        True,
        None,
        [],
        "",
        "ten",
        "1" * 25,
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("-Infinity"),
    ],
)
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(UsageError, match="must be a number of seconds"):
        seconds(value, "p")


def test_durations_out_of_range() -> None:
    with pytest.raises(UsageError, match="must be greater than or equal to 0"):
        seconds(-0.5, "p")
    with pytest.raises(UsageError, match="must be at most"):
        seconds(Decimal(MAX_QUANTITY) + 1, "p")


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_part_may_be_its_whole_but_not_more(part: int, rest: int) -> None:
    check_sums({"input_tokens": part + rest, "cache_read_tokens": part})
    with pytest.raises(UsageError, match="must not exceed input_tokens") as refusal:
        check_sums({"input_tokens": part, "cache_read_tokens": part + rest + 1})
    assert refusal.value.field == "usage.cache_read_tokens"


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_parts_of_one_split_add_up(read: int, write: int) -> None:
    parts = {"cache_read_tokens": read, "cache_write_tokens": write}
    check_sums({"input_tokens": read + write, **parts})
    with pytest.raises(UsageError, match="must not exceed input_tokens"):
        check_sums({"input_tokens": read + write - 1, **parts})


@given(st.integers(0, 10**6))
def test_parts_of_different_splits_may_be_the_same_tokens(count: int) -> None:
    check_sums(dict.fromkeys(("input_tokens", "cache_read_tokens", "input_audio_tokens"), count))


TOKENS = sorted(TOKEN_KINDS)


@given(st.dictionaries(st.sampled_from(TOKENS), st.integers(0, 40), max_size=8))
def test_the_plan_decides_as_the_rule_does(usage: dict[str, int]) -> None:
    try:
        check_consistent(usage)
    except UsageError as expected:
        with pytest.raises(UsageError) as refusal:
            check_sums(usage)
        assert refusal.value.field_errors == expected.field_errors  # noqa: PT017
    else:
        check_sums(usage)


def test_a_part_of_a_part_is_bounded_by_each() -> None:
    usage = {
        "input_tokens": 100,
        "cache_read_tokens": 60,
        "input_audio_tokens": 30,
        "cache_audio_read_tokens": 30,
    }
    check_sums(usage)
    with pytest.raises(UsageError, match="must not exceed input_audio_tokens"):
        check_sums({**usage, "cache_audio_read_tokens": 31})


def test_kinds_without_their_whole_are_not_judged() -> None:
    check_sums({"cache_read_tokens": 5, "output_tokens": 1})
    check_sums({})


def test_remembered_plans_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "_PLANS", {})
    monkeypatch.setattr(counts, "_MAX_PLANS", 1)
    check_sums({"input_tokens": 1})
    kinds = dict.fromkeys(sorted(KINDS)[:5], 0)
    check_sums(kinds)
    assert list(vars(counts)["_PLANS"]) == [("input_tokens",)]
