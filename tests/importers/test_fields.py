"""Values of other people's exports: what is taken, and what is refused with its field."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.usage import MAX_QUANTITY
from llm_cost_ops.importers.attribution import provider_of_model
from llm_cost_ops.importers.fields import (
    MAX_TEXT,
    Fields,
    amount_of,
    count_of,
    object_of,
    text_of,
    texts_of,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        ("12", 12),
        (" 12 ", 12),
        ("12.0", 12),
        ("12.", 12),
        (Decimal("12.00"), 12),
        (374.0, 374),
        (MAX_QUANTITY, MAX_QUANTITY),
        (None, None),
        ("", None),
    ],
)
def test_counts(value: object, expected: int | None) -> None:
    assert count_of(value, "n") == expected


@pytest.mark.parametrize(
    "value",
    [
        -1, "-1", 1.5, "1.5", "1,000", "1e3", "１２", "0x1", True, "twelve", [], {}, float("nan"),
        MAX_QUANTITY + 1, "9" * 18, Decimal("1E+2"),
    ],
)  # fmt: skip
def test_what_is_no_count(value: object) -> None:
    with pytest.raises(DomainError) as caught:
        count_of(value, "n")
    assert caught.value.field == "n"


@given(st.integers(0, MAX_QUANTITY))
def test_every_count_survives_every_form(count: int) -> None:
    assert count_of(count, "n") == count_of(str(count), "n") == count_of(f"{count}.0", "n") == count


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0.0000000001", "0.0000000001"),
        (" 1.50 ", "1.50"),
        (0.1, "0.1"),
        (3, "3"),
        (Decimal("-2.5"), "-2.5"),
        ("1e-5", "0.00001"),
    ],
)
def test_amounts(value: object, expected: str) -> None:
    assert amount_of(value, "usd") == Decimal(expected)


@pytest.mark.parametrize("value", ["1E+999999", "NaN", float("inf"), "$1", "1_0", True, [1]])
def test_what_is_no_amount(value: object) -> None:
    with pytest.raises(DomainError) as caught:
        amount_of(value, "usd")
    assert caught.value.field == "usd"


def test_text() -> None:
    assert text_of("  a b ", "t") == "a b"
    assert text_of(7, "t") == "7"
    assert text_of("   ", "t") is None
    assert text_of("x" * MAX_TEXT, "t") == "x" * MAX_TEXT
    for refused in ("x" * (MAX_TEXT + 1), True, ["x"], {"x": 1}, b"x"):
        with pytest.raises(DomainError):
            text_of(refused, "t")


def test_objects_and_lists() -> None:
    assert object_of('{"a": 1}', "o") == {"a": 1}
    assert object_of({"a": 1}, "o") == {"a": 1}
    assert object_of(None, "o") == object_of("", "o") == object_of("null", "o") == {}
    assert texts_of('["a", 1]', "l") == ["a", "1"]
    assert texts_of("a; b|c,,d", "l") == ["a", "b", "c", "d"]
    assert texts_of(["a"], "l") == ["a"]
    assert texts_of(None, "l") == texts_of("", "l") == []
    for refused in ("[1", "{", "7", [1]):
        with pytest.raises(DomainError):
            object_of(refused, "o")
    for refused in ("[1", 7, {"a": 1}, [["a"]]):
        with pytest.raises(DomainError):
            texts_of(refused, "l")


def test_columns_are_found_by_any_spelling_and_named_by_their_own() -> None:
    fields = Fields({"Start_Time": "", "startedAt": "x", "promptTokens": "no"})
    assert fields.text("start_time", "started_at") == "x"
    assert fields.text("missing") is None
    with pytest.raises(DomainError) as caught:
        fields.count("prompt_tokens")
    assert caught.value.field == "promptTokens"


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-5.4-mini", "openai"),
        ("o3-2025-04-16", "openai"),
        ("claude-opus-4-5", "anthropic"),
        ("Gemini-2.5-Pro", "google"),
        ("azure/my-deployment", "azure"),
        ("bedrock/us.anthropic.claude-sonnet-4-5", "bedrock"),
        ("vertex_ai/gemini-2.5-pro", "vertex_ai"),
        ("gpt-oss-120b", None),
        ("llama-3.3-70b", None),
        ("meta-llama/Llama-3.3-70B", None),
        ("deepseek-r1", None),
    ],
)
def test_only_a_vendors_own_names_tell_the_provider(model: str, provider: str | None) -> None:
    assert provider_of_model(model) == provider
