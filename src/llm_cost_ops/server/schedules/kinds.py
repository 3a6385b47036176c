"""What a schedule can deliver: kind to producer. One more kind is one more line."""

from __future__ import annotations

from collections.abc import Mapping

from llm_cost_ops.server.schedules.of_reports import Reports
from llm_cost_ops.server.schedules.produce import Exports, Producer

EXPORT, REPORT = "export", "report"
KINDS: Mapping[str, Producer] = {EXPORT: Exports(), REPORT: Reports()}
DEFAULT_TYPES: Mapping[str, str] = {EXPORT: "costs", REPORT: "cost_summary"}
DEFAULT_FORMATS: Mapping[str, str] = {EXPORT: "csv", REPORT: "pdf"}
"""What is made where the parameters do not say."""
