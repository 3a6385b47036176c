"""Cards of Teams, judged by the rules of Adaptive Cards and of Teams, and what answers mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from llm_cost_ops.server.delivery.channels import TeamsChannel
from llm_cost_ops.server.delivery.deliver import Carriers, deliver
from llm_cost_ops.server.delivery.notice import Fact, Notice
from llm_cost_ops.server.delivery.teams import teams_message
from llm_cost_ops.server.delivery.wording import line, link
from tests.server.delivery import teams_rules
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


def teams(got: Got) -> Reply:
    """Answers as a workflow does."""
    wrong = teams_rules.faults(json.loads(got.body), len(got.body))
    return Reply(202, body=b"") if not wrong else Reply(400, body=str(wrong).encode())


def size(message: Mapping[str, Any]) -> int:
    return len(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())


def card(notice: Notice) -> dict[str, Any]:
    return teams_message(notice)["attachments"][0]["content"]


def words(element: Any) -> Iterator[str]:
    """All texts of a card, in order."""
    if isinstance(element, list):
        for each in element:
            yield from words(each)
    elif isinstance(element, dict):
        if element.get("type") == "TextRun":
            yield element["text"]
        for each in element.values():
            yield from words(each)


@pytest.mark.parametrize("notice", ALL, ids=lambda each: f"{each.moment}-{each.severity}")
def test_teams_takes_it(service: Sink, carriers: Callable[..., Carriers], notice: Notice) -> None:
    service.answer = teams
    channel = TeamsChannel(url=service.url)
    outcome = deliver(channel, notice, through=carriers(), delivery_id="job_1")
    assert (outcome.delivered, outcome.status, outcome.detail) == (True, 202, "HTTP 202")
    sent = json.loads(service.got[0].body)["attachments"][0]["content"]
    said = list(words(sent["body"]))
    wanted = [notice.title, notice.summary, *(fact.value for fact in notice.facts)]
    wanted += [each.name for each in notice.drivers]
    wanted += [f"{each.amount} · {each.share}" for each in notice.drivers]
    assert [each for each in wanted if each not in said] == []
    assert [action["url"] for action in sent["actions"]] == [notice.link]


def test_a_budget_alert() -> None:
    notice = replace(BUDGET, facts=BUDGET.facts[:1], drivers=BUDGET.drivers[:1])
    assert list(words(card(notice)["body"])) == [
        "Warning",
        "Budget “Chat production” is 81 % spent",
        BUDGET.summary,
        "Spent",
        "USD 812.40 of 1,000.00 (81.2 %)",
        "Since",
        "26 Nov 2026, 14:05 CET",
        "Top drivers",
        "gpt-4o in project chat",
        "USD 499.63 · 61.5 %",
        "Acme · LLM Cost Ops · alt_01KA0D2V7Q8MZ3",
    ]
    assert card(notice)["fallbackText"] == "Warning: Budget “Chat production” is 81 % spent"


@pytest.mark.parametrize(
    ("notice", "style"),
    [
        (ANOMALY, "attention"),
        (BUDGET, "warning"),
        (replace(ANOMALY, severity="info"), "accent"),
        (ACKNOWLEDGED, "emphasis"),
        (RESOLVED, "good"),
        (DIGEST, "emphasis"),
    ],
)
def test_the_head_has_the_colour_of_its_state(notice: Notice, style: str) -> None:
    assert card(notice)["body"][0]["style"] == style


@given(hostile_notices())
def test_any_text_in_any_field_stays_text(notice: Notice) -> None:
    message = teams_message(notice)
    assert teams_rules.faults(message, size(message)) == []
    said = list(words(card(notice)))
    for fact in notice.facts:
        assert (line(fact.value, 400) or "–") in said
    assert len(card(notice).get("actions", [])) == (link(notice) is not None)


@pytest.mark.parametrize("text", ["w" * 500, "🙂" * 3000, "\\" * 500])
@pytest.mark.parametrize("rows", [1, 7, 30, 100, 1000])
def test_as_many_lines_as_fit_into_28_kb(text: str, rows: int) -> None:
    message = teams_message(crowded(rows, text))
    assert teams_rules.faults(message, size(message)) == []
    content = message["attachments"][0]["content"]
    columns = sum(element["type"] == "ColumnSet" for element in content["body"])
    left = [text for text in words(content) if text.endswith("further lines left out")]
    assert left == ([] if columns == 2 * rows else [f"{2 * rows - columns} further lines left out"])
    assert columns > 0


def test_short_lines_fit_by_the_dozen() -> None:
    notice = replace(DIGEST, facts=tuple(Fact(f"Budget {n}", "81 %") for n in range(60)))
    columns = [each for each in card(notice)["body"] if each["type"] == "ColumnSet"]
    assert len(columns) == 60 + len(notice.drivers)


@pytest.mark.parametrize(
    ("reply", "final", "wait_s"),
    [
        (Reply(400, body=b'{"error":{"code":"TriggerInputSchemaMismatch"}}'), True, None),
        (Reply(401, body=b'{"error":{"code":"DirectApiAuthorizationRequired"}}'), True, None),
        (Reply(404, body=b'{"error":{"code":"WorkflowNotFound"}}'), True, None),
        (Reply(413, body=b""), True, None),
        (Reply(429, {"Retry-After": "7"}, b""), False, 7.0),
        (Reply(502, body=b"NoResponse"), False, None),
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
    channel = TeamsChannel(url=f"{service.url}?sig=SECRET")
    outcome = deliver(channel, BUDGET, through=carriers(), delivery_id="job_1")
    assert (outcome.delivered, outcome.status) == (False, reply.status)
    assert (outcome.final, outcome.retry_after_s) == (final, wait_s)
    assert reply.body.decode() in outcome.detail


def test_a_connector_that_says_200_and_means_429(
    service: Sink, carriers: Callable[..., Carriers]
) -> None:
    said = "Webhook message delivery failed: Microsoft Teams endpoint returned HTTP error 429"
    service.replies = [Reply(200, body=said.encode())]
    channel = TeamsChannel(url=service.url)
    outcome = deliver(channel, BUDGET, through=carriers(), delivery_id="job_1")
    assert (outcome.delivered, outcome.final, outcome.status) == (False, False, 200)
    assert outcome.detail == f"HTTP 200, but: {said}"
