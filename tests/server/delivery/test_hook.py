"""Notices as JSON: whole, the same at each attempt, and signed as receivers check it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import pytest

from llm_cost_ops import WebhookSignatureError, verify_webhook
from llm_cost_ops.server.delivery.channels import WebhookChannel
from llm_cost_ops.server.delivery.deliver import Carriers, deliver
from llm_cost_ops.server.delivery.hook import hook_message
from llm_cost_ops.server.delivery.notice import Notice
from tests.server.delivery.notices import ACKNOWLEDGED, ALL, BUDGET, DIGEST, RESOLVED
from tests.support.sink import Reply, Sink

SECRET = "a-secret-of-24-characters"


@pytest.mark.parametrize("notice", ALL, ids=lambda each: f"{each.moment}-{each.severity}")
def test_a_signed_notice(service: Sink, carriers: Callable[..., Carriers], notice: Notice) -> None:
    channel = WebhookChannel(url=service.url, secret=SECRET)
    assert deliver(channel, notice, through=carriers(), delivery_id="job_1").delivered
    (got,) = service.got
    body = json.loads(got.body)
    assert body["id"] == "job_1"
    assert body["type"] == body["event"] == got.header("x-llm-costops-event")
    assert body["data"] == json.loads(json.dumps(asdict(notice)))
    digest = hmac.new(SECRET.encode(), got.body, hashlib.sha256).hexdigest()
    assert got.header("x-webhook-signature") == digest
    assert got.header("x-llm-costops-signature") == f"sha256={digest}"
    assert got.header("x-llm-costops-delivery-id") == "job_1"
    assert got.header("x-llm-costops-timestamp") == "1795780800"
    assert got.header("content-type") == "application/json; charset=utf-8"


def test_a_signed_notice_cannot_be_sent_again_later(
    service: Sink, carriers: Callable[..., Carriers]
) -> None:
    """The signature of the body alone stays good for ever; these say when."""
    channel = WebhookChannel(url=service.url, secret=SECRET)
    assert deliver(channel, BUDGET, through=carriers(), delivery_id="job_1").delivered
    (got,) = service.got
    at = datetime(2026, 11, 27, 12, tzinfo=UTC)
    event = verify_webhook(got.body, got.headers, SECRET, now=lambda: at)
    assert event["id"] == got.header("webhook-id") == "job_1"
    with pytest.raises(WebhookSignatureError):
        verify_webhook(got.body, got.headers, SECRET, now=lambda: at + timedelta(seconds=301))
    timed = hmac.new(SECRET.encode(), b"1795780800." + got.body, hashlib.sha256).hexdigest()
    assert got.header("x-llm-costops-signature-v2") == f"t=1795780800,v1={timed}"


def test_a_secret_that_only_looks_like_base64_signs_by_its_text(
    service: Sink, carriers: Callable[..., Carriers]
) -> None:
    secret = "whsec_is-how-mine-happens-to-begin"
    channel = WebhookChannel(url=service.url, secret=secret)
    assert deliver(channel, BUDGET, through=carriers(), delivery_id="job_1").delivered
    (got,) = service.got
    digest = hmac.new(secret.encode(), got.body, hashlib.sha256).hexdigest()
    assert got.header("x-webhook-signature") == digest
    assert "webhook-signature" not in got.headers


@pytest.mark.parametrize(
    ("notice", "kind"),
    [
        (BUDGET, "alert.triggered"),
        (ACKNOWLEDGED, "alert.acknowledged"),
        (RESOLVED, "alert.resolved"),
        (DIGEST, "alert.digest"),
    ],
)
def test_types(notice: Notice, kind: str) -> None:
    assert hook_message(notice, "job_1")["type"] == kind


def test_without_a_secret_nothing_is_signed(
    service: Sink, carriers: Callable[..., Carriers]
) -> None:
    channel = WebhookChannel(url=service.url)
    assert deliver(channel, BUDGET, through=carriers(), delivery_id="job_1").delivered
    assert not [name for name in service.got[0].headers if "signature" in name]


def test_each_attempt_has_the_same_body(service: Sink, carriers: Callable[..., Carriers]) -> None:
    channel = WebhookChannel(url=service.url, secret=SECRET)
    service.replies = [Reply(500), Reply(200)]
    first = deliver(channel, BUDGET, through=carriers(), delivery_id="job_1")
    second = deliver(channel, BUDGET, through=carriers(), delivery_id="job_1")
    assert (first.delivered, second.delivered) == (False, True)
    assert service.got[0].body == service.got[1].body


@pytest.mark.parametrize(("status", "final"), [(400, False), (404, False), (410, True)])
def test_only_gone_is_final(
    service: Sink, carriers: Callable[..., Carriers], status: int, final: bool
) -> None:
    service.replies = [Reply(status, body=f"no {SECRET}".encode())]
    channel = WebhookChannel(url=service.url, secret=SECRET)
    outcome = deliver(channel, BUDGET, through=carriers(), delivery_id="job_1")
    assert (outcome.delivered, outcome.final, outcome.status) == (False, final, status)
    assert SECRET not in outcome.detail


def test_links_that_run_something_are_left_out() -> None:
    message = hook_message(replace(BUDGET, link="javascript:alert(1)"), "job_1")
    assert message["data"]["link"] is None


def test_half_a_surrogate_pair_is_sent_as_a_mark(
    service: Sink, carriers: Callable[..., Carriers]
) -> None:
    channel = WebhookChannel(url=service.url)
    notice = replace(BUDGET, title="\ud800 half")
    assert deliver(channel, notice, through=carriers(), delivery_id="job_1").delivered
    assert json.loads(service.got[0].body)["data"]["title"] == "? half"
