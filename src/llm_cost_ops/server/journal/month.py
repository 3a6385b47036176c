"""What a month cost by provider, project and team, and where the organization books it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import select

from llm_cost_ops.core.journal import Accounts, Cost, Target
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.core.money import PLACES
from llm_cost_ops.core.period import days_window, time_zone
from llm_cost_ops.server.analytics.aggregate import Question, aggregate, dimensions
from llm_cost_ops.server.analytics.request import Home
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.identity.tables import teams

COST_CENTER = "cost_center"
"""Where the metadata of a team names its cost centre."""


def costs_of(session: ReadSession, at: Home, period: date) -> list[Cost]:
    """The costs of the month in the organization's time zone, exact."""
    zone = time_zone(at.time_zone)
    last = (period.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    selection = Selection(at.organization_id, days_window(period, last, zone), zone)
    question = Question(dimensions(("provider", "project_id", "team_id")))
    answer = aggregate(session, selection, question, at.currency)
    return [_cost(row) for row in answer.rows]


def with_teams(session: ReadSession, organization_id: str, accounts: Accounts) -> Accounts:
    """The mapping with the cost centres that teams name in their metadata, where it names none."""
    query = select(teams.c.id, teams.c.metadata).where(
        teams.c.organization_id == organization_id, teams.c.metadata.is_not(None)
    )
    found = dict(accounts.teams)
    for row in session.execute(query).mappings():
        team_id = str(row["id"])
        known = cast("Mapping[str, object]", loads(row["metadata"]))
        center = known.get(COST_CENTER)
        if isinstance(center, str) and center:
            target = found.get(team_id, Target())
            found[team_id] = replace(target, cost_center=target.cost_center or center)
    return replace(accounts, teams=found)


def is_closed(
    session: ReadSession,  # noqa: ARG001 - for the room that closes months
    organization_id: str,  # noqa: ARG001
    period: date,  # noqa: ARG001
) -> bool | None:
    """Whether the month was closed, so that its costs stay as they are; None while no room closes
    months."""
    return None


def unpriced_of(costs: Sequence[Cost]) -> int:
    """How many calls have no price, so that the journal lacks their cost."""
    return sum(cost.unpriced for cost in costs)


def _cost(row: Mapping[str, Any]) -> Cost:
    total = row["total_cost"]
    return Cost(
        row["provider"],
        row["project_id"] or None,
        row["team_id"] or None,
        row["currency"],
        0 if total is None else int(Decimal(total).scaleb(PLACES)),
        int(row["unpriced_count"]),
    )
