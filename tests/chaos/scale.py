"""How much of a fault test runs: a little in the suite, much more by `make chaos`.

`COST_OPS_CHAOS_CYCLES` sets the number of cycles, `COST_OPS_CHAOS_SEED` repeats a run.
"""

from __future__ import annotations

import os
import random

import pytest

IN_FULL = "COST_OPS_CHAOS_CYCLES" in os.environ
CYCLES = int(os.environ.get("COST_OPS_CHAOS_CYCLES", "20"))
SEED = int(os.environ.get("COST_OPS_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)

SLACK = 4


def patient(seconds: float) -> float:
    """What may pass on a busy machine where `seconds` are promised: still less than the 30 seconds
    after which a pool, a statement or a client would have given up."""
    return seconds * SLACK


in_full = pytest.mark.skipif(not IN_FULL, reason="takes minutes: `make chaos` runs it")


def up_to(suite: int, full: int) -> int:
    """`suite` repetitions by default; by `make chaos` as many as cycles, at most `full`."""
    return min(full, CYCLES) if IN_FULL else suite
