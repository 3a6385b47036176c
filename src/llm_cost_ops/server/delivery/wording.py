"""Words that all channels share, and text made fit for one line of a given length.

Names in a notice come from whoever may name a budget or a project. They are text to every channel:
each escapes them in its own way, after what is here took out what no line of text may hold.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from llm_cost_ops.server.delivery.notice import Notice, Severity

PRODUCT = "LLM Cost Ops"
USER_AGENT = "llm-cost-ops"
OPEN = "Open in LLM Cost Ops"
DRIVERS = "Top drivers"
SINCE = "Since"
MAX_LINK = 2000

SEVERITIES: Mapping[Severity, str] = {
    "info": "Info",
    "warning": "Warning",
    "critical": "Critical",
}

# Marks that reverse or isolate the text after them would let a name rewrite the line it stands in.
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LINK = re.compile(r"https?://[\x21-\x7e]+", re.IGNORECASE)


def line(text: str, limit: int = 10_000) -> str:
    """`text` in one line of at most `limit` UTF-16 units, in which chats count their limits.

    Line breaks, tabs and other controls become spaces, marks of direction go, half a surrogate
    pair becomes U+FFFD.
    """
    shown = "".join(_shown(char) for char in _DIRECTION.sub("", text))
    return cut(" ".join(shown.split()), limit)


def cut(text: str, limit: int) -> str:
    """`text`, or its beginning with an ellipsis, in at most `limit` UTF-16 units."""
    if units(text) <= limit:
        return text
    kept = text[: max(limit - 1, 0)]
    while units(kept) > limit - 1:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def units(text: str) -> int:
    """UTF-16 units: characters beyond U+FFFF count twice."""
    return len(text) + sum(char > "\uffff" for char in text)


def state(notice: Notice) -> str:
    """Where the alert stands, in a word: its severity while nobody has dealt with it."""
    match notice.moment:
        case "acknowledge":
            return "Acknowledged"
        case "resolve":
            return "Resolved"
        case "digest":
            return "Digest"
        case "trigger":
            return SEVERITIES[notice.severity]


def link(notice: Notice) -> str | None:
    """The notice's link when it is one over http that a click may follow, in ASCII."""
    url = quote((notice.link or "").strip(), safe="%/:=&?~#+!$,;'@()*[]", errors="replace")
    if len(url) > MAX_LINK or not _LINK.fullmatch(url):
        return None
    try:
        return url if urlsplit(url).hostname else None
    except ValueError:
        return None


def footer(notice: Notice, limit: int = 300) -> str:
    """Whose alert it is and what it is called, such as "Acme · LLM Cost Ops · alt_01"."""
    names = (notice.organization, PRODUCT, notice.alert_id)
    return line(" · ".join(filter(None, (line(name, limit // 3) for name in names))), limit)


def _shown(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Cs":
        return "\ufffd"
    return " " if category in ("Cc", "Zl", "Zp", "Zs") else char
