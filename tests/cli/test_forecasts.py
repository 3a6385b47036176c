"""`cost-ops forecast generate`: a series in, dates and intervals out, without a server."""

from __future__ import annotations

import csv
import io
import json
import random
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.conftest import Run, program
from tests.cli.test_program import blocked

GENERATE = ("forecast", "generate")


def days(count: int, seed: int = 3) -> str:
    draw = random.Random(seed)
    first = date(2026, 8, 1)
    rows = [
        f"{first + timedelta(day)},{(60 if day % 7 < 2 else 100) + draw.gauss(0, 5):.4f}"
        for day in range(count)
    ]
    return "\n".join(["date,value", *rows, ""])


@pytest.fixture
def series(place: Path) -> Path:
    path = place / "days.csv"
    path.write_text(days(90), encoding="utf-8")
    return path


def test_json_has_the_documented_shape(run: Run, series: Path) -> None:
    answer = run(
        *GENERATE, "--series", series, "--horizon", 14, "--interval", "day", "--model", "auto",
        "--confidence", "0.95", "-o", "json",
    ).json()  # fmt: skip
    assert {"model", "frequency", "predictions", "backtest"} <= answer.keys()
    assert (answer["frequency"], len(answer["predictions"])) == ("day", 14)
    first = answer["predictions"][0]
    assert list(first) == ["date", "value", "lower_bound", "upper_bound"]
    assert first["date"] == "2026-10-30"
    assert 0 <= Decimal(first["lower_bound"]) < Decimal(first["value"])
    assert {"mase", "smape", "coverage"} <= answer["backtest"].keys()
    assert {member["model"] for member in answer["members"]} == set(answer["model"].split("+"))


def test_the_program_prints_the_same_bytes_again(series: Path) -> None:
    arguments = (*GENERATE, "--series", series, "--horizon", "3", "-o", "json")
    first, second = program(*arguments), program(*arguments)
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    assert first.stdout == second.stdout


def test_standard_input_and_the_bare_name(run: Run) -> None:
    text = days(30).encode()
    bare = run("forecast", "--series", "-", "--model", "linear", "-o", "json", stdin=text)
    full = run(*GENERATE, "--series", "-", "--model", "linear", "-o", "json", stdin=text)
    assert bare.json() == full.json()
    assert len(full.json()["predictions"]) == 30


@pytest.mark.parametrize("model", ["linear", "moving_average", "exponential_smoothing"])
def test_rows_as_csv_and_json_lines(run: Run, series: Path, model: str) -> None:
    arguments = (*GENERATE, "--series", series, "--horizon", 2, "--model", model)
    rows = list(csv.DictReader(io.StringIO(run(*arguments, "-o", "csv").out)))
    assert list(rows[0]) == ["date", "value", "lower_bound", "upper_bound"]
    lines = [
        json.loads(x, parse_float=str) for x in run(*arguments, "-o", "jsonl").out.splitlines()
    ]
    assert [row["date"] for row in rows] == [line["date"] for line in lines]
    assert rows[1]["date"] == "2026-10-31"


def test_the_table_has_a_plot_and_says_how_far_to_trust_it(run: Run, series: Path) -> None:
    ran = run(*GENERATE, "--series", series, "--horizon", 7)
    assert ran.code == 0
    assert any("⠀" <= letter <= "⣿" for letter in ran.out)
    assert "2026-11-05" in ran.out
    assert "Back-test, 5 times 7 steps of the past: MASE 0." in ran.out
    assert "Interval: 95% by the errors of the back-test." in ran.out


def test_the_table_of_a_constant_with_a_gap(run: Run) -> None:
    rows = [f"2026-01-{day:02},{'' if day == 4 else 2}" for day in range(1, 20)]
    text = "\n".join(rows).encode()
    ran = run(*GENERATE, "--series", "-", "--model", "linear", "--confidence", "0.8", stdin=text)
    assert ran.code == 0, ran.err
    assert "MASE" not in ran.out
    assert "Interval: 80% by" in ran.out
    assert "1 steps of the series have no value." in ran.out


def test_what_chooses_calls_is_refused_beside_a_file(run: Run, series: Path) -> None:
    ran = run(*GENERATE, "--series", series, "--filter", "project_id=x")
    assert (ran.code, ran.out) == (2, "")
    assert "--filter chooses calls of the ledger" in ran.err


@pytest.mark.parametrize(
    ("text", "arguments", "code", "told"),
    [
        ("2026-01-01,1\n2026-01-01,2\n", (), 2, "line 2: has the same date as line 1"),
        ("2026-01-01,1\n2026-01-02,nan\n", (), 2, "'nan' is not a finite decimal number"),
        ("2026-01-01,1\n\xff,nan\n", (), 2, "line 2: "),
        ("", (), 2, "has no rows"),
        (days(6), (), 1, "Error [FORECAST_001]: Insufficient historical data for forecast (mi"),
        (days(30), ("--horizon", "0"), 2, "horizon: must be from 1 to 1000 steps"),
        (days(30), ("--horizon", "1001"), 2, "]: --horizon: must be from 1 to 1000 steps"),
        (days(30), ("--confidence", "1"), 2, "]: --confidence: must be a number from 0.5 to 0.99"),
        (days(30), ("--confidence", ".49"), 2, "]: --confidence: must be a number from 0.5 to"),
        (days(30), ("--confidence", "high"), 2, "]: --confidence: must be a number from 0.5 to"),
        (days(30), ("--interval", "hour"), 2, "]: --interval: is finer than the series"),
        (days(30), ("--interval", "year"), 2, "is not one of hour, day, week, month"),
        (days(30), ("--as-of", "yesterday"), 2, "]: --as-of: must be in ISO 8601 format"),
    ],
)
def test_what_is_refused(
    run: Run, text: str, arguments: tuple[str, ...], code: int, told: str
) -> None:
    ran = run(
        *GENERATE, "--series", "-", "--model", "linear", *arguments, stdin=text.encode("latin-1")
    )
    assert ran.code == code
    assert told in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(("typed", "meant"), [(".95", "0.95"), (".5", "0.50"), ("0.99", "0.99")])
