"""Whatever a file holds, a reader gives records and problems, or refuses the file; nothing else."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_cost_ops.importers import FORMATS, ImportFormatError, ImportProblem, parse_mapping
from tests.importers.reading import SAMPLES, items_of

TEXT_FORMATS = sorted(set(FORMATS) - {"parquet"})
SOURCES = [path for path in sorted(SAMPLES.iterdir()) if path.suffix in (".json", ".jsonl")]
OPTIONS: dict[str, object] = {"provider": "openai", "model": "gpt-5.4", "start": "2026-11-01"}
WRONG = st.sampled_from(
    [None, "", "x" * 600, -1, 1.5, 10**30, True, [], {}, [1], {"a": 1}, "1e999", "\ud83d", "null"]
)


def check(data: bytes | str, format: str) -> None:
    mapping = parse_mapping("prompt_tokens=n") if format in ("csv", "tsv") else None
    try:
        items = items_of(data, format, mapping=mapping, **OPTIONS)
    except ImportFormatError:
        return
    for item in items:
        if isinstance(item, ImportProblem):
            assert item.message
            assert item.line >= 0
        else:
            assert isinstance(item["source"], str)
            assert item["event_id"]
            assert not any(value is None or isinstance(value, float) for value in item.values())


@pytest.mark.parametrize("format", TEXT_FORMATS)
@given(data=st.binary(max_size=200))
@settings(max_examples=30)
def test_any_bytes(format: str, data: bytes) -> None:
    check(data, format)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "records", "results", "usage", "message", "type", "id"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("format", TEXT_FORMATS)
@given(values=st.lists(JSON, max_size=3))
@settings(max_examples=30)
def test_any_json(format: str, values: list[object]) -> None:
    check("\n".join(json.dumps(value) for value in values), format)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
@given(data=st.data())
@settings(max_examples=40)
def test_one_wrong_value_in_a_real_row(path: object, data: st.DataObject) -> None:
    """Every place of every sample, with something else in it: a problem at most, never a crash."""
    name = str(getattr(path, "name", ""))
    text = (SAMPLES / name).read_text()
    documents = (
        [json.loads(text)]
        if name.endswith(".json") and name != "records.json"
        else [json.loads(line) for line in text.splitlines() if _whole(line)]
    )
    places = [place for document in documents for place in _places(document)]
    if not places:
        return
    holder, key = data.draw(st.sampled_from(places))
    holder[key] = data.draw(WRONG)
    check("\n".join(json.dumps(document) for document in documents), _format_of(name))


def _whole(line: str) -> bool:
    try:
        value = json.loads(line)
    except ValueError:
        return False
    return not any(isinstance(v, float) and math.isnan(v) for v in _leaves(value))


def _leaves(value: object) -> list[object]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in _leaves(inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in _leaves(inner)]
    return [value]


def _places(value: object) -> list[tuple[dict[str, object], str]]:
    if isinstance(value, dict):
        inner = [place for member in value.values() for place in _places(member)]
        return [(value, key) for key in value] + inner
    if isinstance(value, list):
        return [place for member in value for place in _places(member)]
    return []


def _format_of(name: str) -> str:
    known = {"records": "jsonl", "claude": "claude-code", "codex": "codex", "helicone": "helicone",
             "langfuse": "langfuse", "litellm": "litellm", "openai_usage": "openai-usage",
             "openai_costs": "openai-costs", "anthropic_usage": "anthropic-usage",
             "anthropic_costs": "anthropic-costs"}  # fmt: skip
    return next((value for key, value in known.items() if name.startswith(key)), "responses")
