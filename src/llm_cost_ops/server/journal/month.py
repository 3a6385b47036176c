"""What a month cost by provider, project and team, and where the organization books it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import select

from llm_cost_ops.core.journal import Accounts, Cost, JournalError, Target
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.core.money import PLACES
from llm_cost_ops.core.period import days_window, time_zone
from llm_cost_ops.server.analytics.aggregate import Question, aggregate, dimensions
from llm_cost_ops.server.analytics.request import Home
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.identity.fields import PersonError, clean_optional
from llm_cost_ops.server.identity.tables import teams
from llm_cost_ops.server.ledger.books import Line, books_of
from llm_cost_ops.server.ledger.periods import CLOSED, closed_periods, period_of, stored_lines
from llm_cost_ops.server.ledger.rollup import Delta

COST_CENTER = "cost_center"
"""Where the metadata of a team names its cost centre."""


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of a month, exact, whether it is closed, so that they stay as they are, and how
    many calls have no price, so that their cost is lacking."""

    costs: list[Cost]
    closed: bool
    unpriced: int


def costs_of(session: ReadSession, at: Home, period: date) -> Costs:
    """The costs of a month. Give it a snapshot.

    Where months are closed, they are those of the month's books, in UTC: what was recorded for a
    closed month is in the next open one. Elsewhere they are those of the calls of the month in the
    organization's time zone.
    """
    if closed_periods(session, at.organization_id):
        month = f"{period:%Y-%m}"
        found = period_of(session, at.organization_id, month)
        if found.status == CLOSED:
            lines = stored_lines(session, at.organization_id, month)
            return Costs([_booked(line, delta) for line, delta in lines], True, found.unpriced)
        books = books_of(session, at.organization_id, month)
        booked = [_booked(line, delta) for line, delta in books.lines]
        return Costs(booked, False, books.unpriced)
    zone = time_zone(at.time_zone)
    last = (period.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    selection = Selection(at.organization_id, days_window(period, last, zone), zone)
    question = Question(dimensions(("provider", "project_id", "team_id")))
    answer = aggregate(session, selection, question, at.currency)
    costs = [_cost(row) for row in answer.rows]
    return Costs(costs, False, sum(cost.unpriced for cost in costs))


def with_teams(
    session: ReadSession, organization_id: str, accounts: Accounts, spent: Container[str | None]
) -> Accounts:
    """The mapping with the cost centres that teams which `spent` something name in their metadata,
    where it names none. Raises JournalError for one that is no line of plain text."""
    query = select(teams.c.id, teams.c.metadata).where(
        teams.c.organization_id == organization_id, teams.c.metadata.is_not(None)
    )
    found = dict(accounts.teams)
    for row in session.execute(query).mappings():
        team_id = str(row["id"])
        target = found.get(team_id, Target())
        if target.cost_center is None and team_id in spent:
            known = cast("Mapping[str, object]", loads(row["metadata"]))
            center = _center(team_id, known.get(COST_CENTER))
            found[team_id] = replace(target, cost_center=center)
    return replace(accounts, teams=found)


def _center(team_id: str, named: object) -> str | None:
    """A cost centre as a mapping would have it; numbers are their digits."""
    if isinstance(named, int) and not isinstance(named, bool):
        return str(named)
    if not isinstance(named, str):
        return None
    try:
        return clean_optional(named, "cost_center")
    except PersonError as error:
        field = f"accounts.teams.{team_id}.cost_center"
        raise JournalError(f"{error.message} (metadata of the team)", field=field) from None


def _booked(line: Line, delta: Delta) -> Cost:
    _, unpriced, *_ = delta.counts
    return Cost(
        line.provider,
        line.project_id or None,
        line.team_id or None,
        line.currency,
        delta.cost,
        unpriced,
    )


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
