"""Forecasts and anomalies as the API and events show them: money as exact numbers."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.core.money import from_e10

_AMOUNTS = {
    "actual_cost": "actual_e10",
    "expected_cost": "expected_e10",
    "lower": "lower_e10",
    "upper": "upper_e10",
}
_PLAIN = ("date", "frequency", "dimension", "value", "currency", "severity", "method")


def forecast_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """One stored forecast."""
    answer: dict[str, Any] = loads(row["answer"])
    return {
        "id": row["id"],
        "organization_id": row["organization_id"],
        "created_at": format_micros(int(row["created_at"])),
        **answer,
    }


def anomaly_row(row: Mapping[str, Any], *, causes: bool = True) -> dict[str, Any]:
    """One stored anomaly; `is_anomaly` is what somebody said of it."""
    said = row["is_anomaly"]
    shown: dict[str, Any] = {
        "id": row["id"],
        **{name: row[name] for name in _PLAIN},
        **_measured(row),
        "period_start": format_micros(int(row["bucket_start"])),
        "period_end": format_micros(int(row["bucket_end"])),
        "parent_id": row["parent_id"],
        "episode_id": row["episode_id"],
        "detected_at": format_micros(int(row["found_at"])),
        "is_anomaly": None if said is None else bool(said),
        "note": row["note"],
        "judged_at": None if row["judged_at"] is None else format_micros(int(row["judged_at"])),
    }
    if causes:
        shown["causes"] = None if row["causes"] is None else loads(row["causes"])
    return shown


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: from_e10(int(row[column])) for name, column in _AMOUNTS.items()},
        "score": Decimal(int(row["score_e4"])).scaleb(-4),
    }


def event(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the event `cost.anomaly_detected` says."""
    return {
        "anomaly_id": row["id"],
        "organization_id": row["organization_id"],
        **{name: row[name] for name in _PLAIN},
        **_measured(row),
        "period_start": format_micros(int(row["bucket_start"])),
        "period_end": format_micros(int(row["bucket_end"])),
        "parent_id": row["parent_id"],
        "causes": None if row["causes"] is None else loads(row["causes"]),
    }


def forecast_event(row: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """What the event `forecast.generated` says."""
    names = ("model", "frequency", "horizon", "currency", "confidence_level", "total")
    return {
        "forecast_id": row["id"],
        "organization_id": row["organization_id"],
        **{name: answer[name] for name in names},
    }
