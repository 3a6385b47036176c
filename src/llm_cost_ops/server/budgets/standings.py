"""Where budgets stand now, and where they are going: read without locks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from sqlalchemy import select

from llm_cost_ops.core.budget import Budget
from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.money import from_e10
from llm_cost_ops.core.period import DAY_US, Window, day_start, local_day, time_zone
from llm_cost_ops.core.projection import Projection, project
from llm_cost_ops.server.budgets import wire
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger.recount import scopes_of
from llm_cost_ops.server.ledger.scoped import series
from llm_cost_ops.server.spend.counters import (
    CHUNK,
    Counter,
    Place,
    Standing,
    carried_into,
    counter_of,
    of_period,
    steps,
    summed,
)
from llm_cost_ops.server.spend.index import Index
from llm_cost_ops.server.spend.tables import spend_counters

HISTORY_DAYS = 28


def standings(
    session: ReadSession, budgets: Sequence[Budget], now_us: int
) -> dict[str, Standing | None]:
    """Where each budget stands, by id; None when it is not in force."""
    own = {budget.id: budget.counted_in(now_us) for budget in budgets}
    places = [Place(budget_id, window.start_us) for budget_id, window in own.items() if window]
    known = _counters(session, places)
    found: dict[str, Standing | None] = {}
    for budget in budgets:
        window, step = budget.in_force_at(now_us), own[budget.id]
        if window is None or step is None:
            found[budget.id] = None
            continue
        place = Place(budget.id, step.start_us)
        counter = known.get(place) or Counter(budget.organization_id, place)
        if budget.slide is not None:
            past = list(steps(session, budget, window, step))
            found[budget.id] = summed(budget, window, counter, past)
        else:
            carried = carried_into(session, budget, step)
            found[budget.id] = of_period(budget, window, counter, carried)
    return found


def _counters(session: ReadSession, places: Sequence[Place]) -> dict[Place, Counter]:
    found: dict[Place, Counter] = {}
    for start in range(0, len(places), CHUNK):
        ids = [place.id for place in places[start : start + CHUNK]]
        query = select(spend_counters).where(spend_counters.c.id.in_(ids))
        for row in session.execute(query).mappings():
            counter = counter_of(row)
            found[counter.place] = counter
    return found


def status(
    session: ReadSession,
    index: Index,
    budget: Budget,
    row: Mapping[str, Any],
    now_us: int,
) -> dict[str, Any]:
    """A budget with its burn rate and the end that its period is heading for."""
    standing = standings(session, [budget], now_us)[budget.id]
    shown = wire.budget_row(budget, row, standing)
    if standing is None:
        return {**shown, "projection": None}
    days = _earlier_days(session, index, budget, now_us)
    window = standing.window
    end_us = now_us if budget.slide is not None else window.end_us
    found = project(
        standing.used.e10,
        standing.limits.e10,
        days,
        now_us=now_us,
        start_us=window.start_us,
        end_us=end_us,
    )
    left = Decimal(max(0, end_us - now_us)) / DAY_US
    return {
        **shown,
        "days_left": round(left, 4),
        "burn_rate": from_e10(found.rate_e10),
        "daily_rate": from_e10(found.rate_e10),
        "projected_spend": from_e10(found.projected_e10),
        "projection": _projection(found, len(days)),
    }


def _projection(found: Projection, days: int) -> dict[str, Any]:
    chance = found.probability
    return {
        "value": from_e10(found.projected_e10),
        "lower_bound": wire.money(found.lower_e10),
        "upper_bound": wire.money(found.upper_e10),
        "confidence": Decimal("0.95"),
        "based_on_days": days,
        "breach_date": None if found.breach_us is None else format_micros(found.breach_us),
        "breach_probability": None if chance is None else Decimal(str(chance)),
    }


def _earlier_days(session: ReadSession, index: Index, budget: Budget, now_us: int) -> list[int]:
    """What complete local days before today cost, from the first one with any use on."""
    zone = time_zone(budget.zone)
    today = local_day(now_us, zone)
    dates = [today - timedelta(days=back) for back in range(HISTORY_DAYS, -1, -1)]
    edges = [day_start(day, zone) for day in dates]
    windows = [Window(a, b) for a, b in pairwise(edges) if a < b]
    found = series(
        session,
        budget.organization_id,
        scopes_of(index, budget),
        windows,
        budget.currency,
    )
    spent = [found[window.start_us].e10 for window in windows]
    first = next((place for place, e10 in enumerate(spent) if e10), len(spent))
    return spent[first:]
