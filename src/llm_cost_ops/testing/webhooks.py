"""Webhooks of the fake server: endpoints and the deliveries that it would make. Nothing is sent: a
delivery has the data of its event, of which a test makes what it wants."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlsplit

from llm_cost_ops.core import signature
from llm_cost_ops.core.instant import format_micros, parse_instant, to_micros
from llm_cost_ops.testing.refusal import invalid, not_found

Row = dict[str, Any]
EVENTS: Mapping[str, tuple[str, ...]] = {
    "usage.submitted": ("usage.created", "usage.recorded"),
    "cost.created": ("costs.created",),
    "cost.updated": ("costs.updated",),
    "cost.deleted": ("costs.deleted",),
    "budget.threshold_exceeded": (
        "budget.threshold", "budget.threshold.reached", "budget.threshold_reached", "budget.alert",
    ),
    "budget.exceeded": ("budget.limit_exceeded", "budget.limit.exceeded"),
    "cost.anomaly_detected": (
        "cost.anomaly", "cost.anomaly.detected", "forecast.anomaly_detected", "anomaly.detected",
    ),
    "pricing.updated": ("pricing.changed", "price.updated"),
    "forecast.generated": ("forecast.created",),
    "export.completed": ("export.created",),
    "export.failed": (),
    "report.generated": ("report.created",),
    "period.closed": ("periods.closed",),
    "period.reopened": ("periods.reopened",),
    "webhook.disabled": (),
}  # fmt: skip
EVERYTHING = "*"
PING = "webhook.test"
MIN_SECRET = 16
FIELDS = ("url", "events", "description", "enabled", "secret")
_CANONICAL = {
    spelling: name for name, others in EVENTS.items() for spelling in (name, *others)
}  # fmt: skip


class FakeWebhooks:
    """Endpoints and their deliveries."""

    def __init__(self, new_id: Callable[[str], str], now: Callable[[], datetime]) -> None:
        self._new_id = new_id
        self._now = now
        self.endpoints: dict[str, Row] = {}
        self._deliveries: list[Row] = []

    @property
    def _at(self) -> str:
        return format_micros(to_micros(self._now()))

    def add(self, given: Mapping[str, Any]) -> Row:
        """A new endpoint, with its secret. Raises Refusal."""
        for name in ("url", "events"):
            if given.get(name) is None:
                raise invalid(name, "is required")
        webhook_id = self._new_id("whk")
        before = {"id": webhook_id, "created_at": self._at, "description": None, "enabled": True}
        secret = _secret(given.get("secret"), webhook_id)
        self.endpoints[webhook_id] = self._parsed(before, {**given, "secret": secret})
        return self._with_secret(webhook_id)

    def change(self, webhook_id: str, given: Mapping[str, Any]) -> Row:
        """What is not named stays. Raises Refusal."""
        if given.get("secret") is not None:
            _secret(given["secret"], "")
        self.endpoints[webhook_id] = self._parsed(self.endpoint(webhook_id), given)
        if given.get("secret") is not None:
            return self._with_secret(webhook_id)
        return shown(self.endpoints[webhook_id])

    def rotate(self, webhook_id: str, given: Mapping[str, Any]) -> Row:
        """A new secret. Raises Refusal."""
        before = self.endpoint(webhook_id)
        secret = _secret(given.get("secret"), f"{webhook_id} {before['secret']}")
        self.endpoints[webhook_id] = {**before, "secret": secret, "updated_at": self._at}
        return self._with_secret(webhook_id)

    def _parsed(self, before: Row, given: Mapping[str, Any]) -> Row:
        fields = {name: value for name, value in given.items() if value is not None}
        fields.pop("organization_id", None)
        for name in fields:
            if name not in FIELDS:
                raise invalid(name, "is not a known field")
        row = {**before, **fields, "updated_at": self._at}
        row["disabled_reason"] = None if row["enabled"] else "user"
        split = urlsplit(str(row["url"]))
        if split.scheme not in ("http", "https") or not split.hostname:
            raise invalid("url", "must be an http or https URL")
        wanted = cast("Sequence[object]", row["events"]) if isinstance(row["events"], list) else ()
        if not wanted or not all(name in _CANONICAL or name == EVERYTHING for name in wanted):
            known = ", ".join([*EVENTS, EVERYTHING])
            raise invalid("events", f"has an event that is not one of: {known}")
        return row

    def endpoint(self, webhook_id: str) -> Row:
        """Raises Refusal where there is none."""
        if webhook_id not in self.endpoints:
            raise not_found("Webhook")
        return self.endpoints[webhook_id]

    def remove(self, webhook_id: str) -> None:
        """Raises Refusal where there is none."""
        self.endpoint(webhook_id)
        del self.endpoints[webhook_id]

    def _with_secret(self, webhook_id: str) -> Row:
        row = self.endpoints[webhook_id]
        secret = row["secret"]
        return {
            **shown(row), "secret": secret, "signing_secret": signature.standard_secret(secret),
        }  # fmt: skip

    # --- deliveries ---------------------------------------------------------------------------

    def publish(self, event: str, data: Mapping[str, Any]) -> None:
        """A delivery for each endpoint that wants the event, spelled as it registered it."""
        event_id = self._new_id("evt")
        for row in list(self.endpoints.values()):
            spelled = [name for name in row["events"] if _CANONICAL.get(name) == event]
            if row["enabled"] and (spelled or EVERYTHING in row["events"]):
                self._deliver(row["id"], event_id, event, spelled[0] if spelled else event, data)

    def test(self, webhook_id: str) -> Row:
        """The delivery of a test event. Raises Refusal."""
        self.endpoint(webhook_id)
        return self._deliver(webhook_id, self._new_id("evt"), PING, PING, {"test": True})

    def _deliver(
        self, webhook_id: str, event_id: str, event: str, kind: str, data: Mapping[str, Any]
    ) -> Row:
        made: Row = {
            "id": self._new_id("dlv"),
            "webhook_id": webhook_id,
            "event_id": event_id,
            "event": event,
            "type": kind,
            "status": "delivered",
            "attempts": 1,
            "last_status_code": 200,
            "event_at": self._at,
            "created_at": self._at,
            "next_attempt_at": None,
            "finished_at": self._at,
            "data": dict(data),
            "attempt_log": [],
        }
        self._deliveries.append(made)
        return made

    def deliveries(self, webhook_id: str, query: Mapping[str, str]) -> list[Row]:
        """The newest first. Raises Refusal."""
        self.endpoint(webhook_id)
        wanted = {**query, "webhook_id": webhook_id}
        hidden = ("data", "attempt_log")
        return [
            {name: value for name, value in row.items() if name not in hidden}
            for row in reversed(self._deliveries)
            if all(row[name] == value for name, value in wanted.items())
        ]

    def delivery(self, webhook_id: str, delivery_id: str) -> Row:
        """With its data. Raises Refusal."""
        self.endpoint(webhook_id)
        for row in self._deliveries:
            if (row["id"], row["webhook_id"]) == (delivery_id, webhook_id):
                return row
        raise not_found("Delivery")

    def redeliver(self, webhook_id: str, delivery_id: str) -> Row:
        """Once more, with the same ids. Raises Refusal."""
        row = self.delivery(webhook_id, delivery_id)
        row["attempts"] += 1
        return row

    def replay(self, webhook_id: str, given: Mapping[str, Any]) -> int:
        """How many deliveries of a time there are to send again: those of a `status`, else those
        that failed, of which the fake has none. Raises Refusal."""
        self.endpoint(webhook_id)
        if given.get("start") is None:
            raise invalid("start", "is required")
        start = parse_instant(given["start"], "start")
        end = parse_instant(given["end"], "end") if given.get("end") else None
        wanted = given.get("status") or "failed"
        return sum(
            row["webhook_id"] == webhook_id
            and wanted in ("all", row["status"])
            and start <= (at := parse_instant(row["created_at"]))
            and (end is None or at < end)
            for row in self._deliveries
        )


def shown(row: Row) -> Row:
    """Without the secret."""
    return {name: value for name, value in row.items() if name != "secret"}


def catalogue() -> list[Row]:
    """The events that can be wanted."""
    return [
        {"name": name, "aliases": list(others), "description": name, "published": True,
         "data_schema": {"type": "object"}}
        for name, others in EVENTS.items()
    ]  # fmt: skip


def _secret(given: object, seed: str) -> str:
    """The secret that was given, or one that is the same in each run."""
    if given is None:
        made = hashlib.sha256(f"fake {seed}".encode()).digest()
        return signature.PREFIX + base64.b64encode(made).decode()
    if not isinstance(given, str) or len(given) < MIN_SECRET:
        raise invalid("secret", f"must be a text of at least {MIN_SECRET} characters")
    return given
