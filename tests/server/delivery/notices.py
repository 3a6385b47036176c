"""Notices as the alerts of a week make them, and as somebody makes them who means harm."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from llm_cost_ops.server.delivery.notice import Driver, Fact, Notice

DRIVERS = (
    Driver("gpt-4o in project chat", "USD 499.63", "61.5 %"),
    Driver("claude-sonnet-4-5 in project search", "USD 203.10", "25.0 %"),
    Driver("text-embedding-3-large in project search", "USD 61.77", "7.6 %"),
    Driver("everything else", "USD 47.90", "5.9 %"),
)
BUDGET = Notice(
    moment="trigger",
    alert_id="alt_01KA0D2V7Q8MZ3",
    dedup_key="budget:bdg_01KA0:2026-11:0.8",
    severity="warning",
    title="Budget “Chat production” is 81 % spent",
    summary=(
        "Acme has spent USD 812.40 of the USD 1,000.00 budgeted for project chat in November, "
        "and at this pace reaches the limit on 29 November."
    ),
    facts=(
        Fact("Spent", "USD 812.40 of 1,000.00 (81.2 %)"),
        Fact("Threshold", "80 %, reached on 26 Nov 2026, 14:05 CET"),
        Fact("Period", "1 to 30 November 2026"),
        Fact("Burn rate", "USD 41.20 a day, USD 31.20 in the last period"),
        Fact("Projected", "USD 973.00 to 1,041.00 (95 %)"),
    ),
    drivers=DRIVERS,
    organization="Acme",
    since="26 Nov 2026, 14:05 CET",
    link="https://costs.example.com/alerts/alt_01KA0D2V7Q8MZ3?from=mail&tab=drivers",
)
ACKNOWLEDGED = replace(
    BUDGET,
    moment="acknowledge",
    summary="Zoë Łukasz has acknowledged the alert: “capping max_tokens”.",
)
RESOLVED = replace(
    BUDGET,
    moment="resolve",
    summary="Over since 1 Dec 2026, 00:00 CET, because a new period began.",
)
ANOMALY = Notice(
    moment="trigger",
    alert_id="alt_01KA0F9",
    dedup_key="anomaly:model=gpt-4o:2026-11-26T13",
    severity="critical",
    title="gpt-4o costs 4.1 times what it should",
    summary="gpt-4o cost USD 214.09 between 13:00 and 14:00; expected were USD 38.00 to 66.50.",
    facts=(Fact("Actual", "USD 214.09"), Fact("Expected", "USD 52.20 (38.00 to 66.50)")),
    drivers=(Driver("retries", "USD 121.40", "75.0 %"), Driver("volume", "USD 40.49", "25.0 %")),
    organization="Acme",
    since="26 Nov 2026, 13:00 CET",
    link="https://costs.example.com/alerts/alt_01KA0F9",
)
DIGEST = Notice(
    moment="digest",
    alert_id="dig_2026w48",
    dedup_key="digest:weekly:2026-W48",
    severity="info",
    title="Week of 16 to 22 November: USD 4,210.55",
    summary="USD 4,210.55, which is 12 % more than the week before; two budgets are near the end.",
    facts=(
        Fact("Total", "USD 4,210.55"),
        Fact("Week before", "USD 3,759.42"),
        Fact("Change", "+ USD 451.13 (+ 12.0 %)"),
        Fact("Requests", "1,204,331"),
        Fact("Tokens", "2.41 billion in, 310 million out"),
        Fact("Cost per request", "USD 0.0035"),
        Fact("Cache hits", "38 % of input tokens"),
        Fact("Unpriced calls", "12"),
        Fact("Alerts", "3 fired, 2 resolved, 1 active"),
        Fact("Budget “Chat production”", "81 % spent, 27 % of the period left"),
        Fact("Budget “Search”", "93 % spent, 27 % of the period left"),
        Fact("Budget “Research”", "12 % spent, 27 % of the period left"),
        Fact("Forecast for November", "USD 17,900 (17,100 to 18,800)"),
    ),
    drivers=(
        Driver("gpt-4o in project chat", "USD 1,911.20", "45.4 %"),
        Driver("claude-sonnet-4-5 in project search", "USD 1,020.18", "24.2 %"),
        Driver("gpt-4o-mini in project chat", "USD 480.03", "11.4 %"),
        Driver("o3 in project research", "USD 377.61", "9.0 %"),
        Driver("gemini-2.5-flash in project search", "USD 190.44", "4.5 %"),
        Driver("text-embedding-3-large in project search", "USD 120.90", "2.9 %"),
        Driver("everything else", "USD 110.19", "2.6 %"),
    ),
    organization="Acme",
    link="https://costs.example.com/digests/2026-W48",
)
ALL = (BUDGET, ACKNOWLEDGED, RESOLVED, ANOMALY, DIGEST)

ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><a href="https://evil.example">click</a>',
    "{{7*7}}{% raw %}",
    "x\r\nBcc: victim@evil.example",
    "x\nX-Injected: 1\r\n\r\nbody",
    "<!channel> <@U123> <https://evil.example|open>",
    "[open](https://evil.example) **bold** `code`",
    "&lt;script&gt; &amp;",
    "\u202egpj.exe",
    "=?utf-8?q?=0d=0aBcc:_x@evil.example?=",
    "\ud800 half a pair",
    "\x00\x1b[31m\x7f",
    "🙂" * 3000,
    "&" * 3500,
    "",
    "   \t ",
)
"""What somebody might name a budget."""

hostile = st.one_of(
    st.sampled_from(ATTACKS),
    st.text(st.characters(codec=None), max_size=60),
    st.text("<>&\"'{}%|*_~`@\\\r\n\0 a", max_size=40),
)
links = st.one_of(
    st.none(),
    st.sampled_from(
        (
            "https://costs.example.com/a?b=1&c=2",
            "javascript:alert(1)",
            'https://x.example/"><script>',
            "https://x.example/<!channel>|y",
            "https://x.example/\r\nBcc: z",
            "data:text/html,x",
            "http://[::1",
            "HTTPS://X.example/ü",
        )
    ),
    hostile.map("https://x.example/".__add__),
)


def hostile_notices() -> st.SearchStrategy[Notice]:
    """Any moment and severity, with any text in every field."""
    facts = st.lists(st.builds(Fact, hostile, hostile), max_size=6)
    drivers = st.lists(st.builds(Driver, hostile, hostile, hostile), max_size=6)
    return st.builds(
        Notice,
        moment=st.sampled_from(("trigger", "acknowledge", "resolve", "digest")),
        alert_id=hostile,
        dedup_key=hostile,
        severity=st.sampled_from(("info", "warning", "critical")),
        title=hostile,
        summary=hostile,
        facts=facts.map(tuple),
        drivers=drivers.map(tuple),
        organization=hostile,
        since=st.none() | hostile,
        link=links,
    )


def crowded(rows: int, text: str = "w" * 500) -> Notice:
    """More lines than a message can hold."""
    return replace(
        DIGEST,
        title=text,
        summary=text * 10,
        facts=tuple(Fact(f"{number} {text}", text) for number in range(rows)),
        drivers=tuple(Driver(f"{number} {text}", text, text) for number in range(rows)),
    )
