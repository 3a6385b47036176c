"""docs/reference/cli.md is what the commands say of themselves."""

from __future__ import annotations

import os
import subprocess
import sys

from llm_cost_ops.cli import app
from tests.cli.conftest import REPOSITORY

TOOL = REPOSITORY / "tools" / "docs" / "cli.py"


def test_the_page_is_up_to_date_whatever_the_width_of_the_terminal() -> None:
    for columns in ("40", "200"):
        done = subprocess.run(
            [sys.executable, str(TOOL), "--check"],
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": columns},
        )
        assert done.returncode == 0, done.stderr


def test_every_command_has_its_section() -> None:
    page = (REPOSITORY / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert [name for name in app.COMMANDS if f"## cost-ops {name}\n" not in page] == []
