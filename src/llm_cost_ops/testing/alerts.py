"""Alerts of the fake server: thresholds of its budgets make them, and a test can raise others.
Rules and channels are kept and shown; what a rule says is not evaluated, and nobody is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.instant import format_micros, parse_instant, to_micros
from llm_cost_ops.core.money import plain
from llm_cost_ops.testing.refusal import Refusal, invalid, not_found

Row = dict[str, Any]
TYPES = (
    "budget", "projected_breach", "anomaly", "usage", "error_rate", "call_cost", "unpriced",
    "price_change", "digest", "webhook_disabled",
)  # fmt: skip
CHANNELS: Mapping[str, tuple[str, ...]] = {
    "email": ("recipients",),
    "slack": ("url",),
    "teams": ("url",),
    "pagerduty": ("routing_key",),
    "webhook": ("url",),
}
SYNONYMS: Mapping[str, str] = {
    "budget_threshold": "budget", "forecast_exceeded": "projected_breach",
    "projected": "projected_breach", "spend_anomaly": "anomaly", "usage_spike": "usage",
    "error": "error_rate", "provider_error": "error_rate", "high_cost": "call_cost",
}  # fmt: skip
OPEN = ("active", "acknowledged", "snoozed")
MASK = "***"
_SECRETS = ("url", "secret", "routing_key")
_OWN = ("name", "type", "severities", "default", "enabled", "organization_id")
_MINUTE_US = 60_000_000


class FakeAlerts:
    """Alerts, rules and channels."""

    def __init__(self, new_id: Callable[[str], str], now: Callable[[], datetime]) -> None:
        self._new_id = new_id
        self._now = now
        self.alerts: dict[str, Row] = {}
        self.rules: dict[str, Row] = {}
        self.channels: dict[str, Row] = {}

    @property
    def _at(self) -> str:
        return format_micros(to_micros(self._now()))

    def make(self, kind: str, title: str, **fields: Any) -> Row:
        """A new alert."""
        row: Row = {
            "id": self._new_id("alt"),
            "type": kind,
            "severity": "warning",
            "status": "active",
            "title": title,
            "summary": title,
            "rule_id": None,
            "budget_id": None,
            "facts": [],
            "drivers": [],
            "details": {},
            "occurrences": 1,
            "since": self._at,
            "fired_at": self._at,
            "last_seen_at": self._at,
            "acknowledged_at": None,
            "snoozed_until": None,
            "resolved_at": None,
            **fields,
            "deliveries": [],
        }
        row["dedup_key"] = row["id"]
        row["history"] = []
        self.alerts[row["id"]] = row
        self._note(row, "fired", row["summary"])
        return row

    def of_budget(self, budget: Row, level: Decimal | None) -> Row:
        """The alert of a threshold that a budget reached, or of its limit."""
        reached = "is exceeded" if level is None else f"has reached {plain(level * 100)} %"
        severity = "critical" if level is None or level >= 1 else "warning"
        names = ("name", "spent", "amount", "currency", "utilization")
        return self.make(
            "budget",
            f"Budget {budget['name']} {reached}",
            severity=severity,
            budget_id=budget["id"],
            details={"threshold": level, **{name: budget[name] for name in names}},
        )

    def list(self, query: Mapping[str, str]) -> list[Row]:
        """Without history, the newest first."""
        wanted = {name: value.split(",") for name, value in query.items()}
        if "open" in wanted.get("status", ()):
            wanted["status"] = [*OPEN]
        return [
            _short(row)
            for row in reversed(self.alerts.values())
            if all(row[name] in values for name, values in wanted.items())
        ]

    def one(self, alert_id: str) -> Row:
        """With its history. Raises Refusal."""
        if alert_id not in self.alerts:
            raise not_found("Alert")
        return self.alerts[alert_id]

    def act(self, alert_id: str, verb: str, given: Mapping[str, Any]) -> Row:
        """Take care of an alert. Raises Refusal."""
        row = self.one(alert_id)
        comment = given.get("comment") or ""
        if verb == "comments":
            if not comment:
                raise invalid("comment", "is required")
            self._note(row, "comment", comment)
            return row
        if row["status"] == "resolved":
            if verb == "resolve":
                return row
            raise Refusal(409, "CONFLICT", "The alert is resolved already.")
        if verb == "snooze":
            row.update(status="snoozed", snoozed_until=self._until(given))
        elif verb == "acknowledge":
            row.update(status="acknowledged", acknowledged_at=self._at, snoozed_until=None)
        else:
            row.update(status="resolved", resolved_at=self._at, snoozed_until=None)
        self._note(row, row["status"], comment or f"{row['status'].capitalize()}.")
        return row

    def _until(self, given: Mapping[str, Any]) -> str:
        minutes, until = given.get("minutes"), given.get("until")
        if (minutes is None) == (until is None):
            raise invalid("minutes", "or until is required, not both")
        now_us = to_micros(self._now())
        if until is not None:
            until_us = to_micros(parse_instant(until, "until"))
        elif isinstance(minutes, int) and minutes > 0:
            until_us = now_us + minutes * _MINUTE_US
        else:
            raise invalid("minutes", "must be a whole number from 1 to 129600")
        if until_us <= now_us:
            raise invalid("until", "must be within the next 90 days")
        return format_micros(until_us)

    def _note(self, row: Row, kind: str, text: str) -> None:
        row["history"].append(
            {"id": self._new_id("alh"), "type": kind, "at": self._at, "actor_id": None,
             "text": text, "details": {}}
        )  # fmt: skip

    # --- rules and channels -------------------------------------------------------------------

    def add_rule(self, given: Mapping[str, Any]) -> Row:
        """A new rule. Raises Refusal."""
        rule_id = self._new_id("alr")
        made = {"id": rule_id, "created_at": self._at}
        self.rules[rule_id] = {**made, **self._rule(given)}
        return self.rules[rule_id]

    def change_rule(self, rule_id: str, given: Mapping[str, Any]) -> Row:
        """What is not named stays, what `clear` names is taken away. Raises Refusal."""
        fields = dict(given)
        before = self.rule(rule_id)
        gone = fields.pop("clear", None) or ()
        if fields.get("type") not in (None, before["type"]):
            raise invalid("type", "cannot be changed: make another rule")
        merged = {name: value for name, value in {**before, **fields}.items() if name not in gone}
        self.rules[rule_id] = {**merged, **self._rule(merged)}
        return self.rules[rule_id]

    def _rule(self, given: Mapping[str, Any]) -> Row:
        fields = _opened(given, "conditions")
        if not fields.get("name"):
            raise invalid("name", "is required")
        kind = SYNONYMS.get(str(fields.get("type")), fields.get("type"))
        if kind not in TYPES:
            raise invalid("type", f"must be one of: {', '.join(TYPES)}")
        kept = {name: value for name, value in fields.items() if value is not None}
        kept.pop("organization_id", None)
        known: Row = {"enabled": True, "scope": {}, "channels": []}
        return {**known, **kept, "type": kind, "updated_at": self._at}

    def rule(self, rule_id: str) -> Row:
        """Raises Refusal where there is none."""
        if rule_id not in self.rules:
            raise not_found("Rule")
        return self.rules[rule_id]

    def add_channel(self, given: Mapping[str, Any]) -> Row:
        """A new channel, shown without its secrets. Raises Refusal."""
        channel_id = self._new_id("chn")
        self.channels[channel_id] = self._channel(
            given, {"id": channel_id, "created_at": self._at, "fields": {}}
        )
        return shown_channel(self.channels[channel_id])

    def change_channel(self, named: str, given: Mapping[str, Any]) -> Row:
        """What is not named stays, secrets too. Raises Refusal."""
        before = self.channel(named)
        if given.get("type") not in (None, before["type"]):
            raise invalid("type", "cannot be changed: make another channel")
        self.channels[before["id"]] = self._channel(given, before)
        return shown_channel(self.channels[before["id"]])

    def _channel(self, given: Mapping[str, Any], before: Row) -> Row:
        fields = {n: v for n, v in _opened(given, "config").items() if v is not None}
        own = {name: fields.pop(name) for name in _OWN if name in fields}
        own.pop("organization_id", None)
        row: Row = {
            "severities": ["info", "warning", "critical"],
            "default": True,
            "enabled": True,
            **before,
            **own,
            "fields": {**before["fields"], **fields},
            "updated_at": self._at,
        }
        if not row.get("name"):
            raise invalid("name", "is required")
        if row.get("type") not in CHANNELS:
            raise invalid("type", f"must be one of: {', '.join(CHANNELS)}")
        for name in CHANNELS[row["type"]]:
            if name not in row["fields"]:
                raise invalid(name, "is required")
        others = (each for each in self.channels.values() if each["id"] != row["id"])
        if any(each["name"] == row["name"] for each in others):
            raise Refusal(409, "CONFLICT", f"There is a channel called {row['name']} already.")
        return row

    def channel(self, named: str) -> Row:
        """By id or name. Raises Refusal where there is none."""
        for row in self.channels.values():
            if named in (row["id"], row["name"]):
                return row
        raise not_found("Channel")


def shown_channel(row: Row) -> Row:
    """Without secrets."""
    config = {name: MASK if name in _SECRETS else value for name, value in row["fields"].items()}
    shown = {name: value for name, value in row.items() if name != "fields"}
    return {**shown, "config": config, "encrypted": False, "readable": True}


def _short(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("history", "deliveries")}


def _opened(given: Mapping[str, Any], name: str) -> Row:
    values = dict(given)
    inner = values.pop(name, None)
    if inner is not None and not isinstance(inner, Mapping):
        raise invalid(name, "must be an object")
    return {**values, **(inner or {})}
