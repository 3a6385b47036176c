"""A notice that nothing happened for, to see that a channel works and how its messages look."""

from __future__ import annotations

from typing import Literal

from llm_cost_ops.server.delivery.notice import Driver, Fact, Notice


def sample_notice(
    organization: str,
    test_id: str,
    *,
    moment: Literal["trigger", "acknowledge", "resolve"] = "trigger",
    link: str | None = None,
) -> Notice:
    """A test of a channel; all moments with the same `test_id` are of the same alert. A channel
    that opens incidents should be told `resolve` after `trigger`."""
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
