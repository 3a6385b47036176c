"""Anomalies of dated series. Knows `core` only; standard library only."""

from __future__ import annotations

from llm_cost_ops.anomalies.detection import (
    METHODS,
    SENSITIVITIES,
    SEVERITIES,
    THRESHOLDS,
    Anomaly,
    AnomalyError,
    Options,
    Stream,
    detect,
    learning,
)

__all__ = [
    "METHODS",
    "SENSITIVITIES",
    "SEVERITIES",
    "THRESHOLDS",
    "Anomaly",
    "AnomalyError",
    "Options",
    "Stream",
    "detect",
    "learning",
]
