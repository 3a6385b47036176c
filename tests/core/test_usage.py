"""The lattice of usage kinds and the checks of quantities."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core import usage
from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.usage import KINDS, MAX_QUANTITY, check_usage

SHARED = Path(os.environ.get("COST_OPS_SHARED", Path(__file__).parents[3] / "shared"))


def test_every_public_kind_has_the_same_dimensions() -> None:
    vocabulary = SHARED / "cases" / "usage_kinds.json"
    if not vocabulary.exists():
        pytest.skip("the shared vocabulary is not here")
    public = json.loads(vocabulary.read_text())
    assert {kind: dict(KINDS[kind]) for kind in public} == public


def test_descent_follows_dimensions() -> None:
    assert usage.is_descendant("cache_audio_read_tokens", "cache_read_tokens")
    assert usage.is_descendant("cache_audio_read_tokens", "input_audio_tokens")
    assert not usage.is_descendant("input_tokens", "input_tokens")
    assert not usage.is_descendant("output_tokens", "input_tokens")
    assert usage.ANCESTORS["input_audio_seconds"] == {"audio_seconds"}


@pytest.mark.parametrize("value", [-1, 1.0, "5", True, None, MAX_QUANTITY + 1, Decimal(3)])
def test_counts_are_strict(value: object) -> None:
    with pytest.raises(UsageError) as refused:
        check_usage({"input_tokens": value})
    assert refused.value.field == "input_tokens"


@pytest.mark.parametrize("value", [0, 1, MAX_QUANTITY])
def test_counts_at_their_bounds(value: int) -> None:
    assert check_usage({"input_tokens": value}) == ({"input_tokens": value} if value else {})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("73.5", Decimal("73.5")),
        (Decimal("73.500"), Decimal("73.5")),
        ("3", 3),
        (7, 7),
        ("0", None),
    ],
)
def test_seconds_may_be_fractions(value: object, expected: object) -> None:
    assert check_usage({"audio_seconds": value}).get("audio_seconds") == expected


@pytest.mark.parametrize(
    "value",
    ["", "1.2.3", "٣", "1e3", Decimal("NaN"), Decimal(-1), Decimal("0.0000001"), True, None,
     Decimal(MAX_QUANTITY + 1), "1" * 25],
)  # fmt: skip
def test_seconds_refuse(value: object) -> None:
    with pytest.raises(UsageError):
        check_usage({"audio_seconds": value})


def test_unknown_kinds_are_named() -> None:
    with pytest.raises(UsageError) as refused:
        check_usage({"inputs": 1})
    assert refused.value.field == "usage.inputs"


def test_a_total_is_inferred_from_the_widest_split() -> None:
    parts = {"input_text_tokens": 30, "input_audio_tokens": 70, "cache_read_tokens": 40}
    assert usage.total_input_tokens(parts) == 100
    assert usage.total_input_tokens({**parts, "input_tokens": 120}) == 120
    assert usage.total_input_tokens({}) == 0


def test_several_requests_tell_only_their_mean() -> None:
    assert usage.total_input_tokens({"input_tokens": 1001, "requests": 10}) == 101
    assert usage.total_input_tokens({"input_tokens": 1001, "requests": 1}) == 1001


@pytest.mark.parametrize(
    ("counts", "at_fault"),
    [
        ({"input_tokens": 10, "cache_read_tokens": 11}, "usage.cache_read_tokens"),
        ({"input_tokens": 10, "cache_read_tokens": 6, "cache_write_tokens": 5},
         "usage.cache_write_tokens"),
        ({"cache_write_tokens": 9, "cache_write_5m_tokens": 5, "cache_write_1h_tokens": 5},
         "usage.cache_write_1h_tokens"),
        ({"output_tokens": 5, "output_reasoning_tokens": 6}, "usage.output_reasoning_tokens"),
    ],
)  # fmt: skip
def test_a_part_above_its_whole_is_refused(counts: dict[str, int], at_fault: str) -> None:
    with pytest.raises(UsageError) as refused:
        usage.check_consistent(counts)
    assert refused.value.field == at_fault


def test_different_splits_may_overlap() -> None:
    usage.check_consistent(
        {"input_tokens": 100, "input_text_tokens": 100, "cache_read_tokens": 100}
    )


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_disjoint_parts_within_the_whole_are_consistent(plain: int, read: int, write: int) -> None:
    total = plain + read + write
    usage.check_consistent(
        {"input_tokens": total, "cache_read_tokens": read, "cache_write_tokens": write}
    )
