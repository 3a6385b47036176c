"""Aggregates over HTTP, one client: 30 of 90 days of all calls of one organization.

By provider, model and day the rollups answer, on ten million calls and on a tenth of them; beside
it stand two raw SQL statements on the bare driver: one over the same rollup with every sum that our
answer holds, and one over a narrow copy of the hourly rollup with cost and count alone, by which
the goal moves between machines. By a key of the metadata the calls themselves are read; beside it
stands raw SQL over the calls.
"""

from __future__ import annotations

import http.client
import json
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from bench.figures import Figure, arguments, say
from bench.fill import KINDS, Filled, day_text, filled, sizes
from bench.load import HOST, request, run
from bench.places import driver_connection
from bench.serving import Server, serving
from llm_cost_ops.server.ledger.rollup import DAY_US
from llm_cost_ops.server.ledger.tables import MEASURES

NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
GOAL_MS = 40.0
PLAIN_MS = {"sqlite": 17.3, "postgres": 22.5}
"""Such a sum of cost and count, over as many rows of a narrow rollup, where the goal was set."""
GOAL_FLAT = 1.5
GOAL_METADATA = {"postgres": 3.0}
ROLLED_UP = "provider,model,day"
METADATA = "metadata.customer"
WARM = 5


NARROW = (
    "CREATE TEMPORARY TABLE narrow AS SELECT bucket, provider, model_name AS model, "
    "cost_whole * 10000000000 + cost_fraction AS cost, requests AS calls FROM rollup_hourly "
    "WHERE organization_id = '{}'"
)


class Side:
    """One filled ledger with its server and a connection of the driver."""

    def __init__(self, ledger: Filled, server: Server) -> None:
        self.ledger = ledger
        self._server = server
        self._connection = driver_connection(ledger.url, autocommit=True)
        self.ours: list[float] = []
        self.raw: list[float] = []
        self.plain: list[float] = []
        self._connection.execute(NARROW.format(ledger.organization_id))
        self._connection.execute(
            "CREATE UNIQUE INDEX narrow_key ON narrow (bucket, provider, model)"
        )

    def path(self, group_by: str) -> str:
        first, end = self.ledger.month()
        return (
            f"/api/v1/costs/aggregate?group_by={group_by}"
            f"&start={day_text(first)}&end={day_text(end)}"
        )

    def ask(self, group_by: str, count: int) -> list[float]:
        """Milliseconds of each answer."""
        one = request("GET", self.path(group_by), self.ledger.key)
        load = run(self._server.port, [one] * count, 1)
        load.check(200)
        return load.latencies_ms

    def query(self, statement: str, count: int) -> list[float]:
        """Milliseconds of each result of the bare driver."""
        found: list[float] = []
        for _ in range(count):
            began = time.perf_counter()
            self.rows(statement)
            found.append((time.perf_counter() - began) * 1000)
        return found

    def rows(self, statement: str) -> list[Any]:
        return self._connection.execute(statement).fetchall()

    def matching(self, group_by: str, statement: str) -> int:
        """How many calls are counted. Raises AssertionError when the raw SQL counts others."""
        connection = http.client.HTTPConnection(HOST, self._server.port)
        headers = {"Authorization": f"Bearer {self.ledger.key}"}
        connection.request("GET", self.path(group_by), headers=headers)
        answer = connection.getresponse()
        body = json.load(answer)
        connection.close()
        assert answer.status == 200, (answer.status, body)
        groups = body["data"]
        raw = self.rows(statement)
        assert len(groups) == len(raw), (len(groups), len(raw))
        width = len(group_by.split(","))
        counted = sum(group["requests"] for group in groups)
        assert counted == sum(int(row[width]) for row in raw)
        return counted


def over_narrow(ledger: Filled) -> str:
    first, end = ledger.month()
    return (
        "SELECT provider, model, bucket / 24, SUM(cost), SUM(calls) FROM narrow "
        f"WHERE bucket >= {first * 24} AND bucket < {end * 24} "
        "GROUP BY provider, model, bucket / 24"
    )


def over_rollup(ledger: Filled) -> str:
    first, end = ledger.month()
    sums = ", ".join(f"SUM({name})" for name in MEASURES)
    return (
        f"SELECT provider, model_name, bucket, {sums}, MIN(min_cost_e10), MAX(max_cost_e10) "
        f"FROM rollup_models WHERE organization_id = '{ledger.organization_id}' "
        f"AND bucket >= {first} AND bucket < {end} "
        "GROUP BY provider, model_name, bucket"
    )


