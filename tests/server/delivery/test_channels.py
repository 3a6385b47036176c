"""Channels as they are configured: each wrong field is named, no secret is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.server.delivery.channels import (
    CHANNELS,
    MAX_RECIPIENTS,
    Channel,
    EmailChannel,
    PagerDutyChannel,
    SlackChannel,
    TeamsChannel,
    WebhookChannel,
    WrongChannel,
    called_url,
    channel_fields,
    is_address,
    parts,
    read_channel,
    shown_fields,
)

SECRET = "s3cr3t" * 4
KEY = "R0" + "k" * 30
GOOD: list[tuple[str, dict[str, Any], Channel]] = [
    ("email", {"recipients": ["a@ex.org"]}, EmailChannel(recipients=("a@ex.org",))),
    ("slack", {"url": f"https://h.test/{SECRET}"}, SlackChannel(url=f"https://h.test/{SECRET}")),
    ("teams", {"url": f"https://h.test/{SECRET}"}, TeamsChannel(url=f"https://h.test/{SECRET}")),
    ("pagerduty", {"routing_key": KEY}, PagerDutyChannel(routing_key=KEY)),
    (
        "pagerduty",
        {"routing_key": KEY, "url": "https://events.eu.pagerduty.com"},
        PagerDutyChannel(routing_key=KEY, url="https://events.eu.pagerduty.com"),
    ),
    (
        "webhook",
        {"url": f"https://h.test/{SECRET}"},
        WebhookChannel(url=f"https://h.test/{SECRET}"),
    ),
    (
        "webhook",
        {"url": "https://h.test/hook", "secret": SECRET},
        WebhookChannel(url="https://h.test/hook", secret=SECRET),
    ),
]


@pytest.mark.parametrize(("kind", "fields", "channel"), GOOD)
def test_channels_are_read_and_stored(kind: str, fields: dict[str, Any], channel: Channel) -> None:
    assert read_channel(kind, fields) == channel
    stored = json.loads(json.dumps(channel_fields(channel)))
    assert read_channel(channel.kind, stored) == channel


@pytest.mark.parametrize(("kind", "fields", "channel"), GOOD)
def test_secrets_are_not_shown(kind: str, fields: dict[str, Any], channel: Channel) -> None:
    for text in (repr(channel), str(channel), f"{channel}", json.dumps(shown_fields(channel))):
        assert SECRET not in text
        assert KEY not in text
    assert set(shown_fields(channel)) == set(channel_fields(channel))


def test_what_is_shown() -> None:
    slack = SlackChannel(url="https://hooks.slack.com/services/T0/B0/x?y=z")
    assert shown_fields(slack) == {"url": "https://hooks.slack.com/***"}
    webhook = WebhookChannel(url="http://10.0.0.1:8080/x", secret=SECRET)
    assert shown_fields(webhook) == {"url": "http://10.0.0.1:8080/***", "secret": "***"}
    assert shown_fields(WebhookChannel(url="https://h/x"))["secret"] is None
    pager = PagerDutyChannel(routing_key=KEY)
    assert shown_fields(pager) == {"routing_key": "***", "url": "https://events.pagerduty.com"}
    mail = EmailChannel(recipients=("a@ex.org", "b@ex.org"))
    assert shown_fields(mail) == {"recipients": ["a@ex.org", "b@ex.org"]}


@pytest.mark.parametrize(
    ("kind", "fields", "wrong"),
    [
        ("sms", {}, {"type"}),
        ("email", {}, {"recipients"}),
        ("email", {"recipients": None}, {"recipients"}),
        ("email", {"recipients": []}, {"recipients"}),
        ("email", {"recipients": "a@ex.org"}, {"recipients"}),
        ("email", {"recipients": ["a@ex.org", 5]}, {"recipients"}),
        ("email", {"recipients": ["a@ex.org", "A@ex.org"]}, {"recipients"}),
        ("email", {"recipients": ["a@ex.org"], "cc": "b@ex.org"}, {"cc"}),
        ("email", {"recipients": ["nobody"], "cc": "b@ex.org"}, {"recipients", "cc"}),
        ("slack", {"url": ""}, {"url"}),
        ("slack", {"url": 7}, {"url"}),
        ("slack", {"uri": "https://h.test"}, {"url", "uri"}),
        ("pagerduty", {"routing_key": "short", "url": "ftp://x"}, {"routing_key", "url"}),
        ("pagerduty", {"routing_key": "k" * 31}, {"routing_key"}),
        ("pagerduty", {"routing_key": "k" * 33}, {"routing_key"}),
        ("pagerduty", {"routing_key": "k" * 31 + "-"}, {"routing_key"}),
        ("webhook", {"url": "https://h.test", "secret": "short"}, {"secret"}),
        ("webhook", {"url": "https://h.test", "secret": "x" * 23}, {"secret"}),
        ("webhook", {"url": "https://h.test", "secret": "x" * 257}, {"secret"}),
        ("webhook", {"url": "https://h.test", "secret": "x x" * 10}, {"secret"}),
        ("webhook", {"url": "https://h.test", "secret": True}, {"secret"}),
    ],
)
def test_wrong_fields_are_named(kind: str, fields: dict[str, Any], wrong: set[str]) -> None:
    with pytest.raises(WrongChannel) as raised:
        read_channel(kind, fields)
    assert set(raised.value.field_errors) == wrong
    assert all(name in str(raised.value) for name in wrong)


@pytest.mark.parametrize("length", [24, 256])
def test_secrets_of_the_right_length(length: int) -> None:
    secret = "x" * length
    assert read_channel("webhook", {"url": "https://h", "secret": secret}) == WebhookChannel(
        url="https://h", secret=secret
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://",
        "hooks.slack.com/services",
        "//h.test/x",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://user:password@h.test/",
        "https://h.test/#fragment",
        "https://h.test:0/",
        "https://h.test:99999/",
        "https://h.test:port/",
        "https://[::1/",
        "https://h.test/a b",
        "https://h.test/\r\nX: y",
        "https://h.test/ü",
        "https://h.test/" + "x" * 2048,
    ],
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(WrongChannel) as raised:
        SlackChannel(url=url)
    assert set(raised.value.field_errors) == {"url"}


@pytest.mark.parametrize(
    "address",
    ["a@b.co", "first.last+tag@sub.example.com", "o'neil@example.org", "x" * 64 + "@ex.org",
     "a@xn--bcher-kva.example"],
)  # fmt: skip
def test_addresses(address: str) -> None:
    assert is_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "", "a", "a@", "@b.co", "a@b", "a b@c.de", "a@b.co,c@d.ef", "Name <a@b.co>", "a@@b.co",
        "a@b.co\n", "a@b.co\r\nBcc: c@d.ef", "a\x00@b.co", ".a@b.co", "a.@b.co", "a..b@c.de",
        "a@-b.co", "a@b-.co", "a@b..co", "ä@b.co", "a@bücher.de", "a@127.0.0.1", "a@[127.0.0.1]",
        '"a b"@c.de', "x" * 65 + "@ex.org", "a@" + "x." * 126 + "co", "a@b.co>", "<a@b.co>",
    ],
)  # fmt: skip
def test_what_is_no_address(address: str) -> None:
    assert not is_address(address)
    with pytest.raises(WrongChannel):
        EmailChannel(recipients=(address,))


@given(st.text(max_size=30))
def test_an_address_never_breaks_a_line(text: str) -> None:
    for address in (text, f"{text}@example.com", f"a@{text}.com", f"a@b.co{text}"):
        if is_address(address):
            assert address.isascii()
            assert not set(address) & set(' \t\r\n\0<>,;:"\\()[]')


def test_the_number_of_recipients() -> None:
    def named(count: int) -> EmailChannel:
        return EmailChannel(recipients=tuple(f"a{number}@ex.org" for number in range(count)))

    assert len(named(MAX_RECIPIENTS).recipients) == MAX_RECIPIENTS
    with pytest.raises(WrongChannel):
        named(MAX_RECIPIENTS + 1)


def test_parts() -> None:
    mail = EmailChannel(recipients=("a@ex.org", "b@ex.org"))
    assert parts(mail) == (
        EmailChannel(recipients=("a@ex.org",)),
        EmailChannel(recipients=("b@ex.org",)),
    )
    slack = SlackChannel(url="https://h.test/x")
    assert parts(slack) == (slack,)


def test_kinds() -> None:
    assert list(CHANNELS) == ["email", "slack", "teams", "pagerduty", "webhook"]


@pytest.mark.parametrize(("kind", "fields", "channel"), GOOD)
def test_the_url_that_is_called(kind: str, fields: dict[str, Any], channel: Channel) -> None:
    default = "https://events.pagerduty.com" if kind == "pagerduty" else None
    assert called_url(channel) == fields.get("url", default)
