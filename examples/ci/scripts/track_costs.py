"""Write what the last days cost to data/costs.json, by day, provider, model and project.

LLM_COST_OPS_API_KEY    a key with read:costs
LLM_COST_OPS_BASE_URL   the server
COST_DAYS               how many days, today included (default 7)
COST_FILE               where to (default data/costs.json)

Amounts are numbers with all their digits. Exit code: 0 written, 2 not.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from llm_cost_ops import CostOpsClient, CostOpsError

GROUPS = ["date", "provider", "model", "project_id"]


def main() -> int:
    days = os.environ.get("COST_DAYS", "7")
    file = Path(os.environ.get("COST_FILE", "data/costs.json"))
    try:
        with CostOpsClient() as client:
            groups = client.costs.aggregate(period=f"last-{days}-days", group_by=GROUPS)
            rows = [row.to_dict() for row in groups.data]
    except CostOpsError as error:
        print(f"The costs cannot be read: {error}", file=sys.stderr)
        return 2
    text = json.dumps({"days": int(days), "costs": rows}, indent=1, default=str)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        print(f"The costs cannot be written: {error}", file=sys.stderr)
        return 2
    print(f"{len(rows)} groups written to {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
