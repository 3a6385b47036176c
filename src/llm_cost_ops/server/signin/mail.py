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
_ADDRESS = """\
Somebody, probably you, asked to sign in to {product} as {new} instead of
{old}.

To confirm it, open this link within {minutes} minutes while you are signed in; it works once:

{link}

If it was not you, you need not do anything.
"""
_ASKED = """\
Somebody, probably you, asked to sign in to {product} as {new} instead of
{old}. Nothing is changed before that address confirms it.

If it was not you, somebody knows your password. Change it now:

{link}
"""
_CHANGED = """\
You sign in to {product} as {new} from now on, no longer as
{old}.

If it was not you, tell an administrator of your organization at once.
"""


def lacking(settings: Settings) -> str | None:
    """What must be set before such mails can be sent; None when they can."""
    if settings.server.public_url is None:
        return "server.public_url is not set"
    return settings.email.lacking


def send_reset(settings: Settings, email: str, secret: str, now: datetime) -> Outcome:
    """Send the link for a new password. `lacking` said that nothing is."""
    text = _RESET.format(
        email=email,
        product=PRODUCT,
        minutes=settings.sign_in.reset_link_minutes,
        link=f"{_root(settings)}/reset?token={secret}",
    )
    return _send(settings, email, f"A new password for {PRODUCT}", text, now)


def send_address_link(
    settings: Settings, old: str, new: str, secret: str, now: datetime
) -> Outcome:
    """Send the link that proves a new address to that address."""
    text = _ADDRESS.format(
        old=old,
        new=new,
        product=PRODUCT,
        minutes=settings.sign_in.reset_link_minutes,
        link=f"{_root(settings)}/email?token={secret}",
    )
    return _send(settings, new, f"Your address for {PRODUCT}", text, now)


def send_address_notice(
    settings: Settings, old: str, new: str, now: datetime, *, changed: bool
) -> Outcome:
    """Tell the old address that another one was asked for, or has taken its place."""
    form = _CHANGED if changed else _ASKED
    text = form.format(old=old, new=new, product=PRODUCT, link=f"{_root(settings)}/account")
    what = "was changed" if changed else "is to be changed"
    return _send(settings, old, f"Your address for {PRODUCT} {what}", text, now)


def _root(settings: Settings) -> str:
    return (settings.server.public_url or "").rstrip("/")


def _send(settings: Settings, to: str, subject: str, text: str, now: datetime) -> Outcome:
    sender = settings.email.sender
    if sender is None or settings.server.public_url is None:
        return Outcome(False, f"mail cannot be sent: {lacking(settings)}", final=True)
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = Address(addr_spec=to)
    mail["Subject"] = subject
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = make_msgid(domain=sender.domain)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text, cte="quoted-printable")
    return transmit(mail, [to], settings.email)
