"""Where the figures of a report are not those of closed books: reports go by the dates of calls."""

from __future__ import annotations

from llm_cost_ops.core.money import plain_e10
from llm_cost_ops.core.months import month_at
from llm_cost_ops.core.period import ALL_TIME
from llm_cost_ops.core.report.document import Block, Text
from llm_cost_ops.core.wording import calls
from llm_cost_ops.server.analytics.belated import Belated, belated
from llm_cost_ops.server.reports.material import API, Material, last_moment

_FIRST = "0000-00"


def of_books(material: Material) -> list[Block]:
    """What was recorded for months after their closing, a sentence for each pair of months."""
    selection = material.wanted.selection
    window = selection.window
    open_start = window.start_us <= ALL_TIME.start_us
    first = _FIRST if open_start else month_at(window.start_us)
    last = month_at(last_moment(window, material.at))
    said: list[str] = []
    found = belated(material.session, selection, first, last)
    for place, late in sorted(found.items()):
        amount, month, books = _told(late), place.month, place.books
        if not amount:
            continue
        if place.inside:
            where = "too" if first <= books <= last else "which this report is not about"
            said.append(
                f"For {month} {amount} came after that month was closed: by its date it is part "
                f"of this report, and it is in the books of {books}, {where}. GET "
                f"{API}/periods/{month} says what the books of {month} hold."
            )
        elif first <= books <= last:
            said.append(
                f"The books of {books} hold {amount} that came for {month} after that month was "
                f"closed: by its date it is no part of this report. GET {API}/periods/{books} "
                f"says what the books hold."
            )
    return [Text(each) for each in said]


def _told(late: Belated) -> str:
    """The amounts in words, empty where there is nothing to tell."""
    told = [f"{plain_e10(e10)} {name}" for name, e10 in sorted(late.amounts.items()) if e10]
    if late.unpriced:
        told.append(f"{calls(late.unpriced)} without a price")
    return " and ".join(filter(None, (", ".join(told[:-1]), *told[-1:])))
