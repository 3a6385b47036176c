"""The import contracts of pyproject.toml catch what they claim: a planted violation for each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SKELETON = (
    "cli.app", "importers.claude_code", "exceptions", "models", "rbac", "middleware", "auth",
    "testing", "client.policy", "core.pricing.rate", "core.usage", "forecasting.auto",
    "forecasting.library", "anomalies.rules", "server.app", "server.clock",
    "server.settings", "server.db.session", "server.http.problems", "server.queue.outbox",
    "server.queue.tables",
    "server.audit.record", "server.identity.store", "server.access.deps", "server.access.routes",
    "server.pricing.resolve", "server.ledger.append", "server.ledger.store",
    "server.ledger.tables", "server.ingest.routes", "server.ingest.record",
    "server.analytics.store", "server.analytics.routes", "server.spend.counters",
    "server.budgets.desk", "server.webhooks.routes", "server.forecasts.routes",
    "server.alerts.routes", "server.delivery.notice",
)  # fmt: skip


def plant(folder: Path, modules: Iterable[str]) -> None:
    for module in modules:
        parts = module.split(".")
        for depth in range(len(parts)):
            package = folder.joinpath("llm_cost_ops", *parts[:depth])
            package.mkdir(parents=True, exist_ok=True)
            (package / "__init__.py").touch()
        folder.joinpath("llm_cost_ops", *parts).with_suffix(".py").touch()


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--config",
            str(ROOT / "pyproject.toml"),
            "--no-cache",
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_skeleton_without_a_violation_keeps_every_contract(tmp_path: Path) -> None:
    plant(tmp_path, SKELETON)
    done = lint_imports(tmp_path)
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout


VIOLATIONS = [
    ("House", "core.usage", "llm_cost_ops.client.policy"),
    ("House", "client.policy", "llm_cost_ops.server.app"),
    ("House", "server.app", "llm_cost_ops.cli.app"),
    ("House", "server.ingest.record", "llm_cost_ops.importers.claude_code"),
    ("Server knows nothing of the SDK", "server.ingest.record", "llm_cost_ops.client.policy"),
    ("Importers know only core", "importers.claude_code", "llm_cost_ops.client.policy"),
    ("Importers know only core", "importers.claude_code", "llm_cost_ops.server.ingest.record"),
    ("House", "core.usage", "llm_cost_ops.anomalies.rules"),
    ("Forecasting knows only core", "forecasting.auto", "llm_cost_ops.server.app"),
    ("Forecasting knows only core", "forecasting.auto", "time"),
    ("Anomalies know only core", "anomalies.rules", "statsforecast"),
    ("The library of forecasts", "server.app", "llm_cost_ops.forecasting.library"),
    ("Server rooms", "server.ingest.record", "llm_cost_ops.server.analytics.store"),
    ("Server rooms", "server.analytics.store", "llm_cost_ops.server.ingest.record"),
    ("Server rooms", "server.ledger.append", "llm_cost_ops.server.ingest.record"),
    ("Server rooms", "server.spend.counters", "llm_cost_ops.server.ledger.append"),
    ("Server rooms", "server.ingest.record", "llm_cost_ops.server.budgets.desk"),
    ("Server rooms", "server.budgets.desk", "llm_cost_ops.server.webhooks.routes"),
    ("Server rooms", "server.webhooks.routes", "llm_cost_ops.server.budgets.desk"),
    ("Server rooms", "server.forecasts.routes", "llm_cost_ops.server.alerts.routes"),
    ("Server rooms", "server.delivery.notice", "llm_cost_ops.server.queue.outbox"),
    ("Server rooms", "server.settings", "llm_cost_ops.server.db.session"),
    ("Inside a room", "server.ledger.store", "llm_cost_ops.server.ledger.routes"),
    ("Inside a room", "server.ledger.tables", "llm_cost_ops.server.ledger.store"),
    ("Core does no I/O", "core.pricing.rate", "sqlite3"),
    ("Core does no I/O", "core.usage", "time"),
    ("SDK import never", "client.policy", "sqlalchemy"),
    ("SDK import never", "exceptions", "fastapi"),
    ("HTTP stays at the edge", "server.ledger.store", "fastapi"),
    ("HTTP stays at the edge", "server.db.session", "starlette"),
    ("Jobs are enqueued", "server.ingest.record", "llm_cost_ops.server.queue.tables"),
    ("Ledger tables", "server.ingest.record", "llm_cost_ops.server.ledger.tables"),
]


@pytest.mark.parametrize(("contract", "module", "target"), VIOLATIONS)
def test_a_planted_import_breaks_its_contract(
    tmp_path: Path, contract: str, module: str, target: str
) -> None:
    plant(tmp_path, [*SKELETON, "server.ledger.routes"])
    file = tmp_path.joinpath("llm_cost_ops", *module.split(".")).with_suffix(".py")
    file.write_text(f"import {target}\n", encoding="utf-8")
    done = lint_imports(tmp_path)
    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert done.returncode == 1
    assert any(line.startswith(contract) for line in broken), done.stdout


def test_a_room_without_a_place_in_the_flow_is_refused(tmp_path: Path) -> None:
    plant(tmp_path, [*SKELETON, "server.surprise.routes"])
    done = lint_imports(tmp_path)
    assert done.returncode == 1
    assert "surprise" in done.stdout
