"""`query` and `summary`."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tests.cli.conftest import Run, call, write_lines

EVERY = ("--range", "all-time")


@pytest.fixture
def calls(run: Run, ledger: str, place: Path) -> None:
    """Six calls: two models, two projects, two days, one without a price, one in euros."""
    rows = [
        call(1, project_id="web", user_id="ann", tags=["a"], metadata={"customer": "x"}),
        call(2, project_id="web", user_id="bob", tags=["a", "b"]),
        call(3, project_id="app", timestamp="2026-11-06T23:30:00Z"),
        call(4, model="gpt-4o-mini", project_id="app"),
        call(5, model="no-such-model", project_id="app"),
        {
            "event_id": "euro", "model": "m", "cost": "2.5", "tokens_used": 1, "currency": "EUR",
            "timestamp": "2026-11-05T12:00:00Z",
        },
    ]  # fmt: skip
    assert run("ingest", write_lines(place / "c.jsonl", rows), "--format", "jsonl").code == 0


@pytest.mark.usefixtures("calls")
class TestQuery:
    def test_calls_the_newest_first(self, run: Run) -> None:
        rows = run("query", *EVERY, "-o", "json").rows()
        assert len(rows) == 6
        assert rows[0]["event_id"] == "evt-3"
        assert rows[0]["total_cost"] == "0.0075"

    def test_the_last_day_unless_told_otherwise(self, run: Run) -> None:
        named = run("query", "--range", "last-24-hours", "-o", "json").rows()
        assert run("query", "-o", "json").rows() == named

    @pytest.mark.parametrize(
        ("arguments", "events"),
        [
            (("--provider", "openai", "--model", "gpt-4o"), {"evt-1", "evt-2", "evt-3"}),
            (("--model", "gpt-4o-mini", "--model", "no-such-model"), {"evt-4", "evt-5"}),
            (("--project", "web"), {"evt-1", "evt-2"}),
            (("--user", "ann"), {"evt-1"}),
            (("--tag", "a"), {"evt-1", "evt-2"}),
            (("--tag", "a", "--tag", "b"), {"evt-2"}),
            (("--metadata", "customer=x"), {"evt-1"}),
            (("--filter", "cost_status=unpriced"), {"evt-5"}),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
    )
    def test_filters(self, run: Run, arguments: tuple[str, ...], events: set[str]) -> None:
        rows = run("query", *EVERY, *arguments, "-o", "json").rows()
        assert {row["event_id"] for row in rows} == events

    def test_dates_with_the_last_day_included_in_a_zone(self, run: Run) -> None:
        dates = ("--start-date", "2026-11-06", "--end-date", "2026-11-06")
        assert len(run("query", *dates, "-o", "json").rows()) == 1
        berlin = run("query", *dates, "--timezone", "Europe/Berlin", "-o", "json").rows()
        assert berlin == []

    def test_a_period_and_dates_contradict(self, run: Run) -> None:
        assert run("query", *EVERY, "--start-date", "2026-11-01").code == 2

    @pytest.mark.parametrize("entry", ["customer", "=x"])
    def test_a_filter_that_is_none(self, run: Run, entry: str) -> None:
        assert run("query", "--metadata", entry).code == 2

    def test_groups_with_metrics_in_order(self, run: Run) -> None:
        rows = run(
            "query", *EVERY, "--group-by", "project,model", "--metrics", "avg,p95",
            "--order-by", "-total_cost", "--filter", "currency=USD", "-o", "json",
        ).rows()  # fmt: skip
        first = rows[0]
        assert (first["project"], first["model"], first["requests"]) == ("web", "gpt-4o", 2)
        assert (first["total_cost"], first["avg"], first["p95"]) == ("0.015", "0.0075", "0.0075")

    def test_unpriced_is_a_word_and_a_count_and_never_zero(self, run: Run) -> None:
        shown = run("query", *EVERY, "--model", "no-such-model").out
        assert "unpriced" in shown
        assert "0.00" not in shown
        grouped = run("query", *EVERY, "--group-by", "model")
        line = next(line for line in grouped.out.splitlines() if "no-such-model" in line)
        assert "unpriced" in line
        assert "1 unpriced, not in the total" in grouped.out

    def test_currencies_have_totals_of_their_own(self, run: Run) -> None:
        for arguments in ((), ("--group-by", "project")):
            out = run("query", *EVERY, *arguments).out
            assert "Total EUR 2.50" in out
            assert "Total USD 0.02295" in out

    def test_groups_by_tag_overlap_and_have_no_total(self, run: Run) -> None:
        assert "Total" not in run("query", *EVERY, "--group-by", "tag").out

    def test_more_than_the_limit_is_told(self, run: Run) -> None:
        ran = run("query", *EVERY, "--limit", 2, "-o", "json")
        assert len(ran.rows()) == 2
        assert ran.json()["has_more"] is True
        assert "There are more than 2" in ran.err
        grouped = run("query", *EVERY, "--group-by", "model", "--limit", 1)
        assert "There are more than 1 groups" in grouped.err

    def test_all_rows(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        from llm_cost_ops.cli import connect

        monkeypatch.setattr(connect, "SERVER_PAGE_LIMIT", 2)
        rows = run("query", *EVERY, "--all", "-o", "jsonl").out.splitlines()
        assert len(rows) == 6
        assert len(set(rows)) == 6

    def test_named_fields(self, run: Run) -> None:
        out = run("query", *EVERY, "--fields", "event_id,total_cost", "-o", "csv").out
        rows = {row["event_id"]: row["total_cost"] for row in csv.DictReader(io.StringIO(out))}
        assert rows["evt-1"] == "0.0075"
        assert rows["evt-5"] == ""

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--group-by", "nonsense"),
            ("--range", "nonsense"),
            ("--start-date", "tomorrow"),
            ("--start-date", "2026-11-02", "--end-date", "2026-11-01"),
            ("--timezone", "Mars/Olympus"),
            ("--filter", "nonsense=1"),
            ("--metrics", "avg"),
            ("--fields", "nonsense"),
        ],
        ids=" ".join,
    )
    def test_what_the_api_refuses_is_a_wrong_argument(
        self, run: Run, arguments: tuple[str, ...]
    ) -> None:
        ran = run("query", *arguments)
        assert ran.code == 2
        assert ran.out == ""
        assert ran.err.count("\n") == 1


@pytest.mark.usefixtures("calls")
class TestSummary:
    def test_in_every_currency(self, run: Run) -> None:
        shown = run("summary", "--period", "all-time", "-o", "json").json()
        assert shown["total_requests"] == 6
        assert shown["unpriced_count"] == 1
        totals = {row["currency"]: row["total_cost"] for row in shown["currencies"]}
        assert totals == {"EUR": "2.5", "USD": "0.02295"}
        table = run("summary", "--period", "all-time").out
        assert "EUR 2.50" in table
        assert "USD 0.02295" in table
        assert "1 unpriced, not in the total" in table

    def test_broken_down(self, run: Run) -> None:
        arguments = ("--period", "all-time", "--breakdown", "provider,model")
        rows = run("summary", *arguments, "-o", "json").json()["breakdown"]
        assert rows[0]["model"] == "m"
        lines = run("summary", *arguments, "-o", "csv").out.splitlines()
        assert len(lines) == 1 + len(rows)
        assert "gpt-4o-mini" in run("summary", *arguments).out

    def test_filtered(self, run: Run) -> None:
        shown = run("summary", "--period", "all-time", "--project", "web", "-o", "json").json()
        assert (shown["total_requests"], shown["total_cost"]) == (2, "0.015")

    def test_nothing_unpriced_as_zero(self, run: Run) -> None:
        out = run("summary", "--period", "all-time", "--model", "no-such-model").out
        assert "USD unpriced" in out

    def test_the_last_thirty_days_unless_told_otherwise(self, run: Run) -> None:
        assert run("summary", "-o", "json").json()["period"] == "last-30-days"


def test_an_empty_ledger(run: Run, ledger: str) -> None:
    assert run("query").out == "Nothing found.\n"
    shown = run("summary", "-o", "json").json()
    assert (shown["total_requests"], shown["total_cost"]) == (0, 0)
