"""Whether PagerDuty would take an event: its documentation of Events API v2, for both endpoints.

developer.pagerduty.com, "Send an Alert Event", "Send a Change Event", "Events API v2 Overview".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

MAX_BYTES = 512 * 1024
_ALERT = {"routing_key", "event_action", "dedup_key", "payload", "client", "client_url", "links"}
_CHANGE = {"routing_key", "payload", "links"}
_PAYLOAD = {
    "summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details",
}  # fmt: skip


def faults(path: str, event: Mapping[str, Any], size: int) -> list[str]:
    """What PagerDuty answers 400 to, for an event of `size` bytes posted to `path`."""
    found = [] if size <= MAX_BYTES else [f"{size} bytes"]
    if not re.fullmatch(r"[A-Za-z0-9]{32}", str(event.get("routing_key"))):
        found.append("routing_key")
    if path == "/v2/change/enqueue":
        found += _unknown(event, _CHANGE)
        return found + _payload(event, {"summary"}, _PAYLOAD - {"severity", "component"})
    if path != "/v2/enqueue":
        return [*found, f"no such path: {path}"]
    found += _unknown(event, _ALERT)
    action, key = event.get("event_action"), event.get("dedup_key")
    if action not in ("trigger", "acknowledge", "resolve"):
        found.append("event_action")
    if not isinstance(key, str) or not 1 <= len(key) <= 255:
        found.append("dedup_key")
    if action == "trigger":
        found += _payload(event, {"summary", "source", "severity"}, _PAYLOAD)
        if event.get("payload", {}).get("severity") not in ("critical", "error", "warning", "info"):
            found.append("severity")
    return found


def _payload(event: Mapping[str, Any], required: set[str], known: set[str]) -> list[str]:
    payload = event.get("payload")
    if not isinstance(payload, dict):
        return ["payload"]
    found = _unknown(payload, known)
    found += [f"payload.{name}" for name in sorted(required) if not payload.get(name)]
    if len(payload.get("summary", "")) > 1024:
        found.append("payload.summary is longer than 1024")
    if "timestamp" in payload:
        datetime.fromisoformat(payload["timestamp"])
    if not isinstance(payload.get("custom_details", {}), dict):
        found.append("custom_details")
    for each in event.get("links", []):
        if not str(each.get("href")).lower().startswith(("http://", "https://")):
            found.append("links")
        found += _unknown(each, {"href", "text"})
    return found


def _unknown(given: Mapping[str, Any], known: set[str]) -> list[str]:
    return [f"unknown {name}" for name in sorted(set(given) - known)]
