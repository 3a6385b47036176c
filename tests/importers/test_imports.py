"""The readers are pure: they load nothing but the standard library and the core."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("pyarrow", "msgspec", "sqlalchemy", "requests", "httpx", "llm_cost_ops.server")


def test_importing_the_readers_loads_nothing_heavy() -> None:
    code = f"import sys, llm_cost_ops.importers; print([n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
