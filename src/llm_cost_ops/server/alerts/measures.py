"""The drivers of a cost, or of usage: who contributed most to it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.money import from_e10, round_ratio
from llm_cost_ops.core.period import DAY_US, Window
from llm_cost_ops.core.scope import Scope
from llm_cost_ops.server.alerts import text
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.delivery.notice import Driver
from llm_cost_ops.server.ledger import watched
from llm_cost_ops.server.ledger.scoped import Sums, breakdown

TOP = 3
DRIVEN_BY = ("model", "project_id")
FAILURES = "failures"
_SHARE_UNITS = 1_000


def drivers(
    session: ReadSession,
    organization_id: str,
    scope: Scope,
    window: Window,
    currency: str,
    measure: str = "cost",
) -> tuple[Driver, ...]:
    """The three that contributed most to a cost, or to tokens, requests or failures, by model and
    project."""
    if measure == FAILURES:
        sized = watched.failed_by(session, organization_id, scope, window, DRIVEN_BY)
    else:
        found = breakdown(session, organization_id, scope, window, currency, DRIVEN_BY)
        sized = {values: _size(sums, measure) for values, sums in found.items()}
    whole = sum(sized.values())
    ranked = sorted(sized.items(), key=lambda each: (-each[1], str(each[0])))
    return tuple(
        Driver(text.driver(DRIVEN_BY, values), _shown(size, measure, currency), _share(size, whole))
        for values, size in ranked[:TOP]
        if size > 0
    )


def days_around(window: Window, now_us: int) -> Window:
    """The whole days of UTC that a window up to now touches, for which the rollup has answers; the
    window itself where it is shorter than two days."""
    end_us = min(window.end_us, now_us + 1)
    if end_us - window.start_us < 2 * DAY_US or window.start_us % DAY_US:
        return Window(window.start_us, max(end_us, window.start_us + 1))
    return Window(window.start_us, -(-end_us // DAY_US) * DAY_US)


def _size(sums: Sums, measure: str) -> int:
    return {"cost": sums.e10, "tokens": sums.tokens, "requests": sums.requests}[measure]


def _shown(size: int, measure: str, currency: str) -> str:
    if measure == "cost":
        return text.money(from_e10(size), currency)
    return f"{text.count(size)} {measure}"


def _share(size: int, whole: int) -> str:
    if whole <= 0:
        return ""
    return text.percent(Decimal(round_ratio(size * _SHARE_UNITS, whole)) / _SHARE_UNITS)


def shares(parts: Sequence[tuple[str, int]], whole: int) -> str:
    """`429: 12 (60 %), timeout: 8 (40 %)`."""
    return ", ".join(f"{text.name(word)}: {n:,} ({_share(n, whole)})" for word, n in parts)


def amount_of(row: Any) -> Decimal:
    """What a call cost."""
    return from_e10(int(row["cost_e10"]))
