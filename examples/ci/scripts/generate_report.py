"""Write a report of costs to reports/cost-report-DATE.pdf.

LLM_COST_OPS_API_KEY    a key with read:costs and export:data
LLM_COST_OPS_BASE_URL   the server
REPORT_PERIOD           this-month, last-month, last-7-days .. (default last-30-days)
REPORT_FORMAT           pdf, xlsx, html or markdown (default pdf)
REPORT_DIR              where to (default reports)

Exit code: 0 written, 2 not.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from llm_cost_ops import CostOpsClient, CostOpsError

SUFFIXES = {"markdown": "md", "excel": "xlsx"}


def main() -> int:
    period = os.environ.get("REPORT_PERIOD", "last-30-days")
    form = os.environ.get("REPORT_FORMAT", "pdf")
    folder = Path(os.environ.get("REPORT_DIR", "reports"))
    today = datetime.now(UTC).date()  # noqa: TID251 - the date is a name
    file = folder / f"cost-report-{today}.{SUFFIXES.get(form, form)}"
    try:
        with CostOpsClient() as client:
            report = client.reports.generate(type="cost_summary", period=period, format=form)
            content = report.download()
    except CostOpsError as error:
        print(f"The report cannot be made: {error}", file=sys.stderr)
        return 2
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except OSError as error:
        print(f"The report cannot be written: {error}", file=sys.stderr)
        return 2
    print(f"{len(content):,} bytes written to {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
