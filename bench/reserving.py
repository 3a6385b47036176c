"""`POST /budgets/reserve` and the settlement of what it gave, in turns over 32 kept connections.

A pair is a reservation (an upper bound from provider, model and counts) and its settlement with the
usage, which the ledger records. Beside it stands the plain server of `bench.single` (requests a
second of its own CPU). The calls count in one hard budget, then in eight.

python -m bench.reserving PORT CONNECTIONS PAIRS KEY    be the client of a server
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from typing import Any

from bench.figures import Figure, arguments, paired, ratio_text, say, thousands
from bench.load import HOST, Client, Load, request
from bench.places import place
from bench.serving import serving
from bench.single import NAMES, PLAIN_RATE
from bench.single import Round as SingleRound

RESERVE = "/api/v1/budgets/reserve"
CONNECTIONS = 32
GOAL = 1_000
P99_MS = 50
P99_ANSWERS = P99_MS * PLAIN_RATE // 1000
"""What the plain server of the machine of the goal answers in that time."""
TIMES_OF_EIGHT = 3
_ASKED = {
    "provider": "openai",
    "model": "gpt-4o",
    "input_tokens": 1200,
    "max_tokens": 400,
    "project_id": "bench",
    "team_id": "team",
    "user_id": "user",
    "environment": "production",
    "feature": "chat",
    "tags": ["bench"],
}
_USED = {"usage": {"input_tokens": 1200, "output_tokens": 180}}
SCOPES: tuple[dict[str, Any], ...] = (
    {},
    {"project_id": "bench"},
    {"team_id": "team"},
    {"user_id": "user"},
    {"model": "gpt-4o"},
    {"provider": "openai"},
    {"environment": "production"},
    {"tags": ["bench"]},
)


class Pairs(Client):
    """Each connection reserves, settles what it got, and begins again."""

    def __init__(self, port: int, connections: int, pairs: int, key: str) -> None:
        body = json.dumps(_ASKED).encode()
        self._key = key
        self._settlement = json.dumps(_USED).encode()
        super().__init__(port, connections, [request("POST", RESERVE, key, body)] * pairs)
        self._total = 2 * pairs

    def answered(self, body: bytes) -> None:
        """Settle next what was reserved."""
        if b'"reservation_id":"' in body and b'"status":"open"' in body:
            start = body.index(b'"reservation_id":"') + 18
            reservation = body[start : body.index(b'"', start)].decode()
            path = f"/api/v1/budgets/reservations/{reservation}/settle"
            self.next_one(request("POST", path, self._key, self._settlement))


def pairs(port: int, connections: int, count: int, key: str) -> Load:
    """The load of so many pairs, sent from another process."""
    command = [sys.executable, "-m", "bench.reserving", str(port), str(connections), str(count)]
    done = subprocess.run([*command, key], stdout=subprocess.PIPE, check=True)
    return Load(**json.loads(done.stdout))


class Round:
    """One run of ours with so many budgets, and of the plain server."""

    def __init__(self, kind: str, budgets: int, warm: int, timed: int) -> None:
        self._kind = kind
        self._budgets = budgets
        self._warm = warm
        self._timed = timed
        self.loads: list[Load] = []

    def ours(self) -> float:
        with place(self._kind) as ledger, serving(ledger.url) as server:
            for number, scope in enumerate(SCOPES[: self._budgets]):
                made = {"name": f"b{number}", "amount": 10**8, "enforcement": "hard"}
                _post(server.port, ledger.key, "/api/v1/budgets", {**made, "scope": scope})
            pairs(server.port, CONNECTIONS, self._warm, ledger.key).check(200, 201)
            load = pairs(server.port, CONNECTIONS, self._timed, ledger.key)
        load.check(200, 201)
        self.loads.append(load)
        return load.rate / 2

    def plain(self) -> float:
        """The rate of the plain server, for usage records."""
        return SingleRound(self._kind, self._warm, self._timed).plain()

    def p99_ms(self) -> float:
        latencies = [ms for load in self.loads for ms in load.latencies_ms]
        return statistics.quantiles(latencies, n=100)[98]


def _post(port: int, key: str, path: str, body: Any) -> None:
    sent = urllib.request.Request(
        f"http://{HOST}:{port}{path}",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(sent) as answer:  # noqa: S310 - our own server
        answer.read()


def main(given: Sequence[str] | None = None) -> int:
    found = list(sys.argv[1:] if given is None else given)
    if len(found) == 4 and found[0].isdigit():
        done = Pairs(int(found[0]), int(found[1]), int(found[2]), found[3]).run()
        parts = ("seconds", "requests", "statuses", "latencies_ms")
        json.dump({name: getattr(done, name) for name in parts}, sys.stdout)
        return 0
    chosen = arguments(__doc__, given)
    warm, timed = (20, 60) if chosen.tiny else (500, 4_000)
    for kind in chosen.databases.split(","):
        one, eight = Round(kind, 1, warm, timed), Round(kind, 8, warm, timed)
        alone = paired(one.ours, one.plain, chosen.runs)
        together = paired(eight.ours, one.ours, chosen.runs)
        p99, times = one.p99_ms(), 1 / together.ratio
        answers = p99 / 1000 * alone.beside
        say(
            [
                Figure(
                    f"reserve and settle, {CONNECTIONS} connections, one budget, {NAMES[kind]}",
                    f"{GOAL / PLAIN_RATE:.4f} of the plain server ({GOAL:,} pairs/s where that "
                    f"does {PLAIN_RATE:,} a second); p99 under {P99_ANSWERS:,} of its answers "
                    f"({P99_MS} ms there)",
                    f"plain ASGI server that stores nothing: {thousands(alone.beside)} a second "
                    "of its CPU",
                    f"{thousands(alone.ours)} pairs/s (p99 {p99:.1f} ms)",
                    f"{ratio_text(alone, 3)}; {thousands(answers)} answers",
                    [alone.ratio >= GOAL / PLAIN_RATE, answers < P99_ANSWERS],
                    kind,
                ),
                Figure(
                    f"the same with eight budgets, {NAMES[kind]}",
                    f"under {TIMES_OF_EIGHT} times the cost of one",
                    f"one budget: {thousands(together.beside)} pairs/s",
                    f"{thousands(together.ours)} pairs/s",
                    f"{times:.2f} times the cost",
                    [times < TIMES_OF_EIGHT],
                    kind,
                ),
            ]
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
