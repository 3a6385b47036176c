"""Where the figures of a report are not those of closed books: reports go by the dates of calls."""

from __future__ import annotations

from llm_cost_ops.core.months import month_at
from llm_cost_ops.core.period import ALL_TIME
from llm_cost_ops.core.report.document import Block, Text
from llm_cost_ops.server.ledger.late import late_months
from llm_cost_ops.server.reports.material import API, Material, last_moment

_FIRST = "0000-00"


def of_books(material: Material) -> list[Block]:
    """What was recorded for months after their closing, a sentence for each pair of months."""
    selection = material.wanted.selection
    window = selection.window
    open_start = window.start_us <= ALL_TIME.start_us
    first = _FIRST if open_start else month_at(window.start_us)
    last = month_at(last_moment(window, material.at))
    found = late_months(material.session, selection.organization_id, first, last)
    said: list[str] = []
    for month, books in found:
        if first <= month <= last:
            where = "too" if first <= books <= last else "which this report is not about"
            said.append(
                f"For {month} something was recorded after that month was closed: by its date it "
                f"is part of this report, and it is in the books of {books}, {where}. GET "
                f"{API}/periods/{month} says what the books of {month} hold."
            )
        else:
            said.append(
                f"The books of {books} hold what was recorded for {month} after that month was "
                f"closed: by its date it is no part of this report. GET {API}/periods/{books} "
                f"says what the books hold."
            )
    return [Text(each) for each in said]
