"""Event ids: the same content names the same call, equal rows are counted."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.importers.identity import MAX_ID, Ordinals, content_digest, natural_id

ROWS = st.lists(
    st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 2), max_size=2), max_size=40
)


@given(rows=ROWS)
def test_the_same_rows_get_the_same_ids_and_every_row_its_own(rows: list[dict[str, int]]) -> None:
    first, again = Ordinals(), Ordinals()
    ids = [first.event_id(row) for row in rows]
    assert ids == [again.event_id(row) for row in rows]
    assert len(set(ids)) == len(rows)


@given(rows=ROWS, data=st.data())
def test_the_order_of_rows_does_not_change_which_ids_exist(
    rows: list[dict[str, int]], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(rows))
    first, second = Ordinals(), Ordinals()
    assert {first.event_id(row) for row in rows} == {second.event_id(row) for row in shuffled}


@given(rows=ROWS, limit=st.integers(0, 5))
def test_counting_on_disk_gives_the_ids_of_counting_in_memory(
    rows: list[dict[str, int]], limit: int
) -> None:
    spilled, whole = Ordinals(in_memory=limit), Ordinals()
    assert [spilled.event_id(row) for row in rows] == [whole.event_id(row) for row in rows]


def test_the_order_of_keys_has_no_effect_and_every_value_has() -> None:
    assert content_digest({"a": 1, "b": [Decimal("1.50")]}) == content_digest(
        {"b": [Decimal("1.50")], "a": 1}
    )
    assert content_digest({"a": 1}) != content_digest({"a": "1.0"})
    assert content_digest({"a": 1}) != content_digest({"b": 1})


@pytest.mark.parametrize(
    ("given_id", "kept"),
    [
        ("chatcmpl-1", True),
        ("x" * MAX_ID, True),
        ("x" * (MAX_ID + 1), False),
        ("tab\there", False),
        ("naïve", False),
    ],
)
def test_ids_of_the_source_are_kept_where_they_are_plain(given_id: str, kept: bool) -> None:
    result = natural_id(given_id)
    assert (result == given_id) is kept
    assert len(result) <= MAX_ID
    assert result == natural_id(given_id)


def test_parts_of_an_id_are_joined() -> None:
    assert natural_id("msg_1", "req_1") == "msg_1:req_1"
