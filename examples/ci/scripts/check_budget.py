"""Tell where each budget stands, and fail when one is used beyond a threshold.

LLM_COST_OPS_API_KEY    a key with read:budgets
LLM_COST_OPS_BASE_URL   the server
BUDGET_THRESHOLD        up to 1 a fraction of a budget, above 1 an amount (default 0.8)
BUDGET_NAME             this budget alone (default all)

Exit code: 0 all below the threshold; 1 one has reached it; 2 not known: the server cannot be asked,
there is no such budget, or none of its calls has a price yet. Unknown is not well.
"""

from __future__ import annotations

import os
import sys
from decimal import Decimal, InvalidOperation
from typing import Any

from llm_cost_ops import CostOpsClient, CostOpsError

BELOW, REACHED, UNKNOWN = 0, 1, 2
MARKS = ("ok", "REACHED", "unknown")


def main() -> int:
    threshold = amount_of(os.environ.get("BUDGET_THRESHOLD", "0.8"))
    if threshold is None:
        print("BUDGET_THRESHOLD must be a number above 0, such as 0.8 or 1000", file=sys.stderr)
        return UNKNOWN
    name = os.environ.get("BUDGET_NAME")
    try:
        with CostOpsClient() as client:
            budgets = [each for each in client.budgets.list() if name in (None, each.name)]
    except CostOpsError as error:
        print(f"Budgets cannot be read: {error}", file=sys.stderr)
        return UNKNOWN
    if not budgets:
        print(f"There is no budget {name or ''}".rstrip(), file=sys.stderr)
        return UNKNOWN
    codes = [told(each, threshold) for each in budgets]
    return REACHED if REACHED in codes else max(codes)


def amount_of(text: str) -> Decimal | None:
    """A finite number above 0, else None."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and number > 0 else None


def told(budget: Any, threshold: Decimal) -> int:
    """The exit code for one budget, of which a line is printed."""
    used, lacking = budget.utilization, budget.unpriced_requests + budget.other_currency_requests
    measured = used if threshold <= 1 else budget.spent
    code = BELOW
    if measured is not None and measured >= threshold:
        code = REACHED
    elif measured is None or (lacking and lacking >= budget.requests):
        code = UNKNOWN
    percent = "unknown" if used is None else f"{used * 100:.1f}%"
    more = f", and {lacking} calls whose cost is not counted" if lacking else ""
    spent = f"{budget.currency} {budget.spent}"
    print(f"{MARKS[code]:8} {budget.name}: {percent} used, {spent}{more}")
    return code


if __name__ == "__main__":
    sys.exit(main())
