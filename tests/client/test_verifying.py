"""`verify_webhook`: what a receiver takes for ours."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from llm_cost_ops import WebhookSignatureError, verify_webhook
from llm_cost_ops.core import signature

SECRET = "your-webhook-secret"
BODY = b'{"type":"cost.created","data":{"id":"usg_1","cost":0.0000000001}}'
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
AT = int(NOW.timestamp())


def headers(secret: str = SECRET, at_s: int = AT) -> dict[str, str]:
    return {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(at_s),
        "Webhook-Signature": signature.standard(secret, "evt_1", at_s, BODY),
    }


def clock() -> datetime:
    return NOW


@pytest.mark.parametrize("body", [BODY, BODY.decode()])
@pytest.mark.parametrize("secret", [SECRET, ["another", SECRET]])
def test_ours_is_taken(body: bytes | str, secret: str | list[str]) -> None:
    event = verify_webhook(body, headers(), secret, now=clock)
    assert event["type"] == "cost.created"
    assert event["data"]["cost"] == Decimal("0.0000000001")


@pytest.mark.parametrize(
    ("given", "secret"),
    [
        ({}, SECRET),
        ({name: value for name, value in headers().items() if name != "Webhook-Id"}, SECRET),
        (headers("another"), SECRET),
        (headers(at_s=AT - 301), SECRET),
        (headers(), "another"),
        (headers(), []),
    ],
)
def test_everything_else_is_refused(given: Mapping[str, str], secret: str | list[str]) -> None:
    with pytest.raises(WebhookSignatureError):
        verify_webhook(BODY, given, secret, now=clock)


def test_the_tolerance_is_the_receivers() -> None:
    old = headers(at_s=AT - 3600)
    assert verify_webhook(BODY, old, SECRET, tolerance_seconds=3600, now=clock)


def test_the_time_is_taken_from_the_clock() -> None:
    with pytest.raises(WebhookSignatureError):
        verify_webhook(BODY, headers(at_s=0), SECRET)
