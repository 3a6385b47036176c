"""`pricing`: lists, own prices, files, discounts, deployments, re-rating, comparing."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

from tests.cli.conftest import Run, call, write_lines

WHEN = ("--start-date", "2026-11-01", "--end-date", "2026-11-30")
MINE = ("-p", "custom", "-m", "mine")


def own(run: Run) -> list[dict[str, object]]:
    return run("pricing", "list", "--source", "organization", "--all", "-o", "json").rows()


@pytest.mark.usefixtures("ledger")
class TestOwnPrices:
    def test_set_changed_and_ended(self, run: Run) -> None:
        made = run(
            "pricing", "add", *MINE, "--input-price", "0.20", "--output-price", "0.60",
            "--cached-price", "0.05", "--effective-date", "2026-01-01", "-o", "json",
        ).json()  # fmt: skip
        assert made["version"] == 1
        assert made["input_price_per_million"] == "0.2"
        assert made["cached_input_price_per_million"] == "0.05"
        changed = run("pricing", "update", made["id"], "--input-price", "0.18", "-o", "json").json()
        assert (changed["version"], changed["input_price_per_million"]) == (2, "0.18")
        assert changed["output_price_per_million"] == "0.6"
        shown = run("pricing", "get", made["id"], "-o", "json").json()
        assert len(shown["versions"]) == 2
        assert run("pricing", "delete", made["id"]).code == 0
        assert run("pricing", "list", "-p", "custom", "-o", "json").rows() == []
        assert len(own(run)) == 1

    def test_the_table_of_a_price_has_a_line_for_each_version(self, run: Run) -> None:
        made = run(
            "pricing", "add", *MINE, "--input-price", "0.25", "--output-price", "0.60", "-o", "json"
        ).json()  # fmt: skip
        run("pricing", "update", made["id"], "--input-price", "0.125")
        shown = run("pricing", "get", made["id"]).out
        lines = [line.split() for line in shown.splitlines()]
        assert [line[:3] for line in lines if line[:1] in (["1"], ["2"])] == [
            ["1", "0.250", "0.6"], ["2", "0.125", "0.6"],
        ]  # fmt: skip
        assert "{" not in shown

    def test_a_wrong_price_is_told_once_with_its_field(self, run: Run) -> None:
        ran = run("pricing", "add", *MINE, "--input-price", "abc", "--output-price", "1")
        assert ran.code == 2
        assert ran.err.count("must be a decimal number") == 1
        assert "input_price_per_million: must be" in ran.err

    def test_prices_are_exact(self, run: Run) -> None:
        made = run(
            "pricing", "add", *MINE, "--input-price", "0.1234567890123", "--output-price", "1",
            "-o", "json",
        ).json()  # fmt: skip
        assert made["input_price_per_million"] == "0.1234567890123"

    @pytest.mark.parametrize(
        ("option", "text"),
        [
            ("--prices", '{"requests": {"price": "0.01", "per": 1}}'),
            ("--structure", '{"type": "formula", "expression": "requests * 0.01"}'),
        ],
    )
    def test_other_structures(self, run: Run, option: str, text: str) -> None:
        assert run("pricing", "add", *MINE, option, text).code == 0
        assert len(own(run)) == 1

    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("--input-price", "cheap", "--output-price", "1"),
            ("--input-price", "-1", "--output-price", "1"),
            ("--input-price", "1", "--prices", "{}"),
            ("--prices", "{"),
            ("--input-price", "1", "--effective-date", "soon"),
            ("--input-price", "1", "--currency", "dollars"),
        ],
        ids=" ".join,
    )
    def test_what_is_no_price(self, run: Run, arguments: tuple[str, ...]) -> None:
        ran = run("pricing", "add", *MINE, *arguments)
        assert ran.code == 2
        assert ran.err.count("\n") == 1

    def test_what_is_not_there(self, run: Run) -> None:
        assert run("pricing", "get", "price_nonsense").code == 4
        ran = run("pricing", "get", "-p", "openai", "-m", "no-such-model")
        assert ran.code == 1
        assert ran.err.startswith("Error [COST_001]: Pricing table not found for openai/no-such")
        assert run("pricing", "get").code == 2
        assert run("pricing", "update", "price_nonsense").code == 2

    def test_the_book_is_listed_too(self, run: Run) -> None:
        rows = run("pricing", "list", "-p", "openai", "-m", "gpt-4o", "-o", "json").rows()
        assert {row["source"] for row in rows} == {"public"}
        assert "2.50" in run("pricing", "list", "-p", "openai", "-m", "gpt-4o").out

    def test_more_than_the_limit_is_told(self, run: Run) -> None:
        ran = run("pricing", "list", "--limit", 1, "-o", "json")
        assert len(ran.rows()) == 1
        assert "There are more than 1" in ran.err

    def test_calls_that_waited_are_priced_and_listed_until_then(
        self, run: Run, place: Path
    ) -> None:
        row = call(1, provider="custom", model="mine")
        run("ingest", write_lines(place / "c.jsonl", [row]))
        waiting = run("pricing", "unpriced", "-o", "json").rows()
        assert [(one["model"], one["unpriced_count"]) for one in waiting] == [("mine", 1)]
        made = run(
            "pricing", "add", *MINE, "--input-price", "1", "--output-price", "2",
            "--effective-date", "2026-11-01", "-o", "json",
        ).json()  # fmt: skip
        assert made["priced_records"] == 1
        assert "Every call has its price" in run("pricing", "unpriced").out
        assert run("verify", "-o", "json").json()["total_cost"] == "0.002"


@pytest.mark.usefixtures("ledger")
class TestFiles:
    CSV = (
        "provider,model,input_price,output_price,effective_date,currency\n"
        "custom,mine,1.10,2,2026-10-01,EUR\n"
        "custom,other,3,4,2026-10-01,USD\n"
    )

    def imported(self, run: Run, *arguments: str) -> tuple[int, list[str]]:
        ran = run("pricing", "import", *arguments, "-o", "json")
        return ran.code, [row["result"] for row in ran.document()["data"]]

    def test_again_changes_nothing(self, run: Run, place: Path) -> None:
        (place / "p.csv").write_text(self.CSV, encoding="utf-8")
        assert self.imported(run, "p.csv") == (0, ["created", "created"])
        assert self.imported(run, "p.csv") == (0, ["unchanged", "unchanged"])
        assert len(own(run)) == 2

    def test_other_terms_are_a_new_version(self, run: Run, place: Path) -> None:
        (place / "p.csv").write_text(self.CSV, encoding="utf-8")
        self.imported(run, "p.csv")
        (place / "p.csv").write_text(self.CSV.replace("1.10", "1.2"), encoding="utf-8")
        assert self.imported(run, "p.csv", "--dry-run") == (0, ["updated", "unchanged"])
        assert self.imported(run, "p.csv") == (0, ["updated", "unchanged"])
        assert sorted(str(row["version"]) for row in own(run)) == ["1", "2"]

    @pytest.mark.parametrize("suffix", ["json", "jsonl", "yaml", "wrapped.json"])
    def test_every_format_says_the_same(self, run: Run, place: Path, suffix: str) -> None:
        rows = [
            {
                "provider": "custom", "model": "mine", "currency": "EUR",
                "effective_date": "2026-10-01", "input_price": "1.10", "output_price": "2",
            }
        ]  # fmt: skip
        text = {
            "json": json.dumps(rows),
            "jsonl": json.dumps(rows[0]) + "\n" + json.dumps({**rows[0], "model": "b"}),
            "wrapped.json": json.dumps({"data": rows}),
            "yaml": "- provider: custom\n  model: mine\n  currency: EUR\n"
            "  effective_date: 2026-10-01\n  input_price: 1.10\n  output_price: 2\n",
        }[suffix]
        (place / f"p.{suffix}").write_text(text, encoding="utf-8")
        code, results = self.imported(run, f"p.{suffix}")
        assert (code, set(results)) == (0, {"created"})
        (place / "p.csv").write_text(self.CSV, encoding="utf-8")
        assert self.imported(run, "p.csv")[1][0] == "unchanged"

    def test_kinds_of_prices_and_standard_input(self, run: Run) -> None:
        row = {
            "provider": "custom", "model": "mine", "effective_date": "2026-10-01",
            "prices": {"requests": {"price": "0.01", "per": 1}},
        }  # fmt: skip
        data = json.dumps([row]).encode()
        assert run("pricing", "import", "-", stdin=data).code == 0
        assert "unchanged" in run("pricing", "import", "-", stdin=data).out

    def test_a_refused_row_is_told_and_the_others_are_set(self, run: Run, place: Path) -> None:
        text = self.CSV + "nonsense,x,1,2,2026-10-01,USD\ncustom,y,cheap,2,2026-10-01,USD\n"
        (place / "p.csv").write_text(text, encoding="utf-8")
        code, results = self.imported(run, "p.csv")
        assert (code, results) == (1, ["created", "created", "refused", "refused"])
        assert "must be one of" in run("pricing", "import", "p.csv").out

    @pytest.mark.parametrize("name", ["absent.csv", "bad.json", "bad.yaml", "text.json"])
    def test_a_file_that_is_none(self, run: Run, place: Path, name: str) -> None:
        (place / "bad.json").write_text("[{", encoding="utf-8")
        (place / "bad.yaml").write_text("a: [", encoding="utf-8")
        (place / "text.json").write_text('["x"]', encoding="utf-8")
        ran = run("pricing", "import", name)
        assert ran.code in (1, 2)
        assert ran.err.count("\n") == 1


@pytest.mark.usefixtures("ledger")
class TestContracts:
    def test_discounts_in_order(self, run: Run) -> None:
        add = ("pricing", "adjustments", "add", "-o", "json", "--label")
        first = run(*add, "deal", "--percent", "12.5", "-p", "openai").json()
        second = run(*add, "more", "--factor", "0.9", "--kind", "input_tokens").json()
        assert first["factor"] == "0.875"
        rows = run("pricing", "adjustments", "list", "-o", "json").rows()
        assert [row["label"] for row in rows] == ["deal", "more"]
        assert rows[1]["kinds"] == ["input_tokens"]
        assert run("pricing", "adjustments", "remove", second["id"]).code == 0
        assert len(run("pricing", "adjustments", "list", "-o", "json").rows()) == 1

    def test_percent_or_factor(self, run: Run) -> None:
        assert run("pricing", "adjustments", "add", "--label", "x").code == 2
        both = ("--percent", "1", "--factor", "1")
        assert run("pricing", "adjustments", "add", "--label", "x", *both).code == 2

    def test_deployments(self, run: Run, place: Path) -> None:
        assert run("pricing", "deployments", "set", "Chat-Prod", "-m", "gpt-4o").code == 0
        rows = run("pricing", "deployments", "list", "-o", "json").rows()
        assert [(row["deployment"], row["model"]) for row in rows] == [("chat-prod", "gpt-4o")]
        row = call(1, provider="azure", model="chat-prod")
        run("ingest", write_lines(place / "c.jsonl", [row]))
        assert run("summary", "--period", "all-time", "-o", "json").json()["unpriced_count"] == 0
        assert run("pricing", "deployments", "remove", "chat-prod").code == 0
        assert run("pricing", "deployments", "list", "-o", "json").rows() == []


@pytest.mark.usefixtures("ledger")
def test_re_rating_is_a_preview_until_it_is_applied(run: Run, place: Path) -> None:
    run("ingest", write_lines(place / "c.jsonl", [call(1)]))
    price = ("--input-price", "5", "--output-price", "20", "--effective-date", "2026-11-01")
    run("pricing", "add", "-p", "openai", "-m", "gpt-4o", *price)
    preview = run("pricing", "rerate", *WHEN, "-o", "json").json()
    assert (preview["records"], preview["difference"]) == (1, "0.0075")
    assert "rerate_id" not in preview
    assert run("verify", "-o", "json").json()["total_cost"] == "0.0075"
    applied = run("pricing", "rerate", *WHEN, "--apply", "-o", "json").json()
    assert applied["rerate_id"].startswith("rer_")
    assert run("verify", "-o", "json").json()["total_cost"] == "0.015"
    assert "1 calls examined, 0 changed" in run("pricing", "rerate", *WHEN, "--apply").out
    assert run("pricing", "rerate", "--start-date", "2026-11-01").code == 2


class TestDiff:
    """Offline: no database is there."""

    def book(self) -> str:
        data = resources.files("llm_cost_ops.core.pricing") / "data" / "book.jsonl"
        return data.read_text(encoding="utf-8")

    def test_the_same_book(self, run: Run, place: Path) -> None:
        (place / "book.jsonl").write_text(self.book(), encoding="utf-8")
        ran = run("pricing", "diff", "book.jsonl", "-o", "json")
        assert ran.json()["data"] == []
        assert run("pricing", "diff", "book.jsonl").out == "No price changes.\n"

    def test_a_model_that_is_gone_and_one_that_is_new(self, run: Run, place: Path) -> None:
        lines = self.book().splitlines()
        gone = json.loads(lines[1])
        fresh = lines[1].replace(json.dumps(gone["model"]), '"made-up-model"', 1)
        (place / "book.jsonl").write_text("\n".join([lines[0], fresh, *lines[2:]]) + "\n")
        rows = run("pricing", "diff", "book.jsonl", "-o", "json").rows()
        by_model = {(row["model"], row["action"]) for row in rows}
        assert by_model == {(gone["model"], "removed"), ("made-up-model", "added")}
        for row in rows:
            assert (row["old_price"] is None) == (row["action"] == "added")
            assert (row["new_price"] is None) == (row["action"] == "removed")

    def test_since_a_day(self, run: Run) -> None:
        rows = run("pricing", "diff", "--since", "2026-06-01", "-o", "json").rows()
        assert rows
        assert all(row["old_price"] != row["new_price"] for row in rows)
        openai = run(
            "pricing", "diff", "--since", "2026-06-01", "-p", "openai", "-o", "json"
        ).rows()
        assert openai == [row for row in rows if row["provider"] == "openai"]

    @pytest.mark.parametrize("since", ["yesterday", "2026-13-01"])
    def test_a_day_that_is_none(self, run: Run, since: str) -> None:
        assert run("pricing", "diff", "--since", since).code == 2

    def test_a_file_that_is_no_book(self, run: Run, place: Path) -> None:
        (place / "book.jsonl").write_text("{}\n", encoding="utf-8")
        assert run("pricing", "diff", "book.jsonl").code == 2
        assert run("pricing", "diff", "absent.jsonl").code in (1, 2)
