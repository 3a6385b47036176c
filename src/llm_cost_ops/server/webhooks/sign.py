"""What goes out: the body, the same bytes at each attempt, and the headers, new at each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from llm_cost_ops.core import signature
from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.jsontext import dumps, loads

MAX_BODY_BYTES = 20_000
_AGENT = f"LLM-Cost-Ops-Webhooks/{version('llm-cost-ops')}"
_MICROS = 1_000_000
_EMPTY: Mapping[str, object] = {"metadata": {}, "tags": []}


def body_of(event_id: str, event_type: str, created_at: int, data: str) -> bytes:
    """`{type, event, id, created_at, timestamp, data}`; `event_type` as the endpoint spells it,
    `timestamp` as Standard Webhooks call `created_at`, `data` is JSON text."""
    instant = format_micros(created_at)
    head = dumps(
        {
            "type": event_type,
            "event": event_type,
            "id": event_id,
            "created_at": instant,
            "timestamp": instant,
        }
    )
    return f'{head[:-1]},"data":{data}}}'.encode()


def fitting(data: dict[str, Any]) -> str:
    """Data as JSON text so short that its body stays below MAX_BODY_BYTES: without its tags and
    metadata, or at last with its short values alone, and `truncated`, when it is longer."""
    room = MAX_BODY_BYTES - 512
    text = dumps(data)
    if len(text.encode()) <= room:
        return text
    empty = {name: value for name, value in _EMPTY.items() if name in data}
    text = dumps({**data, **empty, "truncated": True})
    if len(text.encode()) <= room:
        return text
    kept = {name: value for name, value in data.items() if _small(value)}
    return dumps({**kept, "truncated": True})


def _small(value: object) -> bool:
    if isinstance(value, str):
        return len(value.encode()) <= 255
    return value is None or isinstance(value, (bool, int, Decimal))


def headers_of(
    delivery_id: str,
    event_id: str,
    event_type: str,
    body: bytes,
    secrets: Sequence[str],
    now_us: int,
) -> dict[str, str]:
    """The headers of one attempt, signed by each of the secrets, the current one first."""
    at_s = now_us // _MICROS
    current = signature.plain(secrets[0], body)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": _AGENT,
        "X-Webhook-Signature": current,
        "X-LLM-CostOps-Signature": f"sha256={current}",
        "X-LLM-CostOps-Event": event_type,
        "X-LLM-CostOps-Delivery-ID": delivery_id,
        "X-LLM-CostOps-Timestamp": str(at_s),
        "X-LLM-CostOps-Signature-V2": ",".join(
            [f"t={at_s}", *(f"v1={signature.timed(each, at_s, body)}" for each in secrets)]
        ),
        "webhook-id": event_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(
            signature.standard(each, event_id, at_s, body) for each in secrets
        ),
    }
    if len(secrets) > 1:
        headers["X-Webhook-Signature-Previous"] = signature.plain(secrets[1], body)
    return headers


def readable(data: str) -> Any:
    """Stored data as a value."""
    return loads(data)
