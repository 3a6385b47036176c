"""A notice as a message of Slack: Block Kit, for an incoming webhook.

What others named stands in `plain_text`, where Slack knows neither mentions nor links nor
formatting; a label is bold when it holds nothing that could be any of these. The link is text: a
button would report its click to an app that nobody runs.

Limits: docs.slack.dev, the references of blocks and of text objects, "Sending messages using
incoming webhooks".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llm_cost_ops.server.delivery.channels import SlackChannel
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
    units,
)

MAX_FACTS = 60
MAX_DRIVERS = 30
_ROWS = 5  # of two fields each; a section has at most ten fields
_HEADER = 150
_SUMMARY = 2_900
_LABEL = 120
_VALUE = 400
_NO_MARKUP = re.compile(r"[^*_~`:<>@#]+")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKS: Mapping[str, str] = {"info": "🔵", "warning": "🟠", "critical": "🔴"}


def slack_message(notice: Notice) -> dict[str, Any]:
    """The body for the webhook: blocks, and one line of text for notifications."""
    title, word = line(notice.title, _HEADER - 30), state(notice)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(f"{mark(notice)} {word}: {title}", _HEADER)}
    ]
    if summary := line(notice.summary, _SUMMARY):
        blocks.append({"type": "section", "text": _plain(summary, _SUMMARY)})
    facts = [(fact.label, fact.value) for fact in notice.facts[:MAX_FACTS]]
    if notice.since is not None:
        facts.append((SINCE, notice.since))
    blocks += _table((_label(label), value) for label, value in facts)
    if notice.drivers:
        blocks.append({"type": "section", "text": _marked(f"*{DRIVERS}*")})
        blocks += _table(
            (_plain(driver.name, _VALUE), f"{line(driver.amount, 150)} · {line(driver.share, 150)}")
            for driver in notice.drivers[:MAX_DRIVERS]
        )
    left = max(len(notice.facts) - MAX_FACTS, 0) + max(len(notice.drivers) - MAX_DRIVERS, 0)
    if left:
        blocks.append({"type": "section", "text": _marked(f"_{left} further lines left out_")})
    if (url := link(notice)) is not None:
        address = url.replace("&", "&amp;")
        blocks.append({"type": "section", "text": _marked(f"<{address}|{OPEN}>")})
    blocks.append({"type": "context", "elements": [_plain(footer(notice), 300)]})
    return {"text": _escaped(f"{word}: {title}. {summary}", _SUMMARY), "blocks": blocks}


def send_slack(channel: SlackChannel, notice: Notice, http: Outbound) -> Outcome:
    """Slack answers 200 and `ok`; 400, 403, 404 and 410 stay as they are until somebody changes
    the webhook, 429 names a wait."""
    body = json.dumps(slack_message(notice), ensure_ascii=False).encode()
    return judged(post_json(http, channel.url, body), hidden=(channel.url,))


def mark(notice: Notice) -> str:
    """A coloured sign of the severity, or of what ended the alert."""
    match notice.moment:
        case "acknowledge":
            return "👀"
        case "resolve":
            return "✅"
        case "digest":
            return "📊"
        case "trigger":
            return _MARKS[notice.severity]


def _table(rows: Iterable[tuple[dict[str, Any], str]]) -> Iterator[dict[str, Any]]:
    """Sections of two columns."""
    fields = [field for first, value in rows for field in (first, _plain(value, _VALUE))]
    for start in range(0, len(fields), 2 * _ROWS):
        yield {"type": "section", "fields": fields[start : start + 2 * _ROWS]}


def _label(text: str) -> dict[str, Any]:
    """Bold, unless it holds what Slack may take for formatting."""
    shown = line(text)
    if not _NO_MARKUP.fullmatch(shown):
        return _plain(text, _LABEL)
    return _marked(f"*{_escaped(shown, _LABEL)}*")


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": _escaped(line(text), limit) or "–", "emoji": False}


def _marked(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _escaped(text: str, limit: int) -> str:
    """With the entities that Slack decodes in every text, cut to `limit` UTF-16 units as sent."""
    room, parts = limit - 1, list[str]()
    for char in text:
        parts.append(_ENTITIES.get(char, char))
        room -= units(parts[-1])
        if room < 0:
            whole = "".join(_ENTITIES.get(each, each) for each in text)
            return whole if units(whole) <= limit else "".join(parts[:-1]).rstrip() + "…"
    return "".join(parts)
