"""The reference page and the example file are what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from llm_cost_ops.server.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]


def test_generated_files_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "tools" / "docs" / "settings.py"), "--check"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_name_is_on_the_page() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    names = [name for each in SETTINGS for name in (each.path, *each.variables, *each.spec.files)]
    assert [name for name in names if name not in page] == []
