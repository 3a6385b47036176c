"""A notice as a mail: headers, a text that reads well in any terminal, and the same as HTML.

The mails of one alert refer to a message that was never sent, named after its `dedup_key`: clients
that follow References show them together, and no mail needs to know which came before it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import lru_cache
from textwrap import wrap
from typing import TYPE_CHECKING

from llm_cost_ops.server.delivery.channels import EmailChannel
from llm_cost_ops.server.delivery.notice import Notice, Outcome
from llm_cost_ops.server.delivery.smtp import transmit
from llm_cost_ops.server.delivery.wording import (
    DRIVERS,
    OPEN,
    PRODUCT,
    SINCE,
    footer,
    line,
    link,
    state,
)
from llm_cost_ops.server.settings import EmailSettings

if TYPE_CHECKING:
    from jinja2 import Template

MAX_ROWS = 200
_WIDTH = 72
_TITLE = 150
_SUMMARY = 4_000
_LABEL = 120
_VALUE = 600
_AMOUNT = 60


def send_email(
    channel: EmailChannel,
    notice: Notice,
    settings: EmailSettings,
    delivery_id: str,
    now: datetime,
) -> Outcome:
    """Give the mail to the SMTP server of the settings; without one the outcome says what is
    lacking."""
    if settings.lacking is not None or settings.sender is None:
        return Outcome(False, f"mail cannot be sent: {settings.lacking}", final=True)
    mail = email_message(channel, notice, settings.sender, delivery_id, now)
    return transmit(mail, channel.recipients, settings)


def email_message(
    channel: EmailChannel, notice: Notice, sender: Address, delivery_id: str, now: datetime
) -> EmailMessage:
    """The mail. Its Message-ID is the same at each attempt, so that a server or a client which has
    it already can tell."""
    domain = sender.domain
    root = f"<alert.{_digest(notice.dedup_key or notice.alert_id)}@{domain}>"
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = [Address(addr_spec=address) for address in channel.recipients]
    mail["Subject"] = _unencoded(line(f"[{state(notice)}] {line(notice.title)}", _TITLE))
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{_digest(delivery_id, *channel.recipients)}@{domain}>"
    mail["References"] = root
    if notice.moment in ("acknowledge", "resolve"):
        mail["In-Reply-To"] = root
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    if notice.moment == "trigger" and notice.severity == "critical":
        mail["Importance"] = "high"
    mail["X-Cost-Ops-Severity"] = notice.severity
    mail["X-Cost-Ops-Moment"] = notice.moment
    mail["X-Cost-Ops-Alert"] = _token(notice.alert_id)
    mail.set_content(email_text(notice), cte="quoted-printable")
    mail.add_alternative(email_html(notice), subtype="html", cte="quoted-printable")
    return mail


def email_text(notice: Notice) -> str:
    """The mail's text, at most 72 columns wide but for single long words."""
    paragraphs = [_wrapped(f"{state(notice).upper()}: {line(notice.title, _TITLE)}")]
    if summary := line(notice.summary, _SUMMARY):
        paragraphs.append(_wrapped(summary))
    if facts := _facts(notice):
        paragraphs.append(_aligned(facts))
    if notice.drivers:
        paragraphs.append(f"{DRIVERS}\n{_ranking(_driver_rows(notice))}")
    if left := _left(notice):
        paragraphs.append(f"{left} further lines are left out.")
    if (url := link(notice)) is not None:
        paragraphs.append(f"{OPEN}:\n{url}")
    paragraphs.append(f"-- \n{footer(notice)}")
    return "\n\n".join(paragraphs) + "\n"


def email_html(notice: Notice) -> str:
    """The mail's HTML: tables with inline styles, nothing loaded from anywhere, each value
    escaped by the template engine."""
    return _template().render(
        tone=notice.severity if notice.moment == "trigger" else notice.moment,
        state=state(notice),
        title=line(notice.title, _TITLE),
        summary=line(notice.summary, _SUMMARY),
        facts=_facts(notice),
        drivers=_driver_rows(notice),
        drivers_title=DRIVERS,
        left=_left(notice),
        link=link(notice),
        open=OPEN,
        footer=footer(notice),
        product=PRODUCT,
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    # Imported by the first mail: a server or worker that sends none starts without it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("llm_cost_ops.server.delivery"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("mail.html")


def _facts(notice: Notice) -> list[tuple[str, str]]:
    facts = [
        (line(fact.label, _LABEL), line(fact.value, _VALUE)) for fact in notice.facts[:MAX_ROWS]
    ]
    return facts if notice.since is None else [*facts, (SINCE, line(notice.since, _VALUE))]


def _driver_rows(notice: Notice) -> list[tuple[str, str, str]]:
    return [
        (line(each.name, _VALUE), line(each.amount, _AMOUNT), line(each.share, _AMOUNT))
        for each in notice.drivers[:MAX_ROWS]
    ]


def _left(notice: Notice) -> int:
    return max(len(notice.facts) - MAX_ROWS, 0) + max(len(notice.drivers) - MAX_ROWS, 0)


def _wrapped(text: str) -> str:
    return "\n".join(wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False))


def _aligned(rows: Sequence[tuple[str, str]]) -> str:
    """Two columns, the second of which goes on in its own column when it is long; a label that
    leaves it too little room stands in a line of its own."""
    shown: list[str] = []
    width = 2 + max((len(label) for label, _ in rows if len(label) <= _WIDTH // 2), default=0)
    for label, value in rows:
        parts = wrap(value, _WIDTH - width, break_long_words=False, break_on_hyphens=False) or [""]
        first = label
        if len(label) + 2 > width:
            shown.append(label)
            first = ""
        shown.append((first.ljust(width) + parts[0]).rstrip())
        shown += [" " * width + part for part in parts[1:]]
    return "\n".join(shown)


def _ranking(rows: Sequence[tuple[str, str, str]]) -> str:
    """Names, and beside the last line of each its amount and share, these to the right."""
    amounts = max(len(amount) for _, amount, _ in rows)
    shares = max(len(share) for _, _, share in rows)
    longest = max(len(name) for name, _, _ in rows)
    width = max(min(longest, max(_WIDTH - 6 - amounts - shares, 24)), 1)
    shown: list[str] = []
    for name, amount, share in rows:
        *above, last = wrap(name, width, break_on_hyphens=False) or [""]
        shown += [f"  {part}" for part in above]
        shown.append(f"  {last.ljust(width)}  {amount.rjust(amounts)}  {share.rjust(shares)}")
    return "\n".join(shown)


def _digest(*texts: str) -> str:
    joined = "\n".join(texts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(joined).hexdigest()[:32]


def _unencoded(text: str) -> str:
    """`text` for a header, which would be decoded if it looked like an encoded word (RFC 2047):
    one that holds a line break would come out as a header of its own."""
    return text.replace("=?", "= ?")


def _token(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._:-]", "", text)[:100]
