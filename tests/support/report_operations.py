"""The operations of reports, for tests of every operation."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.operation import Body, Operation

_READ = Operation("read:reports", also=("read:costs",))
_ASKED: Body = {
    "type": "cost_summary",
    "format": "markdown",
    "title": "October",
    "start_date": "2026-10-01",
    "end_date": "2026-10-31",
    "timezone": "Europe/Berlin",
    "group_by": ["model"],
    "include_charts": False,
    "compare": "month",
}
REPORTS: Mapping[str, Operation] = {
    "generateReport": Operation("write:reports", (_ASKED, {"type": "executive"}), ("read:costs",)),
    **dict.fromkeys(("listReports", "getReport", "downloadReport", "listReportTemplates"), _READ),
    **dict.fromkeys(
        ("cancelReport", "deleteReport", "deleteReportTemplate"),
        Operation("write:reports", also=("read:costs",)),
    ),
    "createReportTemplate": Operation(
        "write:reports", ({"name": "@new", "sections": ["totals"]},), ("read:costs",)
    ),
}


def reports_of(canary: str) -> tuple[tuple[str, str, Body], ...]:
    """A report and kept sections named after a canary: path parameter, path and body of each."""
    report: Body = {"title": canary, "format": "markdown", "period": "last-month", "wait": True}
    template: Body = {"name": canary, "sections": ["totals"]}
    return (
        ("report_id", "/api/v1/reports/generate", report),
        ("template_id", "/api/v1/reports/templates", template),
    )
