"""`POST /usage/batch` of an organization with ten thousand budgets, of which a batch moves twenty.

Beside it stands the same with these twenty alone. The others are of projects without calls. Before
the figures are said, the counters of the budgets are counted: those of the twenty alone have moved.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sqlalchemy import func, select

from bench.batch import BATCH, LIVE, NAMES, PATH
from bench.calls import PROJECTS, batches, body_of, now
from bench.figures import Figure, arguments, paired, ratio_text, say, thousands
from bench.load import request, run
from bench.places import Place, place
from bench.serving import serving
from llm_cost_ops.core.definition import Defaults, make_budget
from llm_cost_ops.core.instant import to_micros
from llm_cost_ops.server.db.engine import open_maintenance_database
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.spend import store
from llm_cost_ops.server.spend.lock import hold_alone
from llm_cost_ops.server.spend.tables import spend_counters

BUDGETS = 10_000


class Round:
    """One run with so many budgets."""

    def __init__(self, kind: str, budgets: int, warm: int, timed: int) -> None:
        self._kind = kind
        self._budgets = budgets
        self._warm = warm
        made = batches(warm + timed, BATCH, over=LIVE, until=now())
        self._bodies = [body_of(batch) for batch in made]
        self.moved = 0

    def rate(self) -> float:
        """Calls a second."""
        with place(self._kind) as ledger:
            _fill(ledger, self._budgets)
            requests = [request("POST", PATH, ledger.key, body) for body in self._bodies]
            with serving(ledger.url) as server:
                run(server.port, requests[: self._warm], 1).check(200)
                load = run(server.port, requests[self._warm :], 1)
            load.check(200)
            self.moved = _moved(ledger)
        return load.rate * BATCH


def _fill(ledger: Place, count: int) -> None:
    """Budgets of single projects; those of `bench.calls` come first."""
    database = open_maintenance_database(ledger.settings)
    now_us = to_micros(now())
    with write(database) as session:
        hold_alone(session, ledger.organization_id)
        for number in range(count):
            definition = {
                "name": f"budget {number}",
                "amount": "1000000",
                "currency": "USD",
                "timezone": "UTC",
                "period": "monthly",
                "scope": {"project_id": f"project-{number:02d}"},
            }
            made = make_budget(
                definition,
                budget_id=f"bud_{number:026d}",
                organization_id=ledger.organization_id,
                defaults=Defaults(),
                made_us=now_us,
            )
            definition["scope"] = made.scope.wire()
            store.add(session, made, definition, actor_id=None, now_us=now_us)
    database.dispose()


def _moved(ledger: Place) -> int:
    """Budgets that have counted a call."""
    database = open_maintenance_database(ledger.settings)
    column = spend_counters.c
    query = select(func.count(column.budget_id.distinct())).where(column.requests > 0)
    with read(database) as session:
        found = int(session.scalar(query))
    database.dispose()
    return found


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(__doc__, given)
    warm, timed = (1, 2) if chosen.tiny else (5, 40)
    count = 100 if chosen.tiny else BUDGETS
    for kind in chosen.databases.split(","):
        many, few = Round(kind, count, warm, timed), Round(kind, PROJECTS, warm, timed)
        found = paired(many.rate, few.rate, chosen.runs)
        say(
            [
                Figure(
                    f"`POST /usage/batch`, 1,000 a call that move {PROJECTS} of {count:,} budgets, "
                    f"{NAMES[kind]}",
                    "only these are touched",
                    f"{PROJECTS} budgets alone: {thousands(found.beside)} rows/s",
                    f"{thousands(found.ours)} rows/s; {many.moved} budgets moved",
                    ratio_text(found),
                    [many.moved == few.moved == PROJECTS],
                    kind,
                )
            ]
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
