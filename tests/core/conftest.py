"""Settings of the tests of the core."""

from __future__ import annotations

import sys
from typing import Any

import pytest


@pytest.fixture(scope="module", autouse=True)
def _nothing_remembered() -> None:
    """Coverage of the core is measured by its own tests: what others have had computed before, in
    the same process and unmeasured, is computed again. Price books take too long for that."""
    for name, module in list(sys.modules.items()):
        if name.startswith("llm_cost_ops.core.") and not name.endswith(".book"):
            for each in list(vars(module).values()):
                clear: Any = getattr(each, "cache_clear", None)
                if clear is not None and getattr(each, "__module__", "") == name:
                    clear()
