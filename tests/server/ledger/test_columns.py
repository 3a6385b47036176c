"""Calls as columns and as COPY text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.server.ledger.columns import columns_of
from llm_cost_ops.server.ledger.entry import COLUMNS, Entry
from tests.support.factories import make_call

_ESCAPES = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}


def calls(*fields: dict[str, Any]) -> list[Entry]:
    made = [make_call(**one) for one in fields]
    for number, entry in enumerate(made):
        entry.id = f"usg_{number:026d}"
    return made


def unescaped(field: str) -> str | None:
    """A field of COPY text as PostgreSQL reads it."""
    if field == "\\N":
        return None
    text = ""
    while field:
        pair = field[:2]
        text += _ESCAPES.get(pair, field[0])
        field = field[2 if pair in _ESCAPES else 1 :]
    return text


def put_together(entries: list[Entry], *, share: bool = True) -> list[dict[str, Any]]:
    """The calls again, from their columns."""
    found = columns_of(entries, share=share)
    nothing = dict.fromkeys(COLUMNS)
    rows = (dict(zip(found.names, row, strict=True)) for row in found.rows())
    return [{**nothing, **found.shared, **row} for row in rows]


def test_what_all_calls_share_is_said_once() -> None:
    made = calls({"user_id": "u", "team_id": "t"}, {"user_id": "v", "team_id": "t"})
    found = columns_of(made)
    assert found.names == ("id", "event_id", "payload_digest", "user_id")
    assert found.shared["team_id"] == "t"
    assert "tags" not in found.shared
    assert put_together(made) == [entry.mapping() for entry in made]


def test_without_sharing_only_columns_without_any_value_are_left_out() -> None:
    made = calls({"user_id": "u"}, {})
    found = columns_of(made, share=False)
    assert found.shared == {}
    assert {"organization_id", "user_id", "requests"} <= set(found.names)
    assert not {"tags", "feature"} & set(found.names)
    assert put_together(made, share=False) == [entry.mapping() for entry in made]


def test_a_single_call_has_a_row() -> None:
    (made,) = calls({"user_id": "u"})
    assert columns_of([made]).names == ("id",)
    assert put_together([made]) == [made.mapping()]


def test_equal_numbers_of_another_kind_are_not_shared() -> None:
    """Every value of a column is of one type, so equal values are the same value."""
    made = calls({"latency_ms": 0, "input_tokens": 0}, {"latency_ms": None, "input_tokens": 0})
    assert [row["latency_ms"] for row in put_together(made)] == [0, None]


texts = st.none() | st.text(st.sampled_from("ab\\\t\n\rN é🙂"), max_size=6)


@given(st.lists(st.tuples(texts, texts, st.none() | st.integers(0, 2**53)), min_size=1, max_size=6))
def test_copy_text_says_what_the_rows_say(
    fields: list[tuple[str | None, str | None, int | None]],
) -> None:
    made = calls(
        *({"feature": text, "metadata": None, "latency_ms": number} for text, _, number in fields)
    )
    for entry, (_, text, _) in zip(made, fields, strict=True):
        entry.metadata = text
    found = columns_of(made)
    lines = found.copy_text().split("\n")
    assert lines.pop() == ""
    parsed = [tuple(unescaped(field) for field in line.split("\t")) for line in lines]
    expected = [tuple(None if v is None else str(v) for v in row) for row in found.rows()]
    assert parsed == expected


@pytest.mark.parametrize("text", ["plain", "a\\b", "a\tb", "a\nb", "a\rb", "\\N", "\\."])
def test_a_column_of_texts_is_escaped_where_it_must_be(text: str) -> None:
    made = calls({"feature": text}, {"feature": "other"})
    found = columns_of(made)
    field = found.copy_text().split("\n")[0].split("\t")[found.names.index("feature")]
    assert unescaped(field) == text
    assert ("\t" in field or "\r" in field) is False
