"""For receivers: whether a webhook is ours, and the event that it brings.

from llm_cost_ops import verify_webhook

event = verify_webhook(request.body, request.headers, secret)   # raises WebhookSignatureError
print(event["type"], event["data"])
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from llm_cost_ops.client.clock import utc_now
from llm_cost_ops.core import signature
from llm_cost_ops.exceptions import WebhookSignatureError

Clock = Callable[[], Any]


def verify_webhook(
    body: bytes | str,
    headers: Mapping[str, str],
    secret: str | Sequence[str],
    *,
    tolerance_seconds: int = signature.TOLERANCE_S,
    now: Clock = utc_now,
) -> dict[str, Any]:
    """The event of a delivery, with amounts as Decimal.

    `body` is what came over the wire, not a document that was read and written again. Several
    secrets are tried while one is being changed. Raises WebhookSignatureError for a signature that
    is missing or wrong, and for a time that is more than `tolerance_seconds` away.
    """
    raw = body.encode() if isinstance(body, str) else bytes(body)
    secrets = [secret] if isinstance(secret, str) else [*secret]
    given = {name.lower(): value for name, value in headers.items()}
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    message_id, timestamp, signatures = (given.get(name) for name in names)
    if not secrets or message_id is None or timestamp is None or signatures is None:
        raise WebhookSignatureError("the request has no webhook-id, -timestamp and -signature")
    if not signature.standard_matches(
        secrets,
        message_id,
        timestamp,
        raw,
        signatures,
        now_s=int(now().timestamp()),
        tolerance_s=tolerance_seconds,
    ):
        raise WebhookSignatureError("the signature is not by this secret, or too old")
    return cast("dict[str, Any]", json.loads(raw, parse_float=Decimal))
