"""Messages of Slack, judged by Slack's rules, and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from llm_cost_ops.server.delivery.channels import SlackChannel
from llm_cost_ops.server.delivery.deliver import Carriers, deliver
from llm_cost_ops.server.delivery.notice import Fact, Notice
from llm_cost_ops.server.delivery.slack import MAX_DRIVERS, MAX_FACTS, slack_message
from llm_cost_ops.server.delivery.wording import link
from tests.server.delivery import slack_rules
from tests.server.delivery.notices import (
    ACKNOWLEDGED,
    ALL,
    ANOMALY,
    BUDGET,
    DIGEST,
    RESOLVED,
    crowded,
    hostile_notices,
)
from tests.support.sink import Got, Reply, Sink


def slack(got: Got) -> Reply:
    """Answers as Slack does: `ok`, or what is wrong."""
    wrong = slack_rules.faults(json.loads(got.body))
    if not got.header("content-type").startswith("application/json"):
        wrong.append("not JSON")
    return Reply(body=b"ok") if not wrong else Reply(400, body=f"invalid_blocks {wrong}".encode())


def words(message: Mapping[str, Any]) -> list[str]:
    """All texts of the blocks, in order."""
    found = list[str]()
    for block in message["blocks"]:
        objects = block.get("fields") or block.get("elements") or [block["text"]]
        found += [each["text"] for each in objects]
    return found


@pytest.mark.parametrize("notice", ALL, ids=lambda each: f"{each.moment}-{each.severity}")
def test_slack_takes_it(service: Sink, carriers: Callable[..., Carriers], notice: Notice) -> None:
    service.answer = slack
    channel = SlackChannel(url=service.url)
    outcome = deliver(channel, notice, through=carriers(), delivery_id="job_1")
    assert (outcome.delivered, outcome.status, outcome.detail) == (True, 200, "HTTP 200")
    said = words(json.loads(service.got[0].body))
    wanted = [notice.summary, *(fact.value for fact in notice.facts)]
    wanted += [each.name for each in notice.drivers]
    wanted += [f"{each.amount} · {each.share}" for each in notice.drivers]
    assert [each for each in wanted if each not in said] == []


def test_a_budget_alert() -> None:
    message = slack_message(replace(BUDGET, facts=BUDGET.facts[:1], drivers=BUDGET.drivers[:1]))
    assert message["text"].startswith("Warning: Budget “Chat production” is 81 % spent. Acme has")
    assert words(message) == [
        "🟠 Warning: Budget “Chat production” is 81 % spent",
        BUDGET.summary,
        "*Spent*",
        "USD 812.40 of 1,000.00 (81.2 %)",
        "*Since*",
        "26 Nov 2026, 14:05 CET",
        "*Top drivers*",
        "gpt-4o in project chat",
        "USD 499.63 · 61.5 %",
        "<https://costs.example.com/alerts/alt_01KA0D2V7Q8MZ3?from=mail&amp;tab=drivers"
        "|Open in LLM Cost Ops>",
        "Acme · LLM Cost Ops · alt_01KA0D2V7Q8MZ3",
    ]


@pytest.mark.parametrize(
    ("notice", "begins"),
    [
        (ANOMALY, "🔴 Critical: "),
        (replace(ANOMALY, severity="info"), "🔵 Info: "),
        (ACKNOWLEDGED, "👀 Acknowledged: "),
        (RESOLVED, "✅ Resolved: "),
        (DIGEST, "📊 Digest: "),
    ],
)
def test_the_first_line_says_where_it_stands(notice: Notice, begins: str) -> None:
    assert words(slack_message(notice))[0] == begins + notice.title


@given(hostile_notices())
def test_any_text_in_any_field_stays_text(notice: Notice) -> None:
    message = slack_message(notice)
    assert slack_rules.faults(message) == []
    links = [text for text in words(message) if text.startswith("<")]
    assert len(links) == (link(notice) is not None)
    for block in message["blocks"]:
        for each in [*block.get("fields", []), *block.get("elements", [])]:
            if each["type"] == "mrkdwn":
                assert not set("`~_<>@#:") & set(each["text"])


def test_labels_that_could_be_formatting_are_plain() -> None:
    labels = ("Spent", "a_b", "*", "<!channel>", ":fire:", "#general", "@here", "R&D")
    facts = tuple(Fact(label, "x") for label in labels)
    message = slack_message(replace(BUDGET, facts=facts, since=None, drivers=()))
    fields = [each for block in message["blocks"] for each in block.get("fields", [])][::2]
    assert [each["type"] for each in fields] == ["mrkdwn", *["plain_text"] * 6, "mrkdwn"]
    assert [each["text"] for each in fields][3::4] == ["&lt;!channel&gt;", "*R&amp;D*"]


@pytest.mark.parametrize("text", ["w" * 500, "&" * 3000, "🙂" * 3000, "<>" * 2000])
def test_as_many_lines_as_fit(text: str) -> None:
    message = slack_message(crowded(MAX_FACTS + 1, text))
    assert slack_rules.faults(message) == []
    left = 1 + MAX_FACTS + 1 - MAX_DRIVERS
    assert f"_{left} further lines left out_" in words(message)
    assert len(message["blocks"]) <= slack_rules.MAX_BLOCKS
    exactly = replace(crowded(MAX_FACTS, text), drivers=())
    assert not [each for each in words(slack_message(exactly)) if "further lines" in each]


def test_texts_end_exactly_at_their_limit() -> None:
    def header(length: int) -> str:
        return words(slack_message(replace(ANOMALY, title="&" * length)))[0]

    assert header(26) == "🔴 Critical: " + "&amp;" * 26
    assert header(28).endswith("&amp;…")
    assert len(header(200).encode("utf-16-le")) // 2 <= 150
    assert len(header(200)) > 140


@pytest.mark.parametrize(
    ("reply", "final", "wait_s"),
    [
        (Reply(400, body=b"invalid_payload"), True, None),
        (Reply(403, body=b"action_prohibited"), True, None),
        (Reply(404, body=b"no_service"), True, None),
        (Reply(410, body=b"channel_is_archived"), True, None),
        (Reply(429, {"Retry-After": "30"}, b"rate_limited"), False, 30.0),
        (Reply(500, body=b"rollup_error"), False, None),
        (Reply(503, {"Retry-After": "Fri, 27 Nov 2026 12:02:00 GMT"}, b""), False, 120.0),
        (Reply(302, {"Location": "http://127.0.0.1/"}, b""), False, None),
        (Reply(408, body=b""), False, None),
    ],
)
def test_answers(
    service: Sink,
    carriers: Callable[..., Carriers],
    reply: Reply,
    final: bool,
    wait_s: float | None,
) -> None:
    service.replies = [reply]
    channel = SlackChannel(url=f"{service.url}/services/T0/B0/SECRET")
    outcome = deliver(channel, BUDGET, through=carriers(), delivery_id="job_1")
    assert (outcome.delivered, outcome.status) == (False, reply.status)
    assert (outcome.final, outcome.retry_after_s) == (final, wait_s)
    assert reply.body.decode() in outcome.detail
    assert "SECRET" not in outcome.detail


def test_an_answer_that_repeats_the_secret_url(
    service: Sink, carriers: Callable[..., Carriers]
) -> None:
    url = f"{service.url}/services/T0/B0/SECRET"
    service.replies = [Reply(404, body=f"nothing at {url}\nor so".encode())]
    outcome = deliver(SlackChannel(url=url), BUDGET, through=carriers(), delivery_id="job_1")
    assert outcome.detail == "HTTP 404 Not Found: nothing at *** or so"
