"""A report by team of all calls of one organization, drawn as PDF, over HTTP: what finance asks for
each month, from the sums by team that the worker keeps and, where it has not been yet, from the
calls.

The ledger is a copy of the filled one whose calls have teams. Beside the report stands raw SQL that
adds up the calls by team and model on the bare driver.
"""

from __future__ import annotations

import http.client
import json
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.figures import Figure, arguments, paired, ratio_text, say
from bench.fill import DAYS, Filled, day_text, filled, sizes
from bench.load import HOST
from bench.places import OUT, driver_connection
from bench.serving import Server, serving
from llm_cost_ops.server.db.engine import open_maintenance_database
from llm_cost_ops.server.db.session import write_retrying
from llm_cost_ops.server.ledger import teams
from llm_cost_ops.server.ledger.rollup import DAY_US
from llm_cost_ops.server.settings import DatabaseSettings

TEAMS = 20
GOAL_S = 20.0
GOAL_ROWS = 10_000_000
OVER_CALLS = """
    SELECT team_id, provider, model_name, SUM(requests), SUM(cost_e10), SUM(total_tokens),
           SUM(input_tokens), SUM(output_tokens), MIN(cost_e10), MAX(cost_e10)
    FROM usage_records WHERE organization_id = ? AND timestamp >= ? AND timestamp < ?
    GROUP BY team_id, provider, model_name
"""


def with_teams(ledger: Filled) -> Filled:
    """A copy whose calls are of teams, which nobody has summed yet."""
    folder = OUT / f"teams-{ledger.rows}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    source = driver_connection(ledger.url, autocommit=True)
    source.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    (path,) = (Path(row[2]) for row in source.execute("PRAGMA database_list") if row[1] == "main")
    source.close()
    copy = replace(ledger, url=f"sqlite:///{shutil.copyfile(path, folder / 'ledger.db')}")
    connection = driver_connection(copy.url, autocommit=True)
    connection.execute(f"UPDATE usage_records SET team_id = 'team-' || (input_tokens % {TEAMS})")
    connection.close()
    return copy


def sum_days(ledger: Filled) -> float:
    """What the worker does; seconds for a day."""
    database = open_maintenance_database(DatabaseSettings(url=ledger.url))
    began = time.perf_counter()
    made = teams.make(
        database,
        ledger.organization_id,
        ledger.last_day + 1,
        lambda work: write_retrying(database, work),
    )
    days = sum(1 for _ in made)
    database.dispose()
    return (time.perf_counter() - began) / days


def report(ledger: Filled, server: Server) -> float:
    """Seconds until the PDF is there."""
    asked = {
        "type": "chargeback",
        "charge_by": "team_id",
        "start_date": day_text(ledger.last_day - DAYS + 1)[:10],
        "end_date": day_text(ledger.last_day)[:10],
        "wait": True,
    }
    began = time.perf_counter()
    made = json.loads(_ask(ledger, server, "POST", "/reports/generate", json.dumps(asked)))
    pdf = _ask(ledger, server, "GET", f"/reports/{made['id']}/download?format=pdf")
    assert pdf.startswith(b"%PDF"), pdf[:100]
    return time.perf_counter() - began


def _ask(ledger: Filled, server: Server, method: str, path: str, body: str | None = None) -> bytes:
    connection = http.client.HTTPConnection(HOST, server.port)
    headers = {"Authorization": f"Bearer {ledger.key}", "Content-Type": "application/json"}
    connection.request(method, f"/api/v1{path}", body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status in (200, 201), (answer.status, content)
    return content


def raw(ledger: Filled) -> float:
    """Seconds of the bare driver."""
    connection = driver_connection(ledger.url, autocommit=True)
    first, end = (ledger.last_day - DAYS + 1) * DAY_US, (ledger.last_day + 1) * DAY_US
    began = time.perf_counter()
    rows: list[Any] = connection.execute(
        OVER_CALLS, (ledger.organization_id, first, end)
    ).fetchall()
    seconds = time.perf_counter() - began
    connection.close()
    assert sum(row[3] for row in rows) == ledger.rows
    return seconds


def figures(ledger: Filled, runs: int) -> list[Figure]:
    """First with nothing but calls, then with the sums of all days."""
    found: list[Figure] = []
    what = f"chargeback by team as PDF, {ledger.rows / 1e6:.2f} M calls of {DAYS} days, SQLite"
    goal = f"under {GOAL_S:.0f} s" if ledger.rows >= GOAL_ROWS else "stated"
    with serving(ledger.url) as server:
        bare = paired(lambda: report(ledger, server), lambda: raw(ledger), 1)
        a_day = sum_days(ledger)
        usual = paired(lambda: report(ledger, server), lambda: raw(ledger), runs)
    beside = f"raw SQL over the calls: {statistics.median((bare.beside, usual.beside)):.2f} s"
    for pair, text, wanted in (
        (usual, f"the worker has summed the days, {a_day:.2f} s each", goal),
        (bare, "no day is summed yet", "stated"),
    ):
        met = [] if wanted == "stated" else [pair.ours < GOAL_S]
        found.append(
            Figure(f"{what}; {text}", wanted, beside, f"{pair.ours:.2f} s",
                   ratio_text(pair, 3), met, "sqlite")
        )  # fmt: skip
    return found


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(__doc__, given)
    if "sqlite" in chosen.databases.split(","):
        rows, _ = sizes(chosen)
        ledger = with_teams(filled("sqlite", rows))
        say(figures(ledger, chosen.runs))
        shutil.rmtree(OUT / f"teams-{ledger.rows}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
