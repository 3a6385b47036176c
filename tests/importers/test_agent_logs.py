"""Claude Code and Codex session logs: one call each, the last counts stand."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.usage import check_usage
from llm_cost_ops.importers import GROWING, detect
from tests.importers.reading import SAMPLES, items_of, sample, split


def assistant(mid: str, req: str | None, output: int, **usage: object) -> dict[str, object]:
    row: dict[str, object] = {
        "type": "assistant",
        "sessionId": "s",
        "uuid": f"{mid}-{output}",
        "timestamp": "2026-11-05T10:00:00.000Z",
        "message": {
            "id": mid,
            "model": "claude-opus-4-5-20251101",
            "usage": {"input_tokens": 5, "output_tokens": output, **usage},
        },
    }
    return row if req is None else {**row, "requestId": req}


def log(*rows: dict[str, object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


class TestClaudeCode:
    def test_the_sample(self) -> None:
        records, problems = sample("claude_code.jsonl")
        assert problems == []
        by_id = {record["event_id"]: record for record in records}
        assert list(by_id) == [
            "msg_01A:req_01A",
            "msg_01B:req_01B",
            "msg_01B:req_01C",
            "msg_01D:req_01D",
            "msg_01E",
            "msg_01F:req_01F",
            "msg_01F:req_01F:advisor-0",
            "msg_bdrk_01G:req_01G",
        ]
        assert by_id["msg_01A:req_01A"]["usage"] == {
            "input_tokens": 15004,
            "cache_read_tokens": 12000,
            "cache_write_tokens": 3000,
            "cache_write_5m_tokens": 500,
            "cache_write_1h_tokens": 2500,
            "output_tokens": 812,
            "web_searches": 2,
        }
        assert all(record[GROWING] is True for record in records)

    def test_time_and_attributes_are_those_of_the_first_line(self) -> None:
        record = sample("claude_code.jsonl")[0][0]
        assert record["timestamp"] == "2026-11-05T10:00:05Z"
        assert record["metadata"] == {
            "session_id": "5f0c7e8a-0000-4000-8000-000000000001",
            "project": "shop",
            "cwd": "/home/dev/shop",
            "version": "2.1.40",
            "git_branch": "main",
        }

    def test_tier_region_cost_host_and_side_conversations(self) -> None:
        by_id = {record["event_id"]: record for record in sample("claude_code.jsonl")[0]}
        fast = by_id["msg_01B:req_01B"]
        assert (fast["service_tier"], fast["region"]) == ("fast", "us")
        assert isinstance(fast["metadata"], dict)
        assert fast["metadata"]["claude_code_cost_usd"] == "0.0125"
        assert by_id["msg_bdrk_01G:req_01G"]["provider"] == "aws"
        side = by_id["msg_01D:req_01D"]["metadata"]
        assert isinstance(side, dict)
        assert (side["sidechain"], side["agent_id"]) == (True, "a1b2")

    def test_a_log_that_grew_changes_only_the_counts(self) -> None:
        short = log(assistant("msg_1", "r", 1), assistant("msg_1", "r", 7))
        long = short + log(assistant("msg_1", "r", 90), assistant("msg_2", "r2", 3))
        (before,) = split(items_of(short, "claude-code"))[0]
        after, second = split(items_of(long, "claude-code"))[0]
        assert before["usage"] == {"input_tokens": 5, "output_tokens": 7}
        assert after == {**before, "usage": {"input_tokens": 5, "output_tokens": 90}}
        assert second["event_id"] == "msg_2:r2"

    def test_one_message_id_under_two_requests_is_two_calls(self) -> None:
        text = log(assistant("msg_1", "a", 5), assistant("msg_1", "b", 5))
        assert len(split(items_of(text, "claude-code"))[0]) == 2

    def test_made_up_message_ids_are_unique_only_within_their_session(self) -> None:
        text = log(assistant("chat-1", None, 5), {**assistant("chat-1", None, 5), "sessionId": "t"})
        ids = [record["event_id"] for record in split(items_of(text, "claude-code"))[0]]
        assert ids == ["chat-1:s", "chat-1:t"]

    def test_a_side_conversations_copy_of_a_message_is_dropped_and_its_own_is_kept(self) -> None:
        copy = {**assistant("msg_1", "b", 2), "isSidechain": True}
        other = {**assistant("msg_1", "c", 2, cache_read_input_tokens=9), "isSidechain": True}
        text = log(assistant("msg_1", "a", 5), copy, other)
        ids = [record["event_id"] for record in split(items_of(text, "claude-code"))[0]]
        assert ids == ["msg_1:a", "msg_1:c"]

    def test_what_is_no_call_is_passed_over_and_what_is_broken_is_told(self) -> None:
        text = (
            log({"type": "user", "message": {"content": 'about "usage": {}'}})
            + '{"type": "assistant", "message": {"usage": {"input_tok\n'
            + log({"type": "assistant", "message": {"id": "x", "usage": {"input_tokens": 1}}})
            + log(assistant("msg_2", "r", -4))
            + '{"a": 1, "a": 2, "usage": 1}\n'
            + '{"usage": NaN}\n'
            + log(assistant("msg_3", "r", 4))
        )
        records, problems = split(items_of(text, "claude-code"))
        assert [record["event_id"] for record in records] == ["msg_3:r"]
        assert [(p.line, p.field) for p in problems] == [
            (2, None), (5, None), (6, None), (3, "message.model"), (4, "usage.output_tokens"),
        ]  # fmt: skip

    def test_lines_without_any_id_are_calls_of_their_own(self) -> None:
        row: dict[str, object] = {
            "timestamp": "2026-11-05T10:00:00Z",
            "message": {"model": "claude-opus-4-5", "usage": {"input_tokens": 5}},
        }
        text = log(row, row)
        first, second = split(items_of(text, "claude-code"))[0]
        assert second == {**first, "event_id": f"{first['event_id']}-1"}
        assert detect(text.encode(), "") == "claude-code"

    def test_the_stream_of_a_headless_run(self) -> None:
        first: dict[str, object] = {
            "type": "system",
            "subtype": "init",
            "session_id": "s-1",
            "cwd": "/x",
        }
        row = {**assistant("msg_1", None, 4), "session_id": "s-1"}
        del row["sessionId"]
        result = {"type": "result", "usage": {"input_tokens": 5, "output_tokens": 4}}
        text = log(first, row, result)
        (record,) = split(items_of(text, detect(text.encode(), "")))[0]
        assert record["event_id"] == "msg_1"
        assert record["metadata"] == {"session_id": "s-1"}

    def test_half_a_surrogate_pair_in_the_text_does_not_lose_the_call(self) -> None:
        row = assistant("msg_1", "r", 4)
        text = json.dumps({**row, "cwd": "/home/dev/x"}).replace("dev/x", "dev/\\ud83d")
        (record,) = split(items_of(text, "claude-code"))[0]
        assert isinstance(record["metadata"], dict)
        assert record["metadata"]["project"] == "?"

    def test_models_of_other_vendors(self) -> None:
        row = assistant("msg_1", "r", 4)
        assert isinstance(row["message"], dict)
        row["message"]["model"] = "deepseek-chat"
        (record,) = split(items_of(log(row), "claude-code"))[0]
        assert record["provider"] == "deepseek"
        row["message"]["model"] = "some-model"
        (record,) = split(items_of(log(row), "claude-code"))[0]
        assert record["provider"] == "anthropic"
        (record,) = split(items_of(log(row), "claude-code", provider="zai"))[0]
        assert record["provider"] == "zai"


@given(
    lines=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.integers(0, 9)), max_size=30
    ),
    cut=st.integers(0, 30),
)
def test_any_beginning_of_a_log_names_its_calls_alike(
    lines: list[tuple[str, str, int]], cut: int
) -> None:
    """What was read from a part of the log is what the whole log corrects, never another call."""
    rows = [assistant(f"msg_{mid}", req, output) for mid, req, output in lines]
    whole = {r["event_id"]: r for r in split(items_of(log(*rows), "claude-code"))[0]}
    part = split(items_of(log(*rows[:cut]), "claude-code"))[0]
    assert {record["event_id"] for record in part} <= whole.keys()
    for record in part:
        later = whole[record["event_id"]]
        assert {**later, "usage": None} == {**record, "usage": None}
    last = {f"msg_{mid}:{req}": output for mid, req, output in lines}
    for event_id, record in whole.items():
        usage = record["usage"]
        assert isinstance(usage, dict)
        assert usage.get("output_tokens", 0) == last[str(event_id)]
        assert check_usage(usage) == usage


def usage(*counts: int) -> dict[str, int]:
    names = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens")
    return dict(zip(names, counts, strict=True))


def token_count(second: int, total: dict[str, int] | None, last: dict[str, int] | None) -> str:
    info = {"total_token_usage": total, "last_token_usage": last}
    return json.dumps(
        {"timestamp": f"2026-06-01T08:00:{second:02d}.000Z", "type": "event_msg",
         "payload": {"type": "token_count", "info": info}}
    ) + "\n"  # fmt: skip


HEAD = (
    '{"timestamp": "2026-06-01T08:00:00Z", "type": "session_meta", "payload": {"id": "s-1"}}\n'
    '{"timestamp": "2026-06-01T08:00:00Z", "type": "turn_context",'
    ' "payload": {"model": "gpt-5.4"}}\n'
)


class TestCodex:
    def test_growth_of_the_running_total(self) -> None:
        records, problems = sample("codex.jsonl")
        assert problems == []
        assert [record["usage"] for record in records] == [
            {"input_tokens": 10000, "cache_read_tokens": 8000, "output_tokens": 300,
             "output_reasoning_tokens": 100},
            {"input_tokens": 12000, "cache_read_tokens": 10000, "output_tokens": 400,
             "output_reasoning_tokens": 150},
            {"input_tokens": 3000, "output_tokens": 50, "output_reasoning_tokens": 10},
            {"output_tokens": 10},
        ]  # fmt: skip
        assert [record["model"] for record in records] == ["gpt-5.4"] * 2 + ["gpt-5.4-mini"] * 2
        assert [record.get("service_tier") for record in records] == [None, None] + ["priority"] * 2
        assert records[0]["metadata"] == {
            "session_id": "019f0000-0000-7000-8000-00000000000a",
            "turn_id": "t-1",
            "project": "shop",
            "cwd": "/home/dev/shop",
            "version": "0.140.0",
            "originator": "codex_cli_rs",
            "git_branch": "main",
        }

    def test_records_of_responses_and_their_mirrors_are_one_call(self) -> None:
        records, problems = sample("codex_records.jsonl")
        assert problems == []
        assert [(record["event_id"], record["usage"]) for record in records] == [
            ("resp_1", {"input_tokens": 14768, "cache_read_tokens": 12160,
                        "cache_write_tokens": 100, "output_tokens": 5}),
            ("resp_compact", {"input_tokens": 20000, "output_tokens": 900}),
            ("resp_2", {"input_tokens": 1000, "output_tokens": 50, "output_reasoning_tokens": 20}),
        ]  # fmt: skip

    def test_the_parents_history_in_a_fork_is_not_counted_again(self) -> None:
        records, problems = sample("codex_fork.jsonl")
        assert problems == []
        (record,) = records
        assert record["usage"] == {
            "input_tokens": 3000, "cache_read_tokens": 2000,
            "output_tokens": 50, "output_reasoning_tokens": 10,
        }  # fmt: skip
        assert record["model"] == "gpt-5.4-mini"
        assert isinstance(record["metadata"], dict)
        assert record["metadata"]["parent_session_id"] == "019fbcc4-2900-7000-8000-000000000001"

    def test_a_fork_without_a_turn_of_its_own_says_so(self) -> None:
        text = "".join((SAMPLES / "codex_fork.jsonl").read_text().splitlines(keepends=True)[:6])
        records, (problem,) = split(items_of(text, "codex"))
        assert records == []
        assert problem.skipped
        assert "all 2 token counts are copied" in problem.message

    @pytest.mark.parametrize(
        "turn",
        [
            '{"turn_id": "4b0e8d4e-53a0-4a3b-9d66-c0f7ad1f7a10", "started_at": 1785585603}',
            '{"model": "gpt-5.4-mini"}',
        ],
    )
    def test_turns_that_do_not_say_when_by_their_id(self, turn: str) -> None:
        lines = (SAMPLES / "codex_fork.jsonl").read_text().splitlines(keepends=True)
        old = '{"timestamp": "2026-08-01T12:00:00.5Z", "type": "turn_context", "payload": %s}\n'
        new = '{"timestamp": "2026-08-01T12:00:03.1Z", "type": "turn_context", "payload": %s}\n'
        before = old % turn.replace("1785585603", "1785578400")
        text = "".join([*lines[:2], before, *lines[4:6], new % turn, lines[8]])
        records, _ = split(items_of(text, "codex", model="gpt-5.4-mini"))
        assert [record["usage"] for record in records] == [
            {"input_tokens": 3000, "cache_read_tokens": 2000, "output_tokens": 50,
             "output_reasoning_tokens": 10}
        ]  # fmt: skip

    def test_a_total_that_begins_above_the_first_response_is_inherited(self) -> None:
        text = HEAD + token_count(1, usage(90, 0, 9, 0), usage(10, 0, 1, 0))
        (record,) = split(items_of(text, "codex"))[0]
        assert record["usage"] == {"input_tokens": 10, "output_tokens": 1}

    def test_only_totals_and_only_last_responses(self) -> None:
        text = (
            HEAD
            + token_count(1, usage(10, 0, 1, 0), None)
            + token_count(2, usage(30, 5, 2, 0), None)
        )
        assert [record["usage"] for record in split(items_of(text, "codex"))[0]] == [
            {"input_tokens": 10, "output_tokens": 1},
            {"input_tokens": 20, "cache_read_tokens": 5, "output_tokens": 1},
        ]
        text = (
            HEAD
            + token_count(1, None, usage(10, 0, 1, 0))
            + token_count(2, None, usage(10, 0, 1, 0))
        )
        records, _ = split(items_of(text, "codex"))
        assert len({record["event_id"] for record in records}) == 2

    def test_impossible_counts_and_missing_models_are_problems(self) -> None:
        text = HEAD + token_count(1, usage(10, 20, 1, 0), None)
        assert split(items_of(text, "codex"))[1][0].field == "cached_input_tokens"
        text = token_count(1, usage(10, 0, 1, 0), None)
        assert split(items_of(text, "codex"))[1][0].field == "model"
        (record,) = split(items_of(text, "codex", model="gpt-5.4"))[0]
        assert record["provider"] == "openai"

    def test_a_copy_of_the_file_elsewhere_names_the_same_calls(self) -> None:
        first, _ = sample("codex.jsonl")
        again = items_of((SAMPLES / "codex.jsonl").read_bytes(), "codex")
        assert split(again)[0] == first


@given(
    calls=st.lists(st.tuples(*[st.integers(0, 9)] * 4).filter(any), max_size=12),
    repeats=st.lists(st.integers(0, 3), min_size=12, max_size=12),
    cut=st.integers(0, 40),
)
def test_the_calls_add_up_to_the_last_total(
    calls: list[tuple[int, int, int, int]], repeats: list[int], cut: int
) -> None:
    """However often the totals are repeated; and any beginning of the log gives a beginning."""
    total, lines = (0, 0, 0, 0), []
    for second, (uncached, cached, output, reasoning) in enumerate(calls):
        step = (uncached + cached, cached, output + reasoning, reasoning)
        total = tuple(a + b for a, b in zip(total, step, strict=True))
        lines += [token_count(second, usage(*total), usage(*step))] * (1 + repeats[second])
    records, problems = split(items_of(HEAD + "".join(lines), "codex"))
    assert problems == []
    sums = [
        sum(r["usage"].get(kind, 0) for r in records)  # type: ignore[union-attr]
        for kind in (
            "input_tokens",
            "cache_read_tokens",
            "output_tokens",
            "output_reasoning_tokens",
        )
    ]
    assert tuple(sums) == total
    assert len({record["event_id"] for record in records}) == len(records) == len(calls)
    part, _ = split(items_of(HEAD + "".join(lines[:cut]), "codex"))
    assert part == records[: len(part)]
