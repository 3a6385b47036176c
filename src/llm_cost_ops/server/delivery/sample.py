"""A notice that nothing happened for, to see that a channel works and how its messages look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from llm_cost_ops.server.delivery.channels import Channel, PagerDutyChannel, parts
from llm_cost_ops.server.delivery.notice import Driver, Fact, Notice, Outcome

Send = Callable[[Channel, Notice, str], Outcome]
"""Delivers a notice under the id of a delivery."""


def try_channel(
    channel: Channel, organization: str, test_id: str, send: Send, link: str | None = None
) -> list[Outcome]:
    """Send the sample to each addressee and tell how each went. Where it opens an incident it is
    resolved at once; if that fails, this is how it went."""
    outcomes: list[Outcome] = []
    for number, part in enumerate(parts(channel), start=1):
        began = sample_notice(organization, test_id, link=link)
        outcome = send(part, began, f"{test_id}-{number}")
        if outcome.delivered and isinstance(part, PagerDutyChannel):
            over = sample_notice(organization, test_id, moment="resolve", link=link)
            outcome = send(part, over, f"{test_id}-{number}-over")
        outcomes.append(outcome)
    return outcomes


def sample_notice(
    organization: str,
    test_id: str,
    *,
    moment: Literal["trigger", "acknowledge", "resolve"] = "trigger",
    link: str | None = None,
) -> Notice:
    """A test of a channel; all moments with the same `test_id` are of the same alert."""
    happened = {
        "trigger": "This is a test: the channel works, and nobody has to do anything.",
        "acknowledge": "This is a test: the sample alert is acknowledged.",
        "resolve": "This is a test: the sample alert is over.",
    }
    return Notice(
        moment=moment,
        alert_id=test_id,
        dedup_key=f"test:{test_id}",
        severity="info",
        title="Test of this channel",
        summary=happened[moment],
        facts=(
            Fact("Spent", "USD 812.40 of 1,000.00 (81.2 %), as an example"),
            Fact("Threshold", "80 %"),
            Fact("Period", "1 to 30 November 2026"),
        ),
        drivers=(
            Driver("gpt-4o in project chat", "USD 499.63", "61.5 %"),
            Driver("claude-sonnet-4-5 in project search", "USD 203.10", "25.0 %"),
            Driver("everything else", "USD 109.67", "13.5 %"),
        ),
        organization=organization,
        link=link,
    )
