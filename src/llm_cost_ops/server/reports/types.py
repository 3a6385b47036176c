"""The types of reports: which sections each has, and who may read them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

Plan = tuple[tuple[str, Mapping[str, object]], ...]
"""Sections by name, each with its options: `title`, `group_by`."""

TYPES: Mapping[str, str] = MappingProxyType(
    {
        "cost_summary": "Cost summary",
        "usage_analysis": "Usage analysis",
        "forecast": "Forecast",
        "budget": "Budget variance",
        "chargeback": "Chargeback",
        "executive": "Executive summary",
        "optimization": "Optimization",
        "audit": "Audit",
        "custom": "Custom report",
    }
)
"""The types with the titles they have when none is given."""

_NONE: Mapping[str, object] = MappingProxyType({})


def _plan(*names: str) -> Plan:
    return tuple((name, _NONE) for name in names)


SECTIONS: Mapping[str, Plan] = MappingProxyType(
    {
        "cost_summary": _plan("totals", "trend", "breakdown", "comparison", "drivers", "unpriced"),
        "usage_analysis": _plan("usage", "usage_trend", "tokens", "hours", "breakdown", "unpriced"),
        "forecast": _plan("totals", "forecast", "unpriced"),
        "budget": _plan("budgets", "totals", "unpriced"),
        "chargeback": _plan("chargeback", "statements", "unpriced"),
        "executive": _plan("executive"),
        "optimization": _plan("optimization", "cache", "unpriced"),
        "audit": _plan("audit"),
        "custom": (),
    }
)
_NEEDS: Mapping[str, str] = {
    "forecast": "read:forecasts",
    "budgets": "read:budgets",
    "audit": "read:audit",
}


def needs_of(plan: Plan) -> tuple[str, ...]:
    """The permissions that the sections of a report need beyond those of every report."""
    return tuple(sorted({_NEEDS[name] for name, _ in plan if name in _NEEDS}))
