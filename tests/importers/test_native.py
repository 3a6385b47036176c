"""Our own records and raw provider responses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.importers.reading import items_of, sample, split


class TestRecords:
    def test_the_sample(self) -> None:
        records, problems = sample("records.json")
        assert [record["event_id"] for record in records] == [
            "rec-1",
            records[1]["event_id"],
            f"{records[1]['event_id']}-1",
            "legacy-7",
            "rec-last",
        ]
        assert {record["source"] for record in records} == {"file", "app"}
        assert [problem.line for problem in problems] == [10, 11, 12]

    def test_numbers_stay_exact(self) -> None:
        records, _ = sample("records.json")
        assert str(records[0]["metadata"]) == "{'ratio': Decimal('0.30000000000000004')}"

    def test_a_model_given_as_an_object_is_its_name(self) -> None:
        records, _ = sample("records.json")
        assert records[3]["model"] == "gpt-5.4"
        assert records[3]["metadata"] == {
            "model_version": "2026-03-05", "model_context_window": 400000,
        }  # fmt: skip
        assert "project_id" not in records[3]

    def test_one_record_alone_in_a_file(self) -> None:
        text = '{\n "provider": "p",\n "model": "m",\n "prompt_tokens": 1\n}'
        (record,) = split(items_of(text, "json"))[0]
        assert record["prompt_tokens"] == 1

    def test_the_caller_fills_provider_and_model_but_does_not_replace_them(self) -> None:
        text = '{"prompt_tokens": 1}\n{"provider": "a", "model": "b", "prompt_tokens": 1}\n'
        records, _ = split(items_of(text, "jsonl", provider="openai", model="gpt-5.4"))
        assert [(r["provider"], r["model"]) for r in records] == [
            ("openai", "gpt-5.4"), ("a", "b"),
        ]  # fmt: skip


@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"provider": st.just("openai"), "model": st.text(max_size=3)},
            optional={"prompt_tokens": st.integers(0, 3), "event_id": st.text("abc", min_size=1)},
        ),
        max_size=20,
    )
)
def test_lines_array_and_wrapper_give_the_same_records(rows: list[dict[str, object]]) -> None:
    lines = items_of("".join(json.dumps(row) + "\n" for row in rows), "jsonl")
    assert items_of(json.dumps(rows, indent=2), "json") == lines
    assert items_of(json.dumps({"records": rows}), "json") == lines
    unnamed = [
        r["event_id"] for r, row in zip(split(lines)[0], rows, strict=True) if "event_id" not in row
    ]
    assert len(set(unnamed)) == len(unnamed)


class TestResponses:
    def test_envelopes_bare_bodies_and_bad_lines(self) -> None:
        records, problems = sample("responses.jsonl", "responses")
        assert [record["event_id"] for record in records] == [
            "chatcmpl-1", records[1]["event_id"], f"{records[1]['event_id']}-1",
        ]  # fmt: skip
        assert records[0]["project_id"] == "proj-1"
        assert [(p.line, p.field) for p in problems] == [
            (2, "provider"), (3, "provider"), (6, "response"), (7, None), (8, None),
        ]  # fmt: skip

    def test_the_caller_names_the_provider_of_bare_bodies(self) -> None:
        text = (
            '{"id": "chatcmpl-2", "created": 1793959201, "model": "gpt-5.4-mini", "usage": {}}\n'
            '{"responseId": "gem-1", "modelVersion": "g", "createTime": "2026-11-06T10:00:02.5Z",'
            ' "usageMetadata": {}}\n'
            '{"model": "llama3.2", "created_at": "2026-11-06T10:00:03.123456789Z", "done": true}\n'
            '{"usage": {"inputTokens": 3}}\n'
        )
        records, problems = split(items_of(text, "responses", provider="openai", model="given"))
        assert problems == []
        assert [record.get("timestamp") for record in records] == [
            "2026-11-06T10:00:01Z", "2026-11-06T10:00:02.500000Z",
            "2026-11-06T10:00:03.123456Z", None,
        ]  # fmt: skip
        assert [record["event_id"] for record in records][:2] == ["chatcmpl-2", "gem-1"]
        assert [record.get("model") for record in records] == [None, None, None, "given"]
        assert {record["provider"] for record in records} == {"openai"}

    def test_openai_batch_results(self) -> None:
        records, problems = sample("openai_batch.jsonl")
        assert [record["event_id"] for record in records] == ["chatcmpl-9", "batch_req_2"]
        assert {record["processing"] for record in records} == {"batch"}
        assert {record["provider"] for record in records} == {"openai"}
        assert records[0]["metadata"] == {"custom_id": "row-1"}
        assert [(p.line, p.skipped) for p in problems] == [(3, True), (4, True)]

    def test_batch_results_without_a_line_id_need_a_provider(self) -> None:
        line = (
            '{"custom_id": "r", "response": {"status_code": 200, "body": {"id": "x", "usage": {}}}}'
        )
        (problem,) = split(items_of(line, "responses"))[1]
        assert problem.field == "provider"
        (record,) = split(items_of(line, "responses", provider="mistral"))[0]
        assert (record["provider"], record["processing"]) == ("mistral", "batch")

    def test_anthropic_and_gemini_batch_results(self) -> None:
        records, problems = sample("anthropic_batch.jsonl")
        assert records[0]["provider"] == "anthropic"
        assert records[0]["processing"] == "batch"
        assert [problem.skipped for problem in problems] == [True, True]
        records, _ = sample("gemini_batch.jsonl", provider="google")
        assert records[0]["processing"] == "batch"
        assert records[0]["event_id"] == "gem-7"

    def test_an_array_of_envelopes(self) -> None:
        text = '[{"provider": "openai", "response": {"id": "a", "data": [{"x": 1}], "usage": {}}}]'
        (record,) = split(items_of(text, "responses"))[0]
        assert record["event_id"] == "a"

    def test_one_response_over_several_lines(self) -> None:
        text = json.dumps({"id": "a", "object": "list", "data": [{}], "usage": {}}, indent=2)
        (record,) = split(items_of(text, "responses", provider="openai"))[0]
        assert record["event_id"] == "a"

    @pytest.mark.parametrize(
        "body", ['{"response": {}}', '{"provider": "p", "response": null}', "{}"]
    )
    def test_a_line_without_a_body_is_a_problem(self, body: str) -> None:
        (problem,) = split(items_of(body, "responses", provider="openai"))[1]
        assert problem.field == "response"
