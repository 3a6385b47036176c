"""The scripts of the CI templates against a running server, as a pipeline runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from llm_cost_ops import CostOpsClient
from llm_cost_ops.core import jsontext
from tests.support.live import LiveServer, live_server

__all__ = ["live_server"]

ROOT = Path(__file__).resolve().parents[2]
CI = ROOT / "examples/ci"
SCRIPTS = ("track_costs.py", "generate_report.py", "check_budget.py")


def run(
    server: LiveServer, script: str, place: Path, **env: str
) -> subprocess.CompletedProcess[str]:
    known = {
        "LLM_COST_OPS_API_KEY": server.api_key,
        "LLM_COST_OPS_BASE_URL": server.base_url,
        "PYTHONPATH": str(ROOT / "src"),
        "PATH": os.environ["PATH"],
    }
    return subprocess.run(
        [sys.executable, CI / "scripts" / script],
        cwd=place, env={**known, **env}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def server(live_server: LiveServer) -> LiveServer:
    organization_id, key = live_server.new_organization()
    own = replace(live_server, organization_id=organization_id, api_key=key)
    with CostOpsClient(own.api_key, own.base_url) as client:
        client.budgets.create("ci", 1)
        client.usage.create(
            provider="openai", model="gpt-4o", prompt_tokens=300_000, completion_tokens=5_000
        )
    return own


@pytest.fixture
def own(live_server: LiveServer) -> LiveServer:
    organization_id, key = live_server.new_organization()
    return replace(live_server, organization_id=organization_id, api_key=key)


def test_costs_are_written_with_all_their_digits(server: LiveServer, tmp_path: Path) -> None:
    ran = run(server, "track_costs.py", tmp_path)
    assert ran.returncode == 0, ran.stderr
    written = jsontext.loads((tmp_path / "data/costs.json").read_text())
    assert [row["model"] for row in written["costs"]] == ["gpt-4o"]
    assert Decimal(str(written["costs"][0]["total_cost"])) == Decimal("0.8")


@pytest.mark.parametrize(
    ("threshold", "code"),
    [
        ("0.81", 0),
        ("0.8", 1),
        ("0.5", 1),
        ("much", 2),
        ("nan", 2),
        ("inf", 2),
        ("-1", 2),
        ("1000", 0),
    ],
)
def test_a_budget_that_reached_the_threshold_fails(
    server: LiveServer, tmp_path: Path, threshold: str, code: int
) -> None:
    ran = run(server, "check_budget.py", tmp_path, BUDGET_THRESHOLD=threshold)
    assert ran.returncode == code, ran.stderr
    assert code == 2 or "ci: 80.0% used, USD 0.8" in ran.stdout


def test_a_threshold_above_1_is_an_amount(own: LiveServer, tmp_path: Path) -> None:
    with CostOpsClient(own.api_key, own.base_url) as client:
        client.budgets.create("large", 100)
        client.usage.create(
            provider="openai", model="gpt-4o", prompt_tokens=4_000_000, completion_tokens=0
        )
    ran = run(own, "check_budget.py", tmp_path, BUDGET_THRESHOLD="10")
    assert (ran.returncode, ran.stderr) == (1, "")
    assert "REACHED  large: 10.0% used, USD 10" in ran.stdout
    assert run(own, "check_budget.py", tmp_path, BUDGET_THRESHOLD="10.01").returncode == 0


def test_calls_without_a_price_are_told(own: LiveServer, tmp_path: Path) -> None:
    with CostOpsClient(own.api_key, own.base_url) as client:
        client.budgets.create("dark", 100)
        client.usage.create(
            provider="openai", model="not-known", prompt_tokens=1_000, completion_tokens=0
        )
        ran = run(own, "check_budget.py", tmp_path)
        assert (ran.returncode, ran.stderr) == (2, "")
        assert "unknown  dark: 0.0% used, USD 0, and 1 calls" in ran.stdout
        client.usage.create(
            provider="openai", model="gpt-4o", prompt_tokens=400_000, completion_tokens=0
        )
    ran = run(own, "check_budget.py", tmp_path)
    assert ran.returncode == 0
    assert "ok       dark: 1.0% used, USD 1, and 1 calls" in ran.stdout


@pytest.mark.parametrize("script", ["track_costs.py", "generate_report.py"])
def test_what_cannot_be_written_is_told(server: LiveServer, tmp_path: Path, script: str) -> None:
    taken = tmp_path / "taken"
    taken.touch()
    ran = run(
        server, script, tmp_path,
        COST_FILE=str(taken / "costs.json"), REPORT_DIR=str(taken), REPORT_FORMAT="markdown",
    )  # fmt: skip
    assert ran.returncode == 2
    assert "cannot be written: " in ran.stderr
    assert "Traceback" not in ran.stderr


def test_what_is_not_known_is_not_well(server: LiveServer, tmp_path: Path) -> None:
    assert run(server, "check_budget.py", tmp_path, BUDGET_NAME="other").returncode == 2
    for script in SCRIPTS:
        ran = run(server, script, tmp_path, LLM_COST_OPS_API_KEY="sk_test_wrong")
        assert (ran.returncode, ran.stdout) == (2, "")
        assert "cannot be" in ran.stderr
        assert "Traceback" not in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_report_is_written_under_its_date(server: LiveServer, tmp_path: Path) -> None:
    ran = run(server, "generate_report.py", tmp_path, REPORT_FORMAT="markdown")
    assert ran.returncode == 0, ran.stderr
    (file,) = (tmp_path / "reports").glob("cost-report-*.md")
    assert "gpt-4o" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["github-actions.yml", "gitlab-ci.yml"])
def test_the_templates_run_the_scripts(name: str) -> None:
    text = (CI / name).read_text(encoding="utf-8")
    assert yaml.safe_load(text)
    assert all(f"python scripts/{script}" in text for script in SCRIPTS)
