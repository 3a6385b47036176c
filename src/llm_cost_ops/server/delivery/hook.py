"""A notice as JSON for any receiver, signed when it shares a secret with us."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from llm_cost_ops.core import signature
from llm_cost_ops.server.delivery.channels import WebhookChannel
from llm_cost_ops.server.delivery.notice import Moment, Notice, Outcome
from llm_cost_ops.server.delivery.post import judged, post_json
from llm_cost_ops.server.delivery.send import Outbound
from llm_cost_ops.server.delivery.wording import link

TYPES: Mapping[Moment, str] = {
    "trigger": "alert.triggered",
    "acknowledge": "alert.acknowledged",
    "resolve": "alert.resolved",
    "digest": "alert.digest",
}


def hook_message(notice: Notice, delivery_id: str) -> dict[str, Any]:
    """The body. It is the same at each attempt, so its receiver may compare what it got."""
    kind = TYPES[notice.moment]
    data = {**dataclasses.asdict(notice), "link": link(notice)}
    return {"id": delivery_id, "type": kind, "event": kind, "data": data}


def hook_headers(
    channel: WebhookChannel, notice: Notice, delivery_id: str, body: bytes, now_s: int
) -> dict[str, str]:
    """Which event it is; with a secret also the signatures that webhooks of events have: of the
    body alone, which stays good for ever, and beside it of id, time and body."""
    headers = {
        "X-LLM-CostOps-Event": TYPES[notice.moment],
        "X-LLM-CostOps-Delivery-ID": delivery_id,
        "X-LLM-CostOps-Timestamp": str(now_s),
    }
    if channel.secret is not None:
        digest = signature.plain(channel.secret, body)
        timed = signature.timed(channel.secret, now_s, body)
        headers |= {
            "X-Webhook-Signature": digest,
            "X-LLM-CostOps-Signature": f"sha256={digest}",
            "X-LLM-CostOps-Signature-V2": f"t={now_s},v1={timed}",
        }
        with suppress(ValueError):  # a text that only looks like a secret of that form
            standard = signature.standard(channel.secret, delivery_id, now_s, body)
            headers |= {
                "webhook-id": delivery_id,
                "webhook-timestamp": str(now_s),
                "webhook-signature": standard,
            }
    return headers


def send_hook(
    channel: WebhookChannel, notice: Notice, http: Outbound, delivery_id: str, now_s: int
) -> Outcome:
    """Any 2xx is an arrival. Only 410 is final: a receiver may be just being set up."""
    text = json.dumps(hook_message(notice, delivery_id), ensure_ascii=False)
    body = text.encode("utf-8", "replace")
    headers = hook_headers(channel, notice, delivery_id, body, now_s)
    hidden = (channel.url, *filter(None, (channel.secret,)))
    return judged(post_json(http, channel.url, body, headers), (), hidden)
