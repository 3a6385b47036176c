"""The mails of signing in: plain text, one link."""

from __future__ import annotations

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid

from llm_cost_ops.server.delivery.notice import Outcome
from llm_cost_ops.server.delivery.smtp import transmit
from llm_cost_ops.server.delivery.wording import PRODUCT
from llm_cost_ops.server.settings import Settings

_RESET = """\
Somebody, probably you, asked for a new password for {email} at {product}.

To choose one, open this link within {minutes} minutes; it works once:

{link}

If it was not you, you need not do anything: your password stays as it is.
"""


def lacking(settings: Settings) -> str | None:
    """What must be set before such mails can be sent; None when they can."""
    if settings.server.public_url is None:
        return "server.public_url is not set"
    return settings.email.lacking


def send_reset(settings: Settings, email: str, secret: str, now: datetime) -> Outcome:
    """Send the link for a new password. `lacking` said that nothing is."""
    sender = settings.email.sender
    public_url = settings.server.public_url
    if sender is None or public_url is None:
        return Outcome(False, f"mail cannot be sent: {lacking(settings)}", final=True)
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = Address(addr_spec=email)
    mail["Subject"] = f"A new password for {PRODUCT}"
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = make_msgid(domain=sender.domain)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(
        _RESET.format(
            email=email,
            product=PRODUCT,
            minutes=settings.sign_in.reset_link_minutes,
            link=f"{public_url.rstrip('/')}/reset?token={secret}",
        ),
        cte="quoted-printable",
    )
    return transmit(mail, [email], settings.email)
