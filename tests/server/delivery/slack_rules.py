"""Whether Slack would take a message: the rules of its documentation for the blocks we use.

docs.slack.dev, "Reference: blocks" (header, section, context, divider), "Text object", "Sending
messages using incoming webhooks", "Formatting message text". Anything else is refused, as a
misspelt key would be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MAX_BLOCKS = 50
_ENTITY = re.compile(r"&(?!(amp|lt|gt);)")
_LINK = re.compile(r"<https?://[^|<>\s]+\|[^<>|]+>")


def faults(message: Mapping[str, Any]) -> list[str]:
    """What Slack answers `invalid_payload` or `invalid_blocks` to, and what it would take for a
    mention. None: fit to be sent."""
    found = list[str]()
    if set(message) != {"text", "blocks"}:
        found.append(f"keys {sorted(message)}")
    if not isinstance(message.get("text"), str) or not 1 <= len(message["text"]) <= 40_000:
        found.append("text")
    found += _text_faults(message.get("text", ""), "text")
    blocks = message.get("blocks")
    if not isinstance(blocks, list) or not 1 <= len(blocks) <= MAX_BLOCKS:
        return [*found, "blocks: 1 to 50"]
    for number, block in enumerate(blocks):
        found += [f"blocks[{number}].{fault}" for fault in _block(block)]
    return found


def _block(block: Mapping[str, Any]) -> list[str]:
    match block.get("type"):
        case "header":
            if set(block) != {"type", "text"} or block["text"].get("type") != "plain_text":
                return ["header has one plain text"]
            return _object(block["text"], 150)
        case "section":
            return _section(block)
        case "context":
            elements = block.get("elements")
            if set(block) != {"type", "elements"} or not isinstance(elements, list):
                return ["context has elements"]
            wrong = [] if 1 <= len(elements) <= 10 else ["context: 1 to 10 elements"]
            return wrong + [fault for each in elements for fault in _object(each, 3000)]
        case other:
            return [f"type {other!r}"]


def _section(block: Mapping[str, Any]) -> list[str]:
    if set(block) == {"type", "text"}:
        return _object(block["text"], 3000)
    if set(block) != {"type", "fields"}:
        return [f"section keys {sorted(block)}"]
    fields = block["fields"]
    wrong = [] if 1 <= len(fields) <= 10 else ["section: 1 to 10 fields"]
    return wrong + [fault for each in fields for fault in _object(each, 2000)]


def _object(given: Mapping[str, Any], most: int) -> list[str]:
    kind, text = given.get("type"), given.get("text")
    known = {"plain_text": {"type", "text", "emoji"}, "mrkdwn": {"type", "text", "verbatim"}}
    if kind not in known or not set(given) <= known[kind]:
        return [f"text object {given}"]
    if not isinstance(text, str) or not text.strip():
        return ["text is empty"]
    if len(text.encode("utf-16-le")) // 2 > most:
        return [f"text is longer than {most}"]
    wrong = [] if given.get("emoji", False) is False else ["emoji"]
    return wrong + _text_faults(text, kind)


def _text_faults(text: str, kind: str) -> list[str]:
    """Unescaped control characters of Slack; in mrkdwn a whole link is none."""
    bare = _LINK.sub("", text) if kind == "mrkdwn" else text
    wrong = ["unescaped"] if "<" in bare or ">" in bare or _ENTITY.search(bare) else []
    return wrong + (["more than one line"] if "\n" in text or "\r" in text else [])
