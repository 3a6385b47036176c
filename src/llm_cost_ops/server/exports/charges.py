"""Charges that are no calls in a FOCUS dataset, and what its calls draw from commitments.

What a call draws depends on all calls before it, whether a dataset has them or not: where
conditions leave some out, all are read beside it, page by page; calls that retention has removed
draw as the sums of their days.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llm_cost_ops.core.focus.charges import (
    Periods,
    credit_row,
    drawn_rows,
    fee_day_row,
    fee_row,
    purchase_row,
    unused_row,
)
from llm_cost_ops.core.focus.commitments import Drawdown, Drawn
from llm_cost_ops.core.focus.periods import charge_period
from llm_cost_ops.core.focus.rows import Row, Values, row_of, values_of
from llm_cost_ops.core.months import month_at, window_of
from llm_cost_ops.core.period import DAY_US, Window
from llm_cost_ops.server.analytics.conditions import AnyOf, Condition
from llm_cost_ops.server.analytics.pages import Order
from llm_cost_ops.server.analytics.restated import Restated, restated_calls
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.analytics.stream import call_batches
from llm_cost_ops.server.charges import store
from llm_cost_ops.server.charges.charge import COMMITMENT, CREDIT, PURCHASE, Charge
from llm_cost_ops.server.charges.draw import (
    draw_late,
    draw_sums,
    drawn_before,
    drawn_before_books,
)
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import read, report
from llm_cost_ops.server.ledger.closed import closed_of

_DRAWING = ("provider", "currency", "cost_e10")
"""What is read of calls beside a dataset; their time and id come behind."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Which dataset: its selection, `month` for the books of one, the `grain` of its charge
    periods, and when it is made: what is dated later has not happened."""

    selection: Selection
    month: str | None
    grain: str
    organization_name: str | None
    now_us: int


class Charges:
    """The charges of a dataset, and its drawdown. Rows are given once each, in the order of time:
    `until` those that come before a charge period, `rest` the others."""

    def __init__(self, database: Database, dataset: Dataset) -> None:
        self._database, self._dataset = database, dataset
        selection, month = dataset.selection, dataset.month
        with read(database) as session:
            found = store.listed(session, selection.organization_id)
        if month is not None:
            found = [each for each in found if each.billing_period <= month]
        self._charges = found
        bought = [each for each in found if each.kind == COMMITMENT]
        self._drawdown = Drawdown([])
        if month is not None and bought:
            self._drawdown = drawn_before_books(database, selection.organization_id, bought, month)
        elif bought:
            commitments = [each.commitment(dataset.organization_name) for each in bought]
            with report(database) as session:
                self._drawdown = drawn_before(
                    session, selection.organization_id, commitments, selection.window.start_us
                )
        self._draws = bool(bought)
        removed = _Removed(database, selection, self._drawdown)
        self._removed = removed
        self._all = None
        if selection.conditions:
            self._all = _Beside(database, dataset, self._drawdown, removed)
        self._waiting = sorted(self._shown(), key=_in_time, reverse=True)
        """The next one last."""

    def drawn(self, call: Mapping[str, Any]) -> Sequence[Drawn]:
        """What a call of the dataset draws; each is asked for once, in order."""
        if not self._draws:
            return ()
        if self._all is not None:
            return self._all.drawn(call)
        self._removed.until(int(call["timestamp"]))
        return _draw(self._drawdown, call)

    def drawn_late(self, restated: Restated) -> Sequence[Drawn]:
        """The same of a call of an earlier month, of which the books say how it is since."""
        if not self._draws:
            return ()
        if self._all is not None:
            return self._all.drawn_late(restated)
        return draw_late(self._drawdown, restated)

    def until(self, start_us: int) -> list[Values]:
        """The rows that come before the calls of a charge period. What was left unused in it comes
        behind them: they draw first."""
        due: list[_Shown] = []
        while self._waiting and _in_time(self._waiting[-1])[:2] <= (start_us, False):
            due.append(self._waiting.pop())
        return self._made(due)

    def rest(self) -> list[Values]:
        """The rows that are left, when all calls have drawn."""
        due = self._waiting[::-1]
        self._waiting.clear()
        return self._made(due)

    def _made(self, due: Sequence[_Shown]) -> list[Values]:
        return [values_of(row) for each in due if (row := self._row(each)) is not None]

    def _shown(self) -> Iterator[_Shown]:
        dataset = self._dataset
        for charge in self._charges:
            if not _meets(dataset.selection.conditions, charge.provider):
                continue
            start = charge.start_us
            if start <= dataset.now_us and self._has(charge, start):
                yield _Shown(charge, self._periods((start, self._last(charge))), _ITSELF)
            if charge.kind == PURCHASE:
                yield from self._days(charge)
            end = charge.end_us
            if charge.kind != COMMITMENT or end is None or end > dataset.now_us:
                continue
            if self._has(charge, end - 1):
                last = charge_period(end - 1, dataset.grain)
                yield _Shown(charge, self._periods(last), _UNUSED)

    def _days(self, charge: Charge) -> Iterator[_Shown]:
        """Of the days of a purchase only those near the window are looked at: there may be ten
        years of them, and many purchases."""
        dataset, window = self._dataset, self._dataset.selection.window
        until_us = min(window.end_us, dataset.now_us + 1)
        first = max(0, (window.start_us - charge.start_us) // DAY_US)
        if charge.billing_period == dataset.month:  # its books have the days before it came, too
            first = 0
        last = min(charge.days, -((charge.start_us - until_us) // DAY_US))
        for day in range(first, last):
            start = charge.start_us + day * DAY_US
            if self._has(charge, start):
                yield _Shown(charge, self._periods((start, start + DAY_US)), _DAY, day)

    def _has(self, charge: Charge, at_us: int) -> bool:
        """Whether the dataset has what of a charge happens at an instant: in the books of a month
        also what happened before the charge came."""
        month, window = self._dataset.month, self._dataset.selection.window
        if month is None:
            return window.start_us <= at_us < window.end_us
        return max(month_at(at_us), charge.billing_period) == month

    def _last(self, charge: Charge) -> int:
        """The end of the charge period of a purchase: of a commitment its first day."""
        if charge.kind == COMMITMENT or charge.end_us is None:
            return charge.start_us + DAY_US
        return charge.end_us

    def _periods(self, period: tuple[int, int]) -> Periods:
        own = month_at(period[0])
        month = self._dataset.month or own
        window = window_of(month)
        return Periods(period, (window.start_us, window.end_us), corrects_closed=month != own)

    def _row(self, shown: _Shown) -> Row | None:
        """The row; None where nothing was left unused."""
        charge, periods = shown.charge, shown.periods
        name = self._dataset.organization_name
        if charge.kind == CREDIT:
            return credit_row(charge.account(name), periods, charge.amount_e10, charge.name)
        if charge.kind == PURCHASE:
            fee = charge.fee(name)
            if shown.what == _DAY:
                return fee_day_row(fee, periods, shown.day)
            return fee_row(fee, periods)
        commitment = charge.commitment(name)
        if shown.what == _ITSELF:
            return purchase_row(commitment, periods)
        if self._all is not None and not periods.corrects_closed:
            self._all.reach(periods.charge[1])
        self._removed.until(periods.charge[1])
        drawn = self._drawdown.of(commitment)
        return None if drawn == commitment.granted_e10 else unused_row(commitment, periods, drawn)


_ITSELF, _DAY, _UNUSED = range(3)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A row to come: of the charge itself, of a day of what was bought, or of what was left unused,
    which comes behind the calls that draw in its charge period."""

    charge: Charge
    periods: Periods
    what: int
    day: int = 0


