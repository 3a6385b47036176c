"""Tell where each budget stands, and fail when one is used beyond a threshold.

LLM_COST_OPS_API_KEY    a key with read:budgets
LLM_COST_OPS_BASE_URL   the server
BUDGET_THRESHOLD        a fraction of a budget (default 0.8)
BUDGET_NAME             this budget alone (default all)

Exit code: 0 all below the threshold; 1 one has reached it; 2 not known: the server cannot be asked,
or there is no such budget. Unknown is not well.
"""

from __future__ import annotations

import os
import sys
from decimal import Decimal, InvalidOperation

from llm_cost_ops import CostOpsClient, CostOpsError

BELOW, REACHED, UNKNOWN = 0, 1, 2


def main() -> int:
    try:
        threshold = Decimal(os.environ.get("BUDGET_THRESHOLD", "0.8"))
    except InvalidOperation:
        print("BUDGET_THRESHOLD must be a number such as 0.8", file=sys.stderr)
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
    code = BELOW
    for budget in budgets:
        used = budget.utilization
        reached = used is not None and used >= threshold
        code = REACHED if reached else code
        mark = "REACHED" if reached else "ok"
        percent = "unknown" if used is None else f"{used * 100:.1f}%"
        print(f"{mark:8} {budget.name}: {percent} used, {budget.currency} {budget.spent}")
    return code


if __name__ == "__main__":
    sys.exit(main())
