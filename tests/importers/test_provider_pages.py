"""Pages of the usage and cost APIs of OpenAI and Anthropic."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from llm_cost_ops.core.usage import check_usage
from llm_cost_ops.importers import AGGREGATE, GROWING, pop_signals
from tests.importers.reading import SAMPLES, items_of, sample, split


def page(*results: dict[str, object], start: int = 1793491200, end: int = 1793577600) -> str:
    bucket = {"object": "bucket", "start_time": start, "end_time": end, "results": list(results)}
    return json.dumps({"object": "page", "data": [bucket], "has_more": False})


COMPLETIONS = "organization.usage.completions.result"


class TestOpenaiUsage:
    def test_completions(self) -> None:
        records, problems = sample("openai_usage_completions.json")
        chat, batch, flex = records
        assert chat["usage"] == {
            "input_tokens": 120000,
            "cache_read_tokens": 80000,
            "cache_write_tokens": 5000,
            "input_audio_tokens": 10000,
            "cache_audio_read_tokens": 2000,
            "output_tokens": 9000,
            "output_audio_tokens": 1000,
            "requests": 40,
        }
        assert (chat["timestamp"], chat["service_tier"]) == ("2026-11-01T00:00:00Z", "standard")
        assert (chat["project_id"], chat["api_key_id"]) == ("proj_alpha", "key_1")
        assert "processing" not in chat
        assert (batch["processing"], batch["user_id"]) == ("batch", "user-7")
        assert (flex["service_tier"], flex["timestamp"]) == ("flex", "2026-11-02T00:00:00Z")
        assert [(p.line, p.field) for p in problems] == [(4, "model")]
        assert pop_signals(chat) == {GROWING, AGGREGATE}
        assert not any(name.startswith("_") for name in chat)

    def test_the_other_reports(self) -> None:
        records, problems = sample("openai_usage_others.jsonl")
        assert [(record["model"], record["usage"]) for record in records] == [
            ("text-embedding-3-small", {"input_tokens": 2000000, "requests": 31}),
            ("dall-e-3", {"output_images": 12, "requests": 6}),
            ("tts-1", {"input_characters": 4500, "requests": 3}),
            ("whisper-1", {"audio_seconds": 3600, "requests": 2}),
            ("omni-moderation-latest", {"input_tokens": 900, "requests": 9}),
            ("code-interpreter", {"code_executions": 5}),
            ("file-search", {"storage_searches": 8}),
            ("gpt-5.4", {"web_searches": 7}),
        ]
        assert [problem.field for problem in problems] == ["object"]
        assert "vector_stores" in problems[0].message

    def test_every_count_is_one_that_the_ledger_takes(self) -> None:
        for name in ("openai_usage_completions.json", "openai_usage_others.jsonl"):
            for record in sample(name)[0]:
                usage = record["usage"]
                assert isinstance(usage, dict)
                assert check_usage(usage) == usage

    def test_the_same_bucket_with_other_counts_keeps_its_id(self) -> None:
        def event_id(**values: object) -> object:
            result = {"object": COMPLETIONS, "model": "m", "num_model_requests": 1, **values}
            return split(items_of(page(result), "openai-usage"))[0][0]["event_id"]

        first = event_id(input_tokens=5, project_id="p", batch=False)
        assert event_id(input_tokens=9, project_id="p", batch=False) == first
        assert event_id(input_tokens=9, project_id="p", batch=False, user_id=None) == first
        for other in ({"project_id": "q"}, {"batch": True}, {"model": "n"}, {"new_group": "x"}):
            values: dict[str, object] = {"input_tokens": 5, "project_id": "p", "batch": False}
            assert event_id(**{**values, **other}) != first

    def test_a_pull_of_other_buckets_is_another_call(self) -> None:
        result = {"object": COMPLETIONS, "model": "m", "input_tokens": 5}
        ids = {
            record["event_id"]
            for end in (1793577600, 1793494800)
            for record in split(items_of(page(result, end=end), "openai-usage"))[0]
        }
        assert len(ids) == 2

    def test_pages_in_an_array_and_one_after_the_other(self) -> None:
        one = page({"object": COMPLETIONS, "model": "m", "input_tokens": 5})
        two = page({"object": COMPLETIONS, "model": "m", "input_tokens": 6}, start=1793404800)
        array = items_of(f"[{one},{two}]", "openai-usage")
        assert len(array) == 2
        assert items_of(f"{one}\n{two}\n", "openai-usage") == array
        assert items_of(one + two, "openai-usage") == array

    def test_a_model_of_the_caller_for_ungrouped_pages(self) -> None:
        text = page({"object": COMPLETIONS, "model": None, "input_tokens": 5})
        (record,) = split(items_of(text, "openai-usage", model="gpt-5.4"))[0]
        assert record["model"] == "gpt-5.4"

    @pytest.mark.parametrize(
        ("text", "field"),
        [
            (page({"object": COMPLETIONS, "model": "m", "input_tokens": -1}), "input_tokens"),
            (page({"object": COMPLETIONS, "model": "m", "input_tokens": 1.5}), "input_tokens"),
            (page({"object": "organization.costs.result"}), "object"),
            (page({"model": "m"}), "object"),
            ('{"data": [{"start_time": "soon", "results": [{}]}]}', "start_time"),
            ('{"data": [{"results": [{}]}]}', "start_time"),
            ('{"data": [{"start_time": 1793491200}]}', "results"),
            ('{"data": [{"start_time": 1793491200, "results": [7]}]}', "results"),
            ('{"error": {"message": "no"}}', "results"),
        ],
    )
    def test_what_is_no_result_is_a_problem(self, text: str, field: str) -> None:
        records, (problem,) = split(items_of(text, "openai-usage"))
        assert records == []
        assert problem.field == field


class TestOpenaiCosts:
    def test_amounts_as_billed(self) -> None:
        records, problems = sample("openai_costs.json")
        assert [(r["model"], r["cost"], r.get("tokens_used"), r["currency"]) for r in records] == [
            ("gpt-5.4", Decimal("0.06000000000000000123"), 24000, "USD"),
            ("web search tool calls", Decimal("0.000015"), None, "USD"),
            ("unattributed", Decimal("4.25"), None, "USD"),
        ]
        assert records[0]["project_id"] == "proj_alpha"
        assert records[0]["timestamp"] == "2026-11-01T00:00:00Z"
        assert len({record["event_id"] for record in records}) == 3
        assert [problem.field for problem in problems] == ["amount.value"]

    def test_a_restated_amount_keeps_its_id(self) -> None:
        text = (SAMPLES / "openai_costs.json").read_text()
        before, _ = split(items_of(text, "openai-costs"))
        after, _ = split(
            items_of(text.replace("4.25", "4.5").replace("24.0", "25.0"), "openai-costs")
        )
        assert [r["event_id"] for r in after] == [r["event_id"] for r in before]
        assert after[2]["cost"] == Decimal("4.5")

    @pytest.mark.parametrize("value", ['"1.0"', "1e500", "NaN", "true"])
    def test_amounts_that_are_none(self, value: str) -> None:
        text = page({"object": "organization.costs.result", "amount": {"value": 0}})
        items = items_of(text.replace('"value": 0', f'"value": {value}'), "openai-costs")
        records, problems = split(items)
        if value == '"1.0"':
            assert records[0]["cost"] == Decimal("1.0")
        else:
            assert len(problems) == 1


class TestAnthropic:
    def test_usage(self) -> None:
        records, problems = sample("anthropic_usage.json")
        cached, batch = records
        assert cached["usage"] == {
            "input_tokens": 3200,
            "cache_read_tokens": 200,
            "cache_write_tokens": 1500,
            "cache_write_5m_tokens": 500,
            "cache_write_1h_tokens": 1000,
            "output_tokens": 500,
            "web_searches": 10,
        }
        assert (cached["region"], cached["service_tier"]) == ("us", "standard")
        assert (cached["project_id"], cached["api_key_id"]) == ("wrkspc_01", "apikey_01")
        assert (batch["processing"], batch.get("service_tier"), batch.get("region")) == (
            "batch", None, None,
        )  # fmt: skip
        assert [(p.line, p.field) for p in problems] == [(3, "model")]

    def test_fast_mode_is_a_tier(self) -> None:
        text = (
            (SAMPLES / "anthropic_usage.json")
            .read_text()
            .replace('"output_tokens": 0', '"output_tokens": 7')
        )
        records, _ = split(items_of(text, "anthropic-usage"))
        assert records[-1]["service_tier"] == "fast"

    def test_costs_are_cents(self) -> None:
        records, problems = sample("anthropic_costs.json")
        assert [(record["model"], record["cost"]) for record in records] == [
            ("claude-sonnet-4-5-20250929", Decimal("1.2345")),
            ("web-search", Decimal("0.30")),
            ("unattributed", Decimal("0.0000000012345")),
        ]
        assert [problem.field for problem in problems] == ["amount", "currency"]

    def test_a_restated_amount_keeps_its_id(self) -> None:
        text = (SAMPLES / "anthropic_costs.json").read_text()
        before, _ = split(items_of(text, "anthropic-costs"))
        after, _ = split(items_of(text.replace("123.45", "200"), "anthropic-costs"))
        assert [r["event_id"] for r in after] == [r["event_id"] for r in before]
        assert after[0]["cost"] == Decimal(2)


def test_reading_a_page_twice_gives_the_same_records() -> None:
    for name in (
        "openai_usage_completions.json", "openai_usage_others.jsonl", "openai_costs.json",
        "anthropic_usage.json", "anthropic_costs.json",
    ):  # fmt: skip
        assert sample(name) == sample(name)
