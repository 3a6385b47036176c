"""`cost-ops forecast` of what the ledger holds, on the local database and on a server."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.cli.conftest import Run, call
from tests.support.live import LiveServer

GENERATE = ("forecast", "generate", "--model", "linear")
LARGE = {"prompt_tokens": 1_000_000, "completion_tokens": 0}


def lines(days: int) -> bytes:
    """A call of 2.5 dollars a day up to yesterday, ten on the tenth last."""
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    rows: list[dict[str, Any]] = []
    for back in range(days, 0, -1):
        at = (noon - timedelta(days=back)).isoformat()
        for number in range(10 if back == 10 else 1):
            more = {"timestamp": at, "project_id": "search" if back % 2 else "chat"}
            rows.append(call(back * 100 + number, **LARGE, **more))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def spent(run: Run, ledger: str) -> None:
    assert run("ingest", "-f", "-", stdin=lines(40)).code == 0


@pytest.mark.usefixtures("spent")
class TestLocal:
    def test_the_table_has_a_plot_and_says_why(self, run: Run) -> None:
        ran = run(*GENERATE, "--horizon", 5)
        assert ran.code == 0, ran.err
        assert any("\u2800" <= letter <= "\u28ff" for letter in ran.out)
        assert "Model: linear, by day." in ran.out
        assert "Against the last period" in ran.out
        assert "(is not over, 0)" in ran.out

    def test_rows_and_json(self, run: Run) -> None:
        rows = list(csv.DictReader(io.StringIO(run(*GENERATE, "--horizon", 2, "-o", "csv").out)))
        assert list(rows[0]) == ["date", "value", "lower_bound", "upper_bound"]
        answer = run(*GENERATE, "--horizon", 2, "-o", "json").json()
        assert [each["value"] for each in answer["predictions"]] == [r["value"] for r in rows]
        assert answer["id"].startswith("fct_")
        assert "history" not in answer

    def test_each_project_by_itself(self, run: Run) -> None:
        asked = (*GENERATE, "--horizon", 2, "--group-by", "project")
        rows = list(csv.DictReader(io.StringIO(run(*asked, "-o", "csv").out)))
        assert [row["group"] for row in rows] == ["all"] * 2 + ["chat"] * 2 + ["search"] * 2
        drawn = run(*asked).out
        assert "search: " in drawn
        assert "USD in all, between" in drawn
        noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
        late = call(7, **LARGE, timestamp=(noon - timedelta(days=2)).isoformat(), project_id="new")
        assert run("ingest", "-f", "-", stdin=json.dumps(late).encode()).code == 0
        assert "new: Insufficient historical data" in run(*asked).out
        assert run("forecast", "--series", "x.csv", "--group-by", "project").code == 2

    def test_what_is_chosen(self, run: Run) -> None:
        whole = run(*GENERATE, "--horizon", 1, "-o", "json").json()
        part = run(*GENERATE, "--horizon", 1, "--filter", "project_id=chat", "--holiday",
                   "2026-01-01", "--timezone", "Europe/Berlin", "-o", "json").json()  # fmt: skip
        assert Decimal(part["predictions"][0]["value"]) < Decimal(whole["predictions"][0]["value"])
        assert part["timezone"] == "Europe/Berlin"
        assert run(*GENERATE, "--filter", "project_id").code == 2
        weekly = run("forecast", "--model", "linear", "--interval", "week", "--horizon", 1)
        assert weekly.code == 1
        assert "FORECAST_001" in weekly.err

    def test_anomalies(self, run: Run) -> None:
        ran = run("forecast", "anomalies")
        assert ran.code == 0, ran.err
        assert "USD" in ran.out
        rows = run("forecast", "anomalies", "--group-by", "model", "--method", "zscore",
                   "--threshold", "3", "-o", "json").rows()  # fmt: skip
        assert [(row["value"], row["actual_cost"]) for row in rows] == [("gpt-4o", "25")] or [
            Decimal(row["actual_cost"]) for row in rows
        ] == [25]
        assert "gpt-4o" in run("forecast", "anomalies", "--group-by", "model").out
        none = run("forecast", "anomalies", "--filter", "project_id=nobody")
        assert "No anomaly found." in none.out + none.err

    def test_a_budget_that_is_only_thought_of(self, run: Run) -> None:
        ran = run("forecast", "budget", "--amount", 1000, "--model", "linear")
        assert ran.code == 0, ran.err
        assert "not stored" in ran.out
        assert "low (on track)" in ran.out
        tight = run("forecast", "budget", "--amount", "1", "--period", "annual", "--filter",
                    "project_id=chat")  # fmt: skip
        assert "critical (exceeded)" in tight.out
        assert "likely on" in tight.out

    def test_the_budget_of_the_organization_or_another(self, run: Run) -> None:
        assert run("forecast", "budget").code != 0
        first = run("budgets", "create", "--name", "a", "--amount", 900, "--scope",
                    "project_id=chat", "-o", "json").json()  # fmt: skip
        several = run("forecast", "budget")
        assert (several.code, first["id"] in several.err) == (2, True)
        found = run("forecast", "budget", "--id", first["id"], "-o", "json").json()
        assert found["budget_id"] == first["id"]
        whole = run("budgets", "create", "--name", "all", "--amount", 900, "-o", "json").json()
        assert run("forecast", "budget", "-o", "json").json()["budget_id"] == whole["id"]
        assert run("forecast", "budget", "--id", first["id"], "--amount", 5).code == 2
        assert run("forecast", "budget", "--timezone", "UTC").code == 2


def test_too_few_days(run: Run, ledger: str) -> None:
    assert run("ingest", "-f", "-", stdin=lines(6)).code == 0
    ran = run(*GENERATE)
    assert (ran.code, ran.out) == (1, "")
    assert "Error [FORECAST_001]" in ran.err
    rate = run("forecast", "budget", "--amount", "1000", "--period", "annual")
    assert "by  average_rate, 6 days" in rate.out


def test_on_a_server(run: Run, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    _, key = live_server.new_organization()
    monkeypatch.setenv("COST_OPS_API_KEY", key)
    monkeypatch.setenv("COST_OPS_API_URL", live_server.base_url)
    assert run("ingest", "-f", "-", stdin=lines(20)).code == 0
    assert len(run(*GENERATE, "--horizon", 3, "-o", "json").json()["predictions"]) == 3
    assert run("forecast", "anomalies", "--method", "zscore", "-o", "json").code == 0
    assert run("forecast", "budget", "--amount", 5, "-o", "json").code == 0