def over_calls(ledger: Filled) -> str:
    first, end = ledger.month()
    counts = "input_tokens output_tokens total_tokens cached_tokens cache_write_tokens".split()
    sums = ", ".join(f"SUM({name})" for name in ("requests", "cost_e10", *counts))
    return (
        f"SELECT metadata ->> 'customer', {sums}, MIN(cost_e10), MAX(cost_e10) "
        f"FROM usage_records WHERE organization_id = '{ledger.organization_id}' "
        f"AND timestamp >= {first * DAY_US} AND timestamp < {end * DAY_US} "
        "GROUP BY metadata ->> 'customer'"
    )


def by_rollup(kind: str, large: Side, small: Side, runs: int, count: int) -> Figure:
    """In turns: ours on both sizes, the bare driver on both."""
    matching = [side.matching(ROLLED_UP, over_rollup(side.ledger)) for side in (large, small)]
    for side in (large, small):
        side.ask(ROLLED_UP, WARM)
    for _ in range(runs):
        for side in (large, small):
            side.ours += side.ask(ROLLED_UP, count)
            side.raw += side.query(over_rollup(side.ledger), count)
            side.plain += side.query(over_narrow(side.ledger), count)
    p95, p95_small = percentile(large.ours), percentile(small.ours)
    flat = p95 / p95_small
    share, plain = GOAL_MS / PLAIN_MS[kind], statistics.median(large.plain)
    return Figure(
        f"aggregate by provider, model, day; 30 of 90 days ({calls(matching[0])} of {size(large)} "
        f"calls match), {NAMES[kind]}",
        f"p95 under {share:.1f} x cost and count alone ({GOAL_MS:.0f} ms where these take "
        f"{PLAIN_MS[kind]} ms); at most {GOAL_FLAT} x that of {size(small)} calls",
        f"raw SQL: cost and count of a narrow table of hours p50 {plain:.1f} ms; "
        f"all sums of the rollup of days p50 {statistics.median(large.raw):.1f}, "
        f"p95 {percentile(large.raw):.1f} ms ({size(small)}: p95 {percentile(small.raw):.1f} ms)",
        f"p50 {statistics.median(large.ours):.1f}, p95 {p95:.1f} ms "
        f"({size(small)}: p50 {statistics.median(small.ours):.1f}, p95 {p95_small:.1f} ms)",
        f"{p95 / plain:.2f} x cost and count, {p95 / percentile(large.raw):.2f} x all sums; "
        f"{flat:.2f} x {size(small)}",
        [p95 < share * plain, flat <= GOAL_FLAT],
        kind,
    )


def by_metadata(kind: str, side: Side, runs: int) -> Figure:
    statement = over_calls(side.ledger)
    matching = side.matching(METADATA, statement)
    ours: list[float] = []
    raw: list[float] = []
    for _ in range(runs):
        ours += side.ask(METADATA, 1)
        raw += side.query(statement, 1)
    seconds, beside = statistics.median(ours) / 1000, statistics.median(raw) / 1000
    goal = GOAL_METADATA.get(kind)
    return Figure(
        f"aggregate by a metadata key; 30 of 90 days ({calls(matching)} of {size(side)} calls "
        f"match), {NAMES[kind]}",
        "stated" if goal is None else f"under {goal:.0f} s",
        f"raw SQL over the calls: {beside:.2f} s",
        f"{seconds:.2f} s",
        f"{seconds / beside:.2f}",
        [] if goal is None else [seconds < goal],
        kind,
    )


def percentile(found: Sequence[float]) -> float:
    """The 95th."""
    return statistics.quantiles(found, n=20, method="inclusive")[18]


def size(side: Side) -> str:
    return calls(side.ledger.rows)


def calls(count: int) -> str:
    """A number of calls to three digits."""
    return f"{count / 1e6:.3g} M" if count >= 1_000_000 else f"{count:,}"


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(__doc__, given)
    count = 3 if chosen.tiny else 25
    for kind in (kind for kind in chosen.databases.split(",") if kind in KINDS):
        with ExitStack() as stack:
            large, small = (
                Side(ledger, stack.enter_context(serving(ledger.url)))
                for ledger in (filled(kind, rows) for rows in sizes(chosen))
            )
            say([by_rollup(kind, large, small, chosen.runs, count)])
            say([by_metadata(kind, large, chosen.runs)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