def _in_time(shown: _Shown) -> tuple[int, bool, str, int]:
    return shown.periods.charge[0], shown.what == _UNUSED, shown.charge.id, shown.what


class _Removed:
    """The days of a window whose calls retention has removed. Days that follow each other draw
    together, before the first call behind them."""

    def __init__(self, database: Database, selection: Selection, drawdown: Drawdown) -> None:
        self._database, self._drawdown = database, drawdown
        self._organization_id, self._windows = selection.organization_id, list[Window]()
        """The next one last."""
        if not drawdown.drawn:
            return
        with read(database) as session:
            days = sorted(closed_of(session, selection.organization_id), reverse=True)
        for day in days:
            window = selection.window.clip(Window(day * DAY_US, (day + 1) * DAY_US))
            if window.is_empty:
                continue
            if self._windows and self._windows[-1].start_us == window.end_us:
                window = Window(window.start_us, self._windows.pop().end_us)
            self._windows.append(window)

    def until(self, at_us: int) -> None:
        """Draw those that begin before an instant."""
        while self._windows and self._windows[-1].start_us < at_us:
            with report(self._database) as session:
                window = self._windows.pop()
                draw_sums(session, self._drawdown, self._organization_id, window)


class _Beside:
    """All calls of a window beside those that meet conditions, drawing in the order of time."""

    def __init__(
        self, database: Database, dataset: Dataset, drawdown: Drawdown, removed: _Removed
    ) -> None:
        self._drawdown, self._removed = drawdown, removed
        whole = replace(dataset.selection, conditions=())
        month = dataset.month
        self._lots = iter(()) if month is None else restated_calls(database, whole, month)
        self._late: dict[str, Sequence[Drawn]] = {}
        self._last_late = ""
        batches = call_batches(database, whole, Order(), month=dataset.month, columns=_DRAWING)
        self._calls = (call for batch in batches for call in batch)
        self._last: tuple[tuple[int, str], Sequence[Drawn]] = ((-(2**63), ""), ())

    def drawn(self, call: Mapping[str, Any]) -> Sequence[Drawn]:
        """What a call draws. One that came while both were read draws from what is left."""
        wanted = int(call["timestamp"]), call["id"]
        while self._last[0] < wanted and self._step():
            pass
        return self._last[1] if self._last[0] == wanted else _draw(self._drawdown, call)

    def drawn_late(self, restated: Restated) -> Sequence[Drawn]:
        """The same of a call of an earlier month. Lots of them are by id, each by time."""
        if restated.after is None:
            return ()
        wanted = restated.after["id"]
        while self._last_late < wanted and self._next_lot():
            pass
        return self._late.get(wanted, ())

    def _next_lot(self) -> bool:
        lot = next(self._lots, None)
        if lot is None:
            return False
        self._late = {}
        for each in lot:
            drawn = draw_late(self._drawdown, each)
            call = each.after or each.before
            if call is not None:
                self._late[call["id"]] = drawn
                self._last_late = max(self._last_late, call["id"])
        return True

    def reach(self, at_us: int) -> None:
        """Let all calls before an instant draw."""
        while self._last[0][0] < at_us and self._step():
            pass

    def _step(self) -> bool:
        while self._next_lot():  # they draw before the month's own calls
            pass
        call = next(self._calls, None)
        if call is None:
            return False
        provider, currency, cost, at_us, call_id = call
        self._removed.until(int(at_us))
        drawn = self._drawdown.draw(provider, currency, int(at_us), int(cost or 0))
        self._last = (int(at_us), call_id), drawn
        return True


def _draw(drawdown: Drawdown, call: Mapping[str, Any]) -> Sequence[Drawn]:
    cost = int(call["cost_e10"] or 0)
    return drawdown.draw(call["provider"], call["currency"], int(call["timestamp"]), cost)


def paid(rows: Sequence[Values], drawn: Sequence[Drawn]) -> Sequence[Values]:
    """The rows of a call with what it draws."""
    if not drawn:
        return rows
    return list(map(values_of, drawn_rows(list(map(row_of, rows)), drawn)))


def _meets(conditions: Sequence[Condition | AnyOf], provider: str) -> bool:
    """Whether a charge, which has a provider and no other label of a call, is among what is asked
    for. Who may read some calls alone, may read no charges."""
    for item in conditions:
        if isinstance(item, AnyOf) or item.field.name != "provider":
            return False
        if item.relation not in ("in", "nin"):
            return False
        if (provider in item.values) != (item.relation == "in"):
            return False
    return True
