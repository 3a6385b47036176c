"""`cost-ops estimate`: offline, exact, one answer an item in order."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.conftest import SHARED, Run, write_lines

CASES = SHARED / "cases" / "cost_cases.jsonl"
GPT_4O = ("-p", "openai", "-m", "gpt-4o")


def item(**fields: object) -> dict[str, object]:
    return {"provider": "openai", "model": "gpt-4o", "usage": {"input_tokens": 1000}, **fields}


class TestInline:
    def test_one_call_with_its_lines(self, run: Run) -> None:
        ran = run("estimate", *GPT_4O, "--input-tokens", 1200, "--output-tokens", 300)
        assert ran.code == 0
        assert "0.006" in ran.out
        assert "input_tokens" in ran.out
        assert "output_tokens" in ran.out

    def test_every_quantity_has_an_option(self, run: Run) -> None:
        answer = run(
            "estimate", "-p", "anthropic", "-m", "claude-sonnet-4-5",
            "--input-tokens", 10_000, "--cached-tokens", 4000, "--cache-write-tokens", 1000,
            "--output-tokens", 500, "--reasoning-tokens", 100, "--usage", "web_searches=2",
            "--date", "2026-11-01", "-o", "json",
        ).rows()[0]  # fmt: skip
        assert answer["usage"] == {
            "input_tokens": 10_000,
            "cache_read_tokens": 4000,
            "cache_write_tokens": 1000,
            "output_tokens": 500,
            "output_reasoning_tokens": 100,
            "web_searches": 2,
        }
        assert answer["cost_status"] == "priced"

    @pytest.mark.parametrize(
        "arguments", [("-p", "openai"), ("-m", "gpt-4o"), ("--input-tokens", "1")]
    )
    def test_provider_and_model_are_needed(self, run: Run, arguments: tuple[str, ...]) -> None:
        ran = run("estimate", *arguments)
        assert ran.code == 2
        assert "--provider and --model are both needed" in ran.err

    def test_a_file_and_a_call_are_one_too_many(self, run: Run) -> None:
        assert run("estimate", "-f", "-", *GPT_4O).code == 2

    @pytest.mark.parametrize("usage", ["web_searches", "web_searches=", "web_searches=many"])
    def test_a_quantity_that_is_none(self, run: Run, usage: str) -> None:
        assert run("estimate", *GPT_4O, "--usage", usage).code == 2

    def test_an_unpriced_call_is_no_failure_and_never_zero(self, run: Run) -> None:
        ran = run("estimate", "-p", "openai", "-m", "no-such-model", "--input-tokens", 5)
        assert ran.code == 0
        assert "unpriced" in ran.out
        assert "0.00" not in ran.out

    def test_a_refused_call_is_a_failure(self, run: Run) -> None:
        ran = run("estimate", *GPT_4O, "--input-tokens", 5, "--cached-tokens", 6)
        assert ran.code == 1
        assert "refused" in ran.out


class TestFiles:
    def test_one_line_an_item_in_order_and_blank_lines_are_none(
        self, run: Run, place: Path
    ) -> None:
        items = [item(id=number, usage={"input_tokens": number}) for number in range(1, 6)]
        text = "\n\n".join(json.dumps(one) for one in items)
        (place / "items.jsonl").write_text(text, encoding="utf-8")
        ran = run("estimate", "-f", "items.jsonl", "-o", "jsonl")
        assert ran.code == 0
        assert [json.loads(line)["id"] for line in ran.out.splitlines()] == [1, 2, 3, 4, 5]

    def test_standard_input(self, run: Run) -> None:
        ran = run("estimate", "-f", "-", "-o", "jsonl", stdin=json.dumps(item()).encode())
        assert json.loads(ran.out, parse_float=Decimal)["total_cost"] == Decimal("0.0025")

    def test_a_byte_order_mark_is_no_part_of_the_first_item(self, run: Run) -> None:
        data = b"\xef\xbb\xbf" + json.dumps(item()).encode()
        assert run("estimate", "-f", "-", "-o", "jsonl", stdin=data).code == 0

    @pytest.mark.parametrize(
        "bad", [b"{", b"[]", b'{"provider":"openai"}', b'{"model":"\xff"}', b'{"x":1}']
    )
    def test_a_refused_item_answers_in_its_place(self, run: Run, bad: bytes) -> None:
        good = json.dumps(item(id="good")).encode()
        ran = run("estimate", "-f", "-", "-o", "jsonl", stdin=b"\n".join([good, bad, good]))
        assert ran.code == 1
        first, second, third = (json.loads(line) for line in ran.out.splitlines())
        assert first == third
        assert set(second) == {"id", "error"}

    def test_the_amounts_are_exact_in_every_format(self, run: Run) -> None:
        # 0.1 + 0.2 in binary floats would show.
        priced = {
            "input_tokens": {"price": "0.1", "per": 1},
            "requests": {"price": "0.2", "per": 1},
        }
        data = json.dumps(item(usage={"input_tokens": 1, "requests": 1}, prices=priced)).encode()
        for output in ("json", "jsonl", "csv", "yaml", "table"):
            out = run("estimate", "-f", "-", "-o", output, stdin=data).out
            assert "0.3" in out
            assert "0.30000000000000004" not in out

    def test_totals_are_per_currency_and_leave_out_what_has_no_price(
        self, run: Run, place: Path
    ) -> None:
        free = item(model="no-such-model")
        write_lines(place / "items.jsonl", [item(), item(), free])
        ran = run("estimate", "-f", "items.jsonl")
        assert "Total USD 0.005" in ran.out
        assert "1 unpriced, not in the total" in ran.out

    def test_nothing_in_nothing_out(self, run: Run) -> None:
        assert run("estimate", "-f", "-", "-o", "jsonl").out == ""
        assert run("estimate", "-f", "-", "-o", "json").json() == {"data": []}

    def test_another_price_book(self, run: Run, place: Path) -> None:
        (place / "book.jsonl").write_text("{}", encoding="utf-8")
        ran = run("estimate", *GPT_4O, "--input-tokens", 1, "--book", "book.jsonl")
        assert ran.code == 2
        assert ran.err.count("\n") == 1

    @pytest.mark.skipif(not CASES.exists(), reason="no shared cases")
    def test_the_shared_cases_with_their_own_prices(self, run: Run) -> None:
        ran = run("estimate", "-f", CASES, "-o", "jsonl")
        lines = CASES.read_text(encoding="utf-8").splitlines()
        cases = [json.loads(line, parse_float=Decimal) for line in lines]
        answers = [json.loads(line, parse_float=Decimal) for line in ran.out.splitlines()]
        assert ran.code == 0
        assert len(answers) == len(cases)
        wrong = [
            case["id"]
            for case, answer in zip(cases, answers, strict=True)
            if Decimal(str(case["expected_cost_usd_10dp"])) != answer["total_cost"]
        ]
        assert wrong == []


def test_it_loads_neither_server_nor_client_nor_tables() -> None:
    code = (
        "import sys; sys.argv = ['cost-ops']\n"
        "from llm_cost_ops.cli.app import run\n"
        "run(['estimate', '-p', 'openai', '-m', 'gpt-4o', '--input-tokens', '1', '-o', 'jsonl'])\n"
        "names = ('llm_cost_ops.server', 'pydantic', 'rich', 'requests', 'sqlalchemy', 'fastapi')\n"
        "sys.exit(sorted(m for m in sys.modules if m.startswith(names)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
