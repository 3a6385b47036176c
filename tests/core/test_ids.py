"""Ids sort by time, batches are neighbours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core import ids


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**60 - 1), st.integers(1, 300))
def test_a_batch_is_ascending_and_well_formed(time_ms: int, entropy: int, count: int) -> None:
    made = ids.batch_ids(ids.batch_stem("usg", time_ms, entropy), count)
    assert made == sorted(set(made))
    assert all(ids.is_id(one, "usg") for one in made)


@given(st.integers(0, 2**48 - 2), st.integers(0, 2**80 - 1), st.integers(0, 2**80 - 1))
def test_later_ids_sort_later(time_ms: int, first: int, second: int) -> None:
    assert ids.single_id("evt", time_ms, first) < ids.single_id("evt", time_ms + 1, second)


@pytest.mark.parametrize("text", ["usg_", "evt_" + "0" * 26, "usg_" + "0" * 25, "usg_" + "U" * 26])
def test_what_is_not_an_id(text: str) -> None:
    assert not ids.is_id(text, "usg")


def test_a_batch_has_a_limit() -> None:
    with pytest.raises(ValueError, match="at most"):
        ids.batch_ids("usg_x", ids.BATCH_LIMIT + 1)
