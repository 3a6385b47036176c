"""Settings of mail that goes out: which server takes it, and in whose name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.headerregistry import Address

from llm_cost_ops.server.settings.spec import setting

_SENDER = re.compile(r'(?:"(?P<quoted>[^"\\]*)"|(?P<name>[^"<>\\]*?))\s*<(?P<spec>[^<>]+)>')
_ADDRESS = re.compile(r"[^\s@,;:<>()\[\]\"\\]+@[^\s@,;:<>()\[\]\"\\]+\.[^\s@,;:<>()\[\]\"\\]+")
# Also what looks like an encoded word of RFC 2047, which may hold a line break.
_UNFIT = re.compile(r"[\x00-\x1f\x7f]|=\?")


def sender(text: str) -> Address | None:
    """`ops@example.com` or `Cost Ops <ops@example.com>` as an address; None when it is neither."""
    named = _SENDER.fullmatch(text)
    spec = named["spec"] if named else text
    if _UNFIT.search(text) or not spec.isascii() or not _ADDRESS.fullmatch(spec):
        return None
    name = (named["quoted"] or named["name"] or "") if named else ""
    try:
        return Address(display_name=name, addr_spec=spec)
    except (ValueError, IndexError, HeaderParseError):
        return None


def _from(value: str) -> str | None:
    wanted = "one mail address, such as ops@example.com or Cost Ops <ops@example.com>"
    return None if sender(value) else wanted


def _host(value: str) -> str | None:
    fits = re.fullmatch(r"[A-Za-z0-9:]([A-Za-z0-9.:-]*[A-Za-z0-9])?", value, re.ASCII)
    return None if fits and value.count(":") != 1 else "a host name or address without a port"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailSettings:
    """`[email]`: the SMTP server for mail of alerts. Without a host no mail is sent."""

    smtp_host: str | None = setting(
        None,
        "SMTP server that takes our mail.",
        env=("SMTP_HOST",),
        files=("email.smtp.host",),
        check=_host,
    )
    smtp_port: int | None = setting(
        None,
        "Port of the SMTP server: 587 unless given, 465 with `email.smtp_use_ssl`.",
        env=("SMTP_PORT",),
        files=("email.smtp.port",),
        low=1,
        high=65_535,
    )
    smtp_use_tls: bool = setting(
        True,
        "Begin TLS with STARTTLS. A server that does not offer it gets no mail.",
        files=("email.smtp.use_tls",),
    )
    smtp_use_ssl: bool = setting(
        False,
        "Speak TLS from the first byte, instead of STARTTLS.",
        files=("email.smtp.use_ssl",),
    )
    smtp_user: str | None = setting(
        None,
        "User name for the SMTP server; without one we do not log in.",
        env=("SMTP_USER",),
        files=("email.smtp.user", "email.smtp.username"),
    )
    smtp_password: str | None = setting(
        None,
        "Password for the SMTP server.",
        env=("SMTP_PASSWORD",),
        files=("email.smtp.password",),
        secret=True,
    )
    smtp_ca_file: str | None = setting(
        None,
        "Certificates (PEM) that the SMTP server's is checked against, instead of the system's.",
        files=("email.smtp.ca_file",),
    )
    smtp_timeout_seconds: float = setting(
        30.0,
        "How long the SMTP server may take for each answer.",
        low=1,
        high=300,
    )
    from_address: str | None = setting(
        None,
        "Sender of our mail, with or without a name; unless given the SMTP user, if that is an "
        "address.",
        env=("SMTP_FROM",),
        files=("email.smtp.from",),
        check=_from,
    )

    @property
    def port(self) -> int:
        return self.smtp_port or (465 if self.smtp_use_ssl else 587)

    @property
    def sender(self) -> Address | None:
        return sender(self.from_address or self.smtp_user or "")

    @property
    def lacking(self) -> str | None:
        """What must be set before mail can be sent; None when it can."""
        if self.smtp_host is None:
            return "email.smtp_host is not set"
        if self.sender is None:
            return "email.from_address is not set"
        if self.smtp_user is not None and self.smtp_password is None:
            return "email.smtp_password is not set"
        return None
