"""What the calls of the ledger have drawn from commitments.

As calls are now, sums of the rollups draw: between two edges of commitments the order of calls
changes nothing. In the books of closed months what was recorded late is apart, so that these are
read call by call, once: a closed month keeps what was drawn until its end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import date
from zoneinfo import ZoneInfo

from llm_cost_ops.core.focus.commitments import Commitment, Drawdown, Drawn
from llm_cost_ops.core.instant import day_number
from llm_cost_ops.core.months import month_after, month_before, months_between, window_of
from llm_cost_ops.core.period import DAY_US, Window
from llm_cost_ops.server.analytics.aggregate import dimensions
from llm_cost_ops.server.analytics.groups import read_groups
from llm_cost_ops.server.analytics.pages import COLUMNS, Order
from llm_cost_ops.server.analytics.restated import Restated, restated_calls
from llm_cost_ops.server.analytics.selection import Selection, grouping
from llm_cost_ops.server.analytics.sources import BASE
from llm_cost_ops.server.analytics.stream import call_batches
from llm_cost_ops.server.charges import store
from llm_cost_ops.server.charges.charge import COMMITMENT, Charge
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import ReadSession, read, report
from llm_cost_ops.server.ledger.closed import closed_of
from llm_cost_ops.server.ledger.late import has_late
from llm_cost_ops.server.ledger.periods import closed_periods, drawn_until

UTC = ZoneInfo("UTC")
GoOn = Callable[[], object]
_BY_PROVIDER, _BY_DAY = dimensions(("provider",)), dimensions(("provider", "day"))
_AT_ONCE_US = 366 * DAY_US
_PROVIDER, _TIME, _COST, _CURRENCY = (
    COLUMNS.index(name) for name in ("provider", "timestamp", "cost_e10", "currency")
)


def drawn_before(
    session: ReadSession, organization_id: str, commitments: Sequence[Commitment], end_us: int
) -> Drawdown:
    """What calls before an instant have drawn, as they are now."""
    drawdown = Drawdown(commitments)
    if commitments:
        start_us = min(each.start_us for each in commitments)
        draw_sums(session, drawdown, organization_id, Window(start_us, end_us))
    return drawdown


def draw_sums(
    session: ReadSession, drawdown: Drawdown, organization_id: str, window: Window
) -> None:
    """Draw what the calls of a window cost, as they are now."""
    if window.is_empty:
        return
    edges = drawdown.edges(window.start_us, window.end_us)
    while len(edges) > 1:
        # Where edges are many, some hundred days are read at once: to read for each edge takes as
        # many statements as there are commitments.
        near = bisect_right(edges, edges[0] + _AT_ONCE_US)
        if near <= 2:
            _draw_part(session, drawdown, organization_id, edges[:2])
        else:
            _draw_parts(session, drawdown, organization_id, edges[:near])
        edges = edges[max(near, 2) - 1 :]


def _draw_part(
    session: ReadSession, drawdown: Drawdown, organization_id: str, edges: Sequence[int]
) -> None:
    part = Selection(organization_id, Window(edges[0], edges[1]), UTC)
    bounded, by = grouping(session, part, _BY_PROVIDER)
    for (provider, currency), totals in read_groups(session, bounded, by, BASE).items():
        drawdown.draw(str(provider), str(currency), edges[0], totals.cost)


def _draw_parts(
    session: ReadSession, drawdown: Drawdown, organization_id: str, edges: Sequence[int]
) -> None:
    """The same of times that follow each other; no commitment begins or ends within a day."""
    whole = Selection(organization_id, Window(edges[0], edges[-1]), UTC)
    bounded, by = grouping(session, whole, _BY_DAY)
    if bounded.window.is_empty:
        return
    costs: dict[tuple[int, str, str], int] = {}
    for (provider, day, currency), totals in read_groups(session, bounded, by, BASE).items():
        at_us = day_number(date.fromisoformat(str(day))) * DAY_US
        part = max(bisect_right(edges, at_us) - 1, 0), str(provider), str(currency)
        costs[part] = costs.get(part, 0) + totals.cost
    for (part, provider, currency), cost in sorted(costs.items()):
        drawdown.draw(provider, currency, edges[part], cost)


def drawn_before_books(
    database: Database, organization_id: str, charges: Sequence[Charge], month: str
) -> Drawdown:
    """What was drawn before the books of a month, for who draws their calls. Of `charges` those
    that are in its books, or in earlier ones, are drawn from."""
    return _booked(database, organization_id, charges, month, lambda: None)


def drawn_after_books(
    database: Database, organization_id: str, month: str, go_on: GoOn
) -> dict[str, int] | None:
    """What was drawn until the end of a month whose books do not change any more, by commitment;
    None where there is none. `go_on` is called now and then, and may raise."""
    with read(database) as session:
        charges = store.listed(session, organization_id, COMMITMENT)
    if not any(each.billing_period <= month for each in charges):
        return None
    drawdown = _booked(database, organization_id, charges, month, go_on)
    _draw_books(database, drawdown, organization_id, month, go_on)
    return drawdown.drawn


def draw_late(drawdown: Drawdown, restated: Restated) -> tuple[Drawn, ...]:
    """Draw what the books of a later month add to the cost of a call. What they take from it is
    taken in money: what a closed month drew stays drawn."""
    before, after = restated
    if after is None:
        return ()
    known = before is not None and before["currency"] == after["currency"]
    was = int(before["cost_e10"] or 0) if before is not None and known else 0
    more = int(after["cost_e10"] or 0) - was
    return drawdown.draw(after["provider"], after["currency"], int(after["timestamp"]), more)


def _booked(
    database: Database, organization_id: str, charges: Sequence[Charge], month: str, go_on: GoOn
) -> Drawdown:
    """The drawdown at the beginning of the books of a month: from the last closed month that kept
    one, month by month. What is recorded later for a month that was empty when it was closed is in
    no books before those that were open then."""
    bought = [each for each in charges if each.kind == COMMITMENT]

    def at(which: str, drawn: dict[str, int], until: str = "") -> Drawdown:
        known = [each for each in bought if each.billing_period <= max(which, until)]
        start_us = window_of(which).start_us
        return Drawdown([each.commitment() for each in known], drawn, start_us)

    first = min((each.billing_period for each in bought), default=month)
    with read(database) as session:
        kept = drawn_until(session, organization_id, month)
        frozen = {each.month: each for each in closed_periods(session, organization_id)}
    last = max(frozen, default="")
    following = month_after(last) if last else ""
    drawn: dict[str, int] = {}
    if kept is not None:
        first, drawn = max(first, month_after(kept.month)), dict(kept.drawn)
    for each in months_between(first, month_before(month)):
        if each <= last and (each not in frozen or frozen[each].is_empty):
            continue
        if each > following:  # of these nothing is late
            until = month_before(month)
            drawdown = at(each, drawn, until)
            window = Window(window_of(each).start_us, window_of(until).end_us)
            with report(database) as session:
                draw_sums(session, drawdown, organization_id, window)
            return at(month, drawdown.drawn)
        drawdown = at(each, drawn)
        _draw_books(database, drawdown, organization_id, each, go_on)
        drawn = drawdown.drawn
    return at(month, drawn)


def _draw_books(
    database: Database, drawdown: Drawdown, organization_id: str, month: str, go_on: GoOn
) -> None:
    window = window_of(month)
    selection = Selection(organization_id, window, UTC)
    for late in restated_calls(database, selection, month):
        for each in late:
            draw_late(drawdown, each)
        go_on()
    with report(database) as session:
        if not has_late(session, organization_id, month):
            draw_sums(session, drawdown, organization_id, window)
            return
        archived = closed_of(session, organization_id)
    for day in range(window.start_us // DAY_US, window.end_us // DAY_US):
        part = Window(day * DAY_US, (day + 1) * DAY_US)
        if day in archived:
            with report(database) as session:
                draw_sums(session, drawdown, organization_id, part)
            continue
        for batch in call_batches(database, selection.within(part), Order(), month=month):
            for call in batch:
                cost = int(call[_COST] or 0)
                drawdown.draw(call[_PROVIDER], call[_CURRENCY], int(call[_TIME]), cost)
        go_on()
