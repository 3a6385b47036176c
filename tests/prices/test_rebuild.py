"""The committed book against a rebuild, where the environment of the sources exists."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from llm_cost_ops.core.providers.names import PROVIDERS

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "src" / "llm_cost_ops" / "core" / "pricing" / "data" / "book.jsonl"
PYTHON = Path(os.environ.get("COST_OPS_PRICES_PYTHON", ROOT / ".venv-bench" / "bin" / "python"))


def test_the_committed_book_equals_a_rebuild() -> None:
    if not PYTHON.exists():
        pytest.skip("no environment with the price sources (make .venv-bench/.ready)")
    done = subprocess.run(
        [str(PYTHON), "tools/prices/build.py", "--check"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_provider_of_the_book_is_a_known_one() -> None:
    lines = BOOK.read_text(encoding="utf-8").splitlines()[1:]
    assert {json.loads(line)["provider"] for line in lines} <= set(PROVIDERS)


def test_the_book_is_one_line_per_model_in_order() -> None:
    lines = BOOK.read_text(encoding="utf-8").splitlines()[1:]
    keys = [(e["provider"], e["model"].lower()) for e in map(json.loads, lines)]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


def test_the_pins_are_those_of_the_book() -> None:
    pins = (ROOT / "requirements" / "prices.in").read_text(encoding="utf-8")
    header = json.loads(BOOK.read_text(encoding="utf-8").splitlines()[0])
    for name, version in header["sources"].items():
        assert f"{name}=={version}" in pins
    built_at = (ROOT / "prices" / "built_at").read_text(encoding="utf-8").strip()
    assert header["built_at"] == built_at
