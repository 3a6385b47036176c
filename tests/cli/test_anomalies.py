"""`cost-ops forecast anomalies` as it is run: shapes, formats, standard input, refusals."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Run

FIELDS = ["date", "actual_cost", "expected_cost", "lower", "upper", "severity", "score"]
SPIKE = 55


@pytest.fixture
def daily(place: Path) -> Path:
    """Sixty days; on one of them ten times the usual."""
    day, rows = datetime.fromisoformat("2026-01-01"), ["date,value"]
    for index in range(60):
        value = 10 + (index * 7 % 5) / 10
        rows.append(f"{day.date()},{value * 10 if index == SPIKE else value:.2f}")
        day += timedelta(days=1)
    file = place / "daily.csv"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("method", ["auto", "zscore", "iqr", "mad", "seasonal"])
def test_json_has_the_flagged_points_alone(run: Run, daily: Path, method: str) -> None:
    answer = run(
        "forecast", "anomalies", "--series", daily, "--method", method, "-o", "json"
    ).json()
    assert list(answer) == ["data"]
    (row,) = answer["data"]
    assert list(row) == FIELDS
    assert row["date"] == "2026-02-25"
    assert row["actual_cost"] == 100
    assert float(row["lower"]) <= float(row["expected_cost"]) <= float(row["upper"]) < 100
    assert row["severity"] in ("high", "critical")


def test_csv_and_the_table(run: Run, daily: Path) -> None:
    ran = run("forecast", "anomalies", "--series", daily, "-o", "csv")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [list(row) for row in rows] == [FIELDS]
    shown = run("forecast", "anomalies", "--series", daily, "-o", "table")
    assert "2026-02-25" in shown.out
    assert "critical" in shown.out


def test_none_is_an_empty_list(run: Run, place: Path) -> None:
    file = place / "flat.csv"
    file.write_text("2026-01-01,1\n2026-01-02,1\n2026-01-03,1\n", encoding="utf-8")
    command = ("forecast", "anomalies", "--series", file)
    assert run(*command, "-o", "json").json() == {"data": []}
    assert run(*command, "-o", "csv").out == ",".join(FIELDS) + "\n"
    plain = run(*command, "--method", "zscore", "-o", "table")
    assert "No anomaly found." in plain.out
    assert plain.err == ""


@pytest.mark.parametrize("method", ["auto", "seasonal"])
@pytest.mark.parametrize(
    ("days", "table", "note"),
    [
        (1, "Nothing was judged.", "1 day; the first 21 are learnt from: nothing was judged"),
        (21, "Nothing was judged.", "21 days; the first 21 are learnt from: nothing was judged"),
        (22, "in the last 1 day.", "22 days; the first 21 are learnt from: 1 was judged"),
        (30, "in the last 9 days.", "30 days; the first 21 are learnt from: 9 were judged"),
    ],
)
def test_what_was_not_judged_is_told(
    run: Run, place: Path, method: str, days: int, table: str, note: str
) -> None:
    start = datetime.fromisoformat("2026-01-01")
    rows = [f"{(start + timedelta(days=day)).date()},{5 + day % 2}" for day in range(days)]
    file = place / "short.csv"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    command = ("forecast", "anomalies", "--series", file, "--method", method, "--interval", "day")
    shown = run(*command, "-o", "table")
    assert table in shown.out
    assert "No anomaly found." not in shown.out
    assert shown.err.strip() == note
    told = run(*command, "-o", "json")
    assert json.loads(told.out) == {"data": []}
    assert told.err.strip() == note


def test_steps_without_a_number_are_not_counted(run: Run, daily: Path) -> None:
    lines = daily.read_text(encoding="utf-8").splitlines()
    daily.write_text("\n".join(lines[:10] + lines[12:]) + "\n", encoding="utf-8")
    ran = run("forecast", "anomalies", "--series", daily, "-o", "json")
    assert "58 days; the first 21 are learnt from: 37 were judged" in ran.err


def test_the_program_reads_standard_input(daily: Path) -> None:
    command = [sys.executable, "-m", "llm_cost_ops.cli", "forecast", "anomalies", "--series", "-"]
    done = subprocess.run(
        [*command, "-o", "json"], input=daily.read_bytes(), capture_output=True, check=True
    )
    assert [row["date"] for row in json.loads(done.stdout)["data"]] == ["2026-02-25"]


def test_the_least_amount_threshold_and_sensitivity(run: Run, daily: Path) -> None:
    command = ("forecast", "anomalies", "--series", daily, "-o", "json")
    assert len(run(*command, "--min-amount", "80").rows()) == 1
    assert run(*command, "--min-amount", "95").rows() == []
    assert run(*command, "--method", "zscore", "--threshold", "8").rows() == []
    assert len(run(*command, "--sensitivity", "high").rows()) >= 1


def test_numbers_may_begin_with_their_point(run: Run, daily: Path) -> None:
    command = ("forecast", "anomalies", "--series", daily, "--method", "zscore", "-o", "json")
    for option in ("--threshold", "--min-amount"):
        assert run(*command, option, ".5").rows() == run(*command, option, "0.5").rows() != []


def test_a_last_day_that_is_not_over_is_left_out(run: Run, daily: Path) -> None:
    command = ("forecast", "anomalies", "--series", daily, "-o", "json")
    assert run(*command, "--as-of", "2026-02-25T12:00:00Z").rows() == []
    assert len(run(*command, "--as-of", "2026-02-26").rows()) == 1


def test_a_gap_may_be_a_zero(run: Run, daily: Path) -> None:
    lines = daily.read_text(encoding="utf-8").splitlines()
    daily.write_text("\n".join(lines[:51] + lines[52:]) + "\n", encoding="utf-8")
    command = ("forecast", "anomalies", "--series", daily, "-o", "json")
    assert len(run(*command).rows()) == 1
    dates = [row["date"] for row in run(*command, "--gaps", "zero").rows()]
    assert dates == ["2026-02-20", "2026-02-25"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--series", "daily.csv", "--group-by", "model"), "--group-by chooses calls"),
        (("--series", "none.csv"), "there is no such file"),
        (("--series", "daily.csv", "--method", "prophet"), "--method"),
        (("--series", "daily.csv", "--threshold", "0"), "threshold"),
        (("--series", "daily.csv", "--threshold", "three"), "threshold"),
        (("--series", "daily.csv", "--min-amount", "-1"), "]: --min-amount: must"),
        (("--series", "daily.csv", "--min-amount", "x"), "]: --min-amount: must"),
        (("--series", "daily.csv", "--threshold", "-.5"), "]: --threshold: must"),
        (("--series", "daily.csv", "--as-of", "now"), "]: --as-of: must"),
        (("--series", "daily.csv", "--interval", "hour"), "]: --interval: is finer"),
    ],
)
def test_refusals(run: Run, daily: Path, options: tuple[str, ...], told: str) -> None:
    ran = run("forecast", "anomalies", *options)
    assert ran.code == 2
    assert told in ran.err
    assert daily.exists()
