"""A mail to one person with one link, or with a file, as text and as HTML.

Names in it come from whoever may name an organization or a person: they stand in one line, and the
template engine escapes them. Headers take no line break and nothing that is decoded to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import lru_cache
from textwrap import wrap
from typing import TYPE_CHECKING

from llm_cost_ops.server.delivery.notice import Outcome
from llm_cost_ops.server.delivery.smtp import transmit
from llm_cost_ops.server.delivery.wording import PRODUCT, line
from llm_cost_ops.server.settings import EmailSettings

if TYPE_CHECKING:
    from jinja2 import Template

MAX_SUBJECT = 150
MAX_LINE = 2_000
_WIDTH = 72


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a mail. Its name is ASCII and has no path in it."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """What somebody is told, and where the link leads, if there is one. `message_id` is the same at
    each attempt."""

    recipient: str
    subject: str
    paragraphs: tuple[str, ...]
    action: str
    link: str | None
    message_id: str
    attachment: Attachment | None = None


def send_letter(letter: Letter, settings: EmailSettings, now: datetime) -> Outcome:
    """Give the mail to the SMTP server of the settings; without one the outcome says what lacks."""
    if settings.lacking is not None or settings.sender is None:
        return Outcome(False, f"mail cannot be sent: {settings.lacking}", final=True)
    mail = letter_mail(letter, settings.sender, now)
    return transmit(mail, [letter.recipient], settings)


def letter_mail(letter: Letter, sender: Address, now: datetime) -> EmailMessage:
    """The mail."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = Address(addr_spec=letter.recipient)
    mail["Subject"] = line(letter.subject, MAX_SUBJECT).replace("=?", "= ?")
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{letter.message_id}@{sender.domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    paragraphs = [line(each, MAX_LINE) for each in letter.paragraphs]
    wrapped = ["\n".join(wrap(each, _WIDTH, break_long_words=False)) for each in paragraphs]
    linked = [] if letter.link is None else [f"{letter.action}:\n{letter.link}"]
    text = "\n\n".join([*wrapped, *linked, f"-- \n{PRODUCT}"]) + "\n"
    mail.set_content(text, cte="quoted-printable")
    html = _template().render(
        subject=line(letter.subject, MAX_SUBJECT),
        paragraphs=paragraphs,
        action=letter.action,
        link=letter.link,
        product=PRODUCT,
    )
    mail.add_alternative(html, subtype="html", cte="quoted-printable")
    if letter.attachment is not None:
        kind, _, subtype = letter.attachment.media_type.partition(";")[0].partition("/")
        mail.add_attachment(
            letter.attachment.content,
            maintype=kind,
            subtype=subtype,
            filename=letter.attachment.name,
        )
    return mail


@lru_cache(maxsize=1)
def _template() -> Template:
    # Imported by the first mail, as that of notices.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("llm_cost_ops.server.delivery"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("letter.html")
