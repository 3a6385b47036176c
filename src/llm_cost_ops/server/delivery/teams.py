"""A notice as an Adaptive Card in the message that a workflow of Microsoft Teams posts.

What others named stands in text runs: unlike text blocks and fact sets they know no Markdown, so a
name makes no link. Version 1.4 is what Teams shows everywhere, also on phones.

Sources: learn.microsoft.com, "Create incoming webhooks with Workflows for Microsoft Teams"
(envelope, 28 KB); adaptivecards.io, schema explorer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from llm_cost_ops.server.delivery.channels import TeamsChannel
from llm_cost_ops.server.delivery.notice import Notice, Outcome
from llm_cost_ops.server.delivery.post import judged, post_json
from llm_cost_ops.server.delivery.send import Outbound
from llm_cost_ops.server.delivery.wording import (
    DRIVERS,
    OPEN,
    SINCE,
    footer,
    line,
    link,
    state,
)

MAX_BYTES = 28 * 1024
_STEPS = (60, 40, 25, 15, 8, 4, 2, 0)
"""How many facts and drivers each are tried until the message fits."""
_STYLES: Mapping[str, str] = {"info": "accent", "warning": "warning", "critical": "attention"}
_TITLE = 250
_SUMMARY = 1_500
_LABEL = 120
_VALUE = 400
_MARKDOWN = re.compile(r"[\[\]()*_`~#>\\]")  # which old clients read in the fallback text
_CONNECTOR_FAILED = "returned HTTP error"


def teams_message(notice: Notice) -> dict[str, Any]:
    """The body for the webhook, with as many lines as 28 KB hold."""
    for rows in _STEPS:
        message = _envelope(_card(notice, rows))
        if len(_encoded(message)) <= MAX_BYTES:
            return message
    raise AssertionError("a card without lines has bounded texts")


def send_teams(channel: TeamsChannel, notice: Notice, http: Outbound) -> Outcome:
    """A workflow answers 202. The retired connectors answered 200 also when Teams had refused, and
    said so in the text."""
    call = post_json(http, channel.url, _encoded(teams_message(notice)))
    said = call.body[:4096].decode("utf-8", "replace")
    if call.outcome.delivered and _CONNECTOR_FAILED in said:
        status = call.outcome.status
        return Outcome(False, f"HTTP {status}, but: {line(said, 160)}", status)
    return judged(call, hidden=(channel.url,))


def _encoded(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def _envelope(card: Mapping[str, Any]) -> dict[str, Any]:
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return {"type": "message", "attachments": [attachment]}


def _card(notice: Notice, rows: int) -> dict[str, Any]:
    shown = replace(notice, facts=notice.facts[:rows], drivers=notice.drivers[:rows])
    left = len(notice.facts) + len(notice.drivers) - len(shown.facts) - len(shown.drivers)
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": line(_MARKDOWN.sub(" ", f"{state(notice)}: {notice.title}"), _TITLE),
        "msteams": {"width": "Full"},
        "body": [*_head(shown), *_rows(shown), *_foot(shown, left)],
    }
    if (url := link(notice)) is not None:
        card["actions"] = [{"type": "Action.OpenUrl", "title": OPEN, "url": url}]
    return card


def _head(notice: Notice) -> Iterable[dict[str, Any]]:
    yield {
        "type": "Container",
        "style": _style(notice),
        "bleed": True,
        "items": [
            _text(state(notice), 40, weight="Bolder", size="Small"),
            _text(notice.title, _TITLE, weight="Bolder", size="Large"),
        ],
    }
    if line(notice.summary):
        yield _text(notice.summary, _SUMMARY)


def _rows(notice: Notice) -> Iterable[dict[str, Any]]:
    for number, fact in enumerate(notice.facts):
        yield _row(fact.label, fact.value, apart=number == 0)
    if notice.since is not None:
        yield _row(SINCE, notice.since, apart=not notice.facts)
    if notice.drivers:
        yield {**_text(DRIVERS, 40, weight="Bolder"), "spacing": "Medium", "separator": True}
    for driver in notice.drivers:
        amount = f"{line(driver.amount, 150)} · {line(driver.share, 150)}"
        yield _row(driver.name, amount, widths=(3, 2))


def _foot(notice: Notice, left: int) -> Iterable[dict[str, Any]]:
    if left:
        yield _text(f"{left} further lines left out", 60, subtle=True)
    yield {**_text(footer(notice), 300, size="Small", subtle=True), "spacing": "Medium"}


def _style(notice: Notice) -> str:
    match notice.moment:
        case "acknowledge" | "digest":
            return "emphasis"
        case "resolve":
            return "good"
        case "trigger":
            return _STYLES[notice.severity]


def _row(
    label: str, value: str, *, apart: bool = False, widths: tuple[int, int] = (2, 3)
) -> dict[str, Any]:
    return {
        "type": "ColumnSet",
        "spacing": "Medium" if apart else "Small",
        "columns": [
            {"type": "Column", "width": widths[0], "items": [_text(label, _LABEL, subtle=True)]},
            {"type": "Column", "width": widths[1], "items": [_text(value, _VALUE)]},
        ],
    }


def _text(
    text: str,
    limit: int,
    *,
    weight: str = "Default",
    size: str = "Default",
    subtle: bool = False,
) -> dict[str, Any]:
    """Text as it is, without Markdown."""
    run: dict[str, Any] = {"type": "TextRun", "text": line(text, limit) or "–"}
    if weight != "Default":
        run["weight"] = weight
    if size != "Default":
        run["size"] = size
    if subtle:
        run["isSubtle"] = True
    return {"type": "RichTextBlock", "inlines": [run]}
