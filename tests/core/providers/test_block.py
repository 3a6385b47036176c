"""The kept usage block: counts and labels only, bounded, exact."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.core.providers.extract import extract

COUNTS: dict[str, Any] = {"prompt_tokens": 1, "completion_tokens": 1}


def kept(**extra: Any) -> dict[str, Any]:
    block = extract("openai", {"usage": {**COUNTS, **extra}}).usage_block()["usage"]
    assert isinstance(block, dict)
    return {key: value for key, value in block.items() if key not in COUNTS}


@pytest.mark.parametrize(
    "value",
    [
        0,
        -(2**63) + 1,
        2**63 - 1,
        None,
        True,
        "x" * 64,
        {"a": 1, "b": None, "c": "label"},
        [{"a": 1}, {"b": "label"}],
        [],
        {},
    ],
)
def test_kept_as_it_is(value: object) -> None:
    assert kept(extra=value) == {"extra": value}


@pytest.mark.parametrize(
    "value",
    [
        2**63,
        -(2**63),
        "x" * 65,
        "é",
        "a\x00b",
        "a\nb",
        "\x7f",
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("1E+41"),
        Decimal("1." + "1" * 40),
        object(),
        b"bytes",
    ],
)
def test_left_out(value: object) -> None:
    assert kept(extra=value) == {}
    assert kept(extra={"inner": value, "other": 1}) == {"extra": {"other": 1}}
    assert kept(extra=[{"inner": value, "other": 1}]) == {"extra": [{"other": 1}]}
    assert kept(extra=[value, 1]) == {"extra": [1]}


@pytest.mark.parametrize(
    ("value", "exact"),
    [
        (0.1, Decimal("0.1")),
        (Decimal("0.10"), Decimal("0.10")),
        (1e-05, Decimal("0.00001")),
    ],
)
def test_fractions_become_exact(value: object, exact: Decimal) -> None:
    assert kept(extra=value, more={"inner": value}) == {"extra": exact, "more": {"inner": exact}}


def test_names_are_bounded() -> None:
    assert kept(**{"n" * 64: 1, "n" * 65: 1}) == {"n" * 64: 1, "n" * 65: 1}
    many = {f"{'n' * 60}{index:03}": 1 for index in range(20)}
    assert kept(**many, **{"n" * 65: 1}) == many
    assert kept(né=1) == {}
    assert kept(**{"a\x00b": 1, "c": 2}) == {"c": 2}
    assert kept(extra={"a\x00b": 1, "c": 2}) == {"extra": {"c": 2}}
    assert kept(extra={"né": 1, "a": 1}) == {"extra": {"a": 1}}


def test_lists_are_bounded() -> None:
    assert kept(extra=[{"a": 1}] * 64) == {"extra": [{"a": 1}] * 64}
    assert kept(extra=[{"a": 1}] * 65) == {"extra": [{"a": 1}] * 64}


def test_depth_is_bounded() -> None:
    deep: dict[str, Any] = {"n": 1}
    for _ in range(9):
        deep = {"d": deep}
    found = kept(extra=deep)
    depth = 0
    while found:
        depth += 1
        found = next(iter(found.values()))
    assert depth == 5


def test_of_a_body_without_a_block_only_what_was_read_is_kept() -> None:
    body = {
        "modelId": "m",
        "input": {"inputBodyJson": {"prompt": "the prompt"}, "inputTokenCount": 3},
        "output": {"outputBodyJson": {"text": "the answer"}, "outputTokenCount": 2},
    }
    assert extract("aws", body).usage_block() == {
        "input": {"inputTokenCount": 3},
        "output": {"outputTokenCount": 2},
    }


def test_of_listed_counts_only_names_and_counts_are_kept() -> None:
    titan = {"inputTextTokenCount": 1, "results": [{"tokenCount": 2, "outputText": "the answer"}]}
    assert extract("aws", titan).usage_block() == {
        "inputTextTokenCount": 1,
        "results": [{"tokenCount": 2}],
    }
    meta = {"metrics": [{"metric": "num_prompt_tokens", "value": 2, "unit": "tokens"}]}
    assert extract("meta", meta).usage_block() == {
        "metrics": [{"metric": "num_prompt_tokens", "value": 2}]
    }
