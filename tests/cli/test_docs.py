"""The pages of docs/reference are what the code says."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from llm_cost_ops.cli import app
from tests.cli.conftest import REPOSITORY

TOOLS = REPOSITORY / "tools" / "docs"
REFERENCE = REPOSITORY / "docs" / "reference"
SOURCE = REPOSITORY / "src" / "llm_cost_ops"
_RAISED = re.compile(r'(?:code=|code = |Problem\(\d+, |Failure\()"([A-Z][A-Z_0-9]{4,})"')


@pytest.mark.parametrize("tool", ["cli.py", "errors.py", "focus.py"])
@pytest.mark.parametrize("columns", ["40", "200"])
def test_the_page_is_up_to_date_whatever_the_width_of_the_terminal(tool: str, columns: str) -> None:
    done = subprocess.run(
        [sys.executable, str(TOOLS / tool), "--check"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": columns},
    )
    assert done.returncode == 0, done.stderr


def test_every_command_has_its_section() -> None:
    page = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    assert [name for name in app.COMMANDS if f"## cost-ops {name}\n" not in page] == []


def test_every_code_that_is_raised_is_on_the_page() -> None:
    page = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    raised = {
        code
        for path in SOURCE.rglob("*.py")
        for code in _RAISED.findall(path.read_text(encoding="utf-8"))
    }
    assert raised >= {"USAGE_001", "COST_001", "MISSING_EXTRA", "INTERRUPTED"}
    assert sorted(code for code in raised if f"| `{code}` |" not in page) == []