def test_a_share_may_begin_with_its_point(run: Run, series: Path, typed: str, meant: str) -> None:
    arguments = (*GENERATE, "--series", series, "--model", "linear", "-o", "json")
    answer = run(*arguments, "--confidence", typed).json()
    assert Decimal(answer["interval"]["confidence"]) == Decimal(meant)


def test_the_help_tells_the_range_of_the_confidence(run: Run) -> None:
    assert "interval, 0.5 to 0.99." in " ".join(run(*GENERATE, "--help").out.split())


@pytest.mark.parametrize("name", ["generate", "anomalies"])
@pytest.mark.parametrize(
    "option", [("--horizon", 3), ("--series", "days.csv"), ("--as-of", "2026-10-01")]
)
def test_options_before_the_subcommand_are_refused(
    run: Run, series: Path, name: str, option: tuple[str, object]
) -> None:
    ran = run("forecast", *option, name, "--series", series)
    assert (ran.code, ran.out) == (2, "")
    assert f"give {option[0]} after `" in ran.err
    assert f" forecast {name}`" in ran.err
    shared = run("forecast", "-o", "csv", name, "--series", series)
    assert (shared.code, shared.out[:5]) == (0, "date,")


BLANK = "\N{BRAILLE PATTERN BLANK}"


def test_the_plot_of_a_constant_has_its_values_alone(run: Run) -> None:
    text = "\n".join(f"2026-01-{day},2" for day in range(10, 29)).encode()
    ran = run(*GENERATE, "--series", "-", "--model", "linear", "--horizon", 5, stdin=text)
    rows = [line.partition(" | ")[2] for line in ran.out.splitlines() if " | " in line]
    assert all(not row.strip(BLANK) for row in rows[:-1])
    assert BLANK not in rows[-1]


def test_a_rule_under_the_plot_tells_where_the_forecast_begins(run: Run) -> None:
    text = "\n".join(f"2026-01-{day},{day % 5}" for day in range(10, 29)).encode()
    ran = run(*GENERATE, "--series", "-", "--model", "linear", "--horizon", 5, stdin=text)
    lines = [line.strip() for line in ran.out.splitlines()]
    at = next(place for place, line in enumerate(lines) if line.startswith("──"))
    assert lines[at].strip("─").strip("═") == ""
    assert 4 < lines[at].count("─") / lines[at].count("═") < 19 / 4
    assert lines[at + 1] == "─ the series, 2026-01-10 .. 2026-01-28"
    assert lines[at + 2] == "═ 5 ahead from 2026-01-29: the forecast between its bounds"


def test_a_file_that_is_not_there(run: Run) -> None:
    ran = run(*GENERATE, "--series", "nowhere.csv")
    assert (ran.code, "nowhere.csv: there is no such file" in ran.err) == (2, True)


def test_seven_days_are_enough(run: Run) -> None:
    ran = run(*GENERATE, "--series", "-", "-o", "json", stdin=days(7).encode())
    assert len(ran.json()["predictions"]) == 30


def test_days_add_up_to_weeks_and_what_is_not_over_is_left_out(run: Run) -> None:
    arguments = (*GENERATE, "--series", "-", "--model", "linear", "--horizon", 1, "-o", "json")
    text = days(90).encode()  # from a Saturday to a Thursday
    weeks = run(*arguments, "--interval", "week", stdin=text).json()
    assert (weeks["frequency"], weeks["observed"]) == ("week", 12)
    assert weeks["predictions"][0]["date"] == "2026-10-26"
    early = run(*arguments, "--as-of", "2026-10-20T08:00:00Z", stdin=text).json()
    assert early["predictions"][0]["date"] == "2026-10-20"


def test_absent_rows_are_what_the_caller_says(run: Run) -> None:
    text = "\n".join(f"2026-01-{day:02},5" for day in (*range(1, 12), 14, *range(20, 29))).encode()
    arguments = (*GENERATE, "--series", "-", "--model", "moving_average", "-o", "json")
    missing = run(*arguments, stdin=text).json()
    assert (missing["missing"], missing["predictions"][0]["value"]) == (7, 5)
    assert run(*arguments, "--gaps", "zero", stdin=text).json()["missing"] == 0


def test_without_the_extra_auto_names_it_and_the_others_work(tmp_path: Path, series: Path) -> None:
    for package in ("numpy", "statsforecast"):
        environment = blocked(tmp_path, package)
        done = program(*GENERATE, "--series", series, env=environment)
        assert done.returncode == 1
        assert done.stderr == (
            f"Error [MISSING_EXTRA]: this needs the package {package}: "
            "pip install 'llm-cost-ops[forecast]'\n"
        )
        simple = program(*GENERATE, "--series", series, "--model", "linear", env=environment)
        assert simple.returncode == 0, simple.stderr
