"""Words that all channels share, and text made fit for one line of a given length.

Names in a notice come from whoever may name a budget or a project. They are text to every channel:
each escapes them in its own way, after what is here took out what no line of text may hold.
"""

from __future__ import annotations

import re
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
_SPACE = re.compile("[\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_LINK = re.compile(r"(https?)(://[\x21-\x7e]+)", re.IGNORECASE)
_LOOKED_AT = 100_000


def line(text: str, limit: int = 10_000) -> str:
    """`text` in one line of at most `limit` UTF-16 units, in which chats count their limits.

    Line breaks, tabs and other controls become spaces, marks of direction go, half a surrogate
    pair becomes U+FFFD.
    """
    shown = _HALF_PAIR.sub("\ufffd", _DIRECTION.sub("", text[:_LOOKED_AT]))
    return cut(_SPACE.sub(" ", shown).strip(), limit)


def cut(text: str, limit: int) -> str:
    """`text`, or its beginning with an ellipsis, in at most `limit` UTF-16 units."""
    if units(text) <= limit:
        return text
    kept = text.encode("utf-16-le", "surrogatepass")[: 2 * max(limit - 1, 0)]
    return kept.decode("utf-16-le", "ignore").rstrip() + "…"


def units(text: str) -> int:
    """UTF-16 units: characters beyond U+FFFF count twice."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


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
    given = (notice.link or "").strip()
    url = quote(given, safe="%/:=&?~#+!$,;'@()*[]", errors="replace")
    match = _LINK.fullmatch(url)
    if match is None or len(url) > MAX_LINK:
        return None
    try:
        return match[1].lower() + match[2] if urlsplit(url).hostname else None
    except ValueError:
        return None


def footer(notice: Notice, limit: int = 300) -> str:
    """Whose alert it is and what it is called, such as "Acme · LLM Cost Ops · alt_01"."""
    names = (notice.organization, PRODUCT, notice.alert_id)
    return line(" · ".join(filter(None, (line(name, limit // 3) for name in names))), limit)
