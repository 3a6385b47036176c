"""What the routes of webhooks take and give, and what endpoints are sent, for the document."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.server.http.openapi import answers, json_body, list_of
from llm_cost_ops.server.webhooks import store
from llm_cost_ops.server.webhooks.catalogue import EVENTS, EventKind
from llm_cost_ops.server.webhooks.define import (
    MAX_DESCRIPTION,
    MAX_OVERLAP_H,
    MAX_SECRET,
    MIN_SECRET,
)

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_MAYBE: Schema = {"type": ["string", "null"]}
_COUNT: Schema = {"type": "integer"}
_INSTANT: Schema = {"type": ["string", "null"], "format": "date-time"}
_EVENT_NAMES: Schema = {
    "type": "array",
    "minItems": 1,
    "items": _TEXT,
    "description": "Names of events, or `*`; `type` is delivered as it is spelled here.",
}
_SECRET: Schema = {
    "type": ["string", "null"],
    "minLength": MIN_SECRET,
    "maxLength": MAX_SECRET,
    "description": "Any text, or `whsec_` and base64; a new one is made when it is left out.",
}
_FIELDS: Schema = {
    "url": {"type": "string", "maxLength": 2048},
    "events": _EVENT_NAMES,
    "description": {"type": ["string", "null"], "maxLength": MAX_DESCRIPTION},
    "enabled": {"type": ["boolean", "null"]},
    "secret": _SECRET,
    "organization_id": _MAYBE,
}
NEW_WEBHOOK = json_body({"type": "object", "required": ["url", "events"], "properties": _FIELDS})
CHANGED_WEBHOOK = json_body({"type": "object", "properties": _FIELDS})
NEW_SECRET = json_body(
    {
        "type": "object",
        "properties": {
            "secret": _SECRET,
            "overlap_hours": {"type": "integer", "minimum": 0, "maximum": MAX_OVERLAP_H},
            "organization_id": _MAYBE,
        },
    }
)
RANGE = json_body(
    {
        "type": "object",
        "required": ["start"],
        "properties": {
            "start": {"type": "string", "format": "date-time"},
            "end": _INSTANT,
            "status": {"enum": [store.DELIVERED, store.FAILED, store.SKIPPED, "all", None]},
            "events": {"type": ["array", "null"], "items": _TEXT},
            "organization_id": _MAYBE,
        },
    }
)
_WEBHOOK: Schema = {
    "type": "object",
    "required": ["id", "url", "events", "enabled"],
    "properties": {
        "id": _TEXT,
        "url": _TEXT,
        "events": {"type": "array", "items": _TEXT},
        "description": _MAYBE,
        "enabled": {"type": "boolean"},
        "disabled_reason": {"enum": [store.FAILING, store.GONE, store.BY_USER, None]},
        "failing_since": _INSTANT,
        "paused_until": _INSTANT,
        "last_success_at": _INSTANT,
        "last_failure_at": _INSTANT,
        "previous_secret_until": _INSTANT,
        "created_at": _INSTANT,
        "updated_at": _INSTANT,
    },
}
_WITH_SECRET: Schema = {
    **_WEBHOOK,
    "properties": {
        **_WEBHOOK["properties"],
        "secret": {"type": "string", "description": "Shown this once."},
        "signing_secret": {"type": "string", "description": "The same key as `whsec_`."},
    },
}
_DELIVERY: Schema = {
    "type": "object",
    "required": ["id", "webhook_id", "event_id", "status", "attempts"],
    "properties": {
        "id": _TEXT,
        "webhook_id": _TEXT,
        "event_id": _TEXT,
        "event": _TEXT,
        "type": _TEXT,
        "status": {"enum": list(store.STATUSES)},
        "attempts": _COUNT,
        "last_status_code": {"type": ["integer", "null"]},
        "event_at": _INSTANT,
        "created_at": _INSTANT,
        "next_attempt_at": _INSTANT,
        "finished_at": _INSTANT,
    },
}
_ATTEMPT: Schema = {
    "type": "object",
    "properties": {
        "number": _COUNT,
        "at": _INSTANT,
        "delivered": {"type": "boolean"},
        "status_code": {"type": ["integer", "null"]},
        "latency_ms": _COUNT,
        "detail": _TEXT,
        "response_head": _MAYBE,
    },
}
_WHOLE_DELIVERY: Schema = {
    **_DELIVERY,
    "properties": {
        **_DELIVERY["properties"],
        "data": {"type": ["object", "null"], "description": "Null when it is not kept any more."},
        "attempt_log": {"type": "array", "items": _ATTEMPT},
    },
}
_KIND: Schema = {
    "type": "object",
    "properties": {
        "name": _TEXT,
        "description": _TEXT,
        "aliases": {"type": "array", "items": _TEXT},
        "published": {"type": "boolean"},
        "data_schema": {"type": "object"},
    },
}
MADE = answers(201, _WITH_SECRET, "The webhook and, this once, its secret.")
WEBHOOK = answers(200, _WEBHOOK, "The webhook.")
ROTATED = answers(200, _WITH_SECRET, "The webhook and, this once, its new secret.")
WEBHOOKS = answers(200, list_of(_WEBHOOK), "Webhooks in the order in which they were made.")
DELIVERIES = answers(200, list_of(_DELIVERY), "Deliveries, the newest first.")
DELIVERY = answers(200, _WHOLE_DELIVERY, "The delivery, its data and its attempts.")
KINDS = answers(200, list_of(_KIND), "The events that can be wanted.")
REPLAYED = answers(
    202,
    {"type": "object", "required": ["replayed"], "properties": {"replayed": _COUNT}},
    "How many deliveries are attempted again.",
)
_SENT_HEADERS = (
    ("X-Webhook-Signature", "HMAC-SHA256 of the body with the secret as key, in hex."),
    (
        "X-Webhook-Signature-Previous",
        "The same with the old secret, while a secret is being changed.",
    ),
    ("X-LLM-CostOps-Signature", "The same after `sha256=`."),
    ("X-LLM-CostOps-Signature-V2", "`t=SECONDS,v1=HEX`: the same over `SECONDS.BODY`."),
    ("X-LLM-CostOps-Event", "`type` of the body."),
    ("X-LLM-CostOps-Delivery-ID", "The same at each attempt."),
    ("X-LLM-CostOps-Timestamp", "Seconds since 1970 of the attempt."),
    ("webhook-id", "Standard Webhooks: `id` of the body."),
    ("webhook-timestamp", "Standard Webhooks: seconds since 1970 of the attempt."),
    ("webhook-signature", "Standard Webhooks: `v1,BASE64`, one for each secret."),
)


def _sent(kind: EventKind) -> Schema:
    body: Schema = {
        "type": "object",
        "required": ["type", "event", "id", "created_at", "timestamp", "data"],
        "properties": {
            "type": {"type": "string", "examples": [kind.name]},
            "event": {"type": "string", "description": "As `type`."},
            "id": _TEXT,
            "created_at": {"type": "string", "format": "date-time"},
            "timestamp": {
                "type": "string",
                "format": "date-time",
                "description": "As `created_at`.",
            },
            "data": kind.data,
        },
    }
    return {
        "post": {
            "summary": kind.description,
            "operationId": f"on_{kind.name.replace('.', '_')}",
            "parameters": [
                {"name": name, "in": "header", "description": text, "schema": _TEXT}
                for name, text in _SENT_HEADERS
            ],
            **json_body(body),
            "responses": {
                "2XX": {"description": "Delivered. Anything else is tried again."},
                "410": {"description": "The endpoint is gone and will be disabled."},
            },
        }
    }


WEBHOOKS_SENT: dict[str, Schema] = {kind.name: _sent(kind) for kind in EVENTS.values()}
