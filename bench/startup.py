"""What it costs to begin: a program that makes a client, and an idle server.

`import llm_cost_ops; CostOpsClient(...)` beside `import requests` alone, each the whole life of a
process, in turns.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from bench.figures import Figure, arguments, say
from bench.machine import installed
from bench.places import place
from bench.serving import serving

OURS = "import llm_cost_ops; llm_cost_ops.CostOpsClient(api_key='sk', base_url='http://localhost')"
PEER = "import requests"
NOTHING = "pass"
LOADED = "; import sys; print(sum(name.startswith('llm_cost_ops.server') for name in sys.modules))"
GOAL = 1.3
GOAL_IDLE_BYTES = 160 * 2**20
IDLE_SECONDS = 3.0


def life(code: str) -> tuple[float, float]:
    """Milliseconds that a process with this code lived, and that it computed."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code])
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, code
    return wall * 1000, (used.ru_utime + used.ru_stime) * 1000


def lives(count: int) -> list[tuple[float, float]]:
    """The median wall and CPU time of ours, of the peer and of an empty program."""
    codes = (OURS, PEER, NOTHING)
    for code in codes:
        life(code)
    found = [[life(code) for code in codes] for _ in range(count)]
    return [
        (statistics.median(wall for wall, _ in each), statistics.median(cpu for _, cpu in each))
        for each in zip(*found, strict=True)
    ]


def server_modules() -> int:
    """How many modules of the server a client loads."""
    done = subprocess.run(
        [sys.executable, "-c", OURS + LOADED], check=True, capture_output=True, text=True
    )
    return int(done.stdout)


def client_figure(count: int) -> Figure:
    (wall, cpu), (peer_wall, peer_cpu), (bare_wall, bare_cpu) = lives(count)
    loaded = server_modules()
    ratio = wall / peer_wall
    return Figure(
        "`import llm_cost_ops; CostOpsClient(...)`, a whole process",
        f"at most {GOAL} x `import requests` alone; no server module",
        f"`import requests` {installed('requests')}: {peer_wall:.0f} ms, CPU {peer_cpu:.0f} ms "
        f"(an empty program: {bare_wall:.0f} ms, CPU {bare_cpu:.0f} ms)",
        f"{wall:.0f} ms, CPU {cpu:.0f} ms; {loaded} server modules",
        f"{ratio:.2f}; CPU {cpu / peer_cpu:.2f}",
        [ratio <= GOAL and cpu / peer_cpu <= GOAL, loaded == 0],
    )


def server_figure(seconds: float) -> Figure:
    with place("sqlite") as ledger, serving(ledger.url) as server:
        time.sleep(seconds)
        resident = server.resident_bytes()
    return Figure(
        "idle server, resident memory",
        f"under {GOAL_IDLE_BYTES // 2**20} MiB",
        "-",
        f"{resident / 2**20:.0f} MiB",
        f"{resident / GOAL_IDLE_BYTES:.2f} of the goal",
        [resident < GOAL_IDLE_BYTES],
    )


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(__doc__, given)
    say([client_figure(2 if chosen.tiny else 6 * chosen.runs)])
    say([server_figure(0.1 if chosen.tiny else IDLE_SECONDS)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
