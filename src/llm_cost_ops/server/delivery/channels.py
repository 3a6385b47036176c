"""Where a notice can go: one type for each kind of channel, read from what somebody configured.

`read_channel` and `channel_fields` are each other's inverse, so that a room can store a channel as
JSON. Keys, and URLs with which anybody can send, are secrets: no repr and no `shown_fields` has
them.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

MAX_RECIPIENTS = 50
MAX_URL = 2048
MAX_SECRET = 256
MIN_SECRET = 24
"""Characters of a secret that somebody chose for signatures."""
MASK = "***"

_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?"
)
_ROUTING_KEY = re.compile(r"[A-Za-z0-9]{32}")
_VISIBLE = re.compile(r"[\x21-\x7e]+")


class WrongChannel(ValueError):
    """`field_errors` maps the name of each wrong field to what it must be."""

    def __init__(self, field_errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in field_errors.items()))
        self.field_errors = dict(field_errors)


def _secret() -> Any:
    return dataclasses.field(repr=False, metadata={"secret": True})


def _optional_secret() -> Any:
    return dataclasses.field(default=None, repr=False, metadata={"secret": True})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EmailChannel:
    """Mail to up to 50 addresses through the SMTP server of the settings."""

    kind: ClassVar[str] = "email"
    recipients: tuple[str, ...]

    def __post_init__(self) -> None:
        _refuse({"recipients": _wrong_recipients(self.recipients)})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SlackChannel:
    """An incoming webhook of Slack, or of a chat that takes Slack's blocks."""

    kind: ClassVar[str] = "slack"
    url: str = _secret()

    def __post_init__(self) -> None:
        _refuse({"url": _wrong_url(self.url)})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TeamsChannel:
    """A workflow of Microsoft Teams that posts what its webhook receives."""

    kind: ClassVar[str] = "teams"
    url: str = _secret()

    def __post_init__(self) -> None:
        _refuse({"url": _wrong_url(self.url)})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PagerDutyChannel:
    """The integration of a PagerDuty service that takes Events API v2."""

    kind: ClassVar[str] = "pagerduty"
    routing_key: str = _secret()
    url: str = "https://events.pagerduty.com"
    """Where the Events API is; accounts in Europe have https://events.eu.pagerduty.com."""

    def __post_init__(self) -> None:
        fits = _ROUTING_KEY.fullmatch(self.routing_key)
        wrong_key = None if fits else "32 letters and digits, as PagerDuty shows them"
        _refuse({"routing_key": wrong_key, "url": _wrong_url(self.url)})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChannel:
    """Any receiver of JSON over HTTP; with a secret the body is signed."""

    kind: ClassVar[str] = "webhook"
    url: str = _secret()
    secret: str | None = _optional_secret()

    def __post_init__(self) -> None:
        _refuse({"url": _wrong_url(self.url), "secret": _wrong_secret(self.secret)})


Channel = EmailChannel | SlackChannel | TeamsChannel | PagerDutyChannel | WebhookChannel

CHANNELS: Mapping[str, type[Channel]] = {
    each.kind: each
    for each in (EmailChannel, SlackChannel, TeamsChannel, PagerDutyChannel, WebhookChannel)
}


def read_channel(kind: str, fields: Mapping[str, object]) -> Channel:
    """The channel of that kind; WrongChannel names each field that is wrong, missing or unknown."""
    if kind not in CHANNELS:
        raise WrongChannel({"type": f"one of {', '.join(CHANNELS)}"})
    wanted = CHANNELS[kind]
    known = {field.name: field for field in dataclasses.fields(wanted)}
    errors = {name: "is not a field of this channel" for name in fields if name not in known}
    values: dict[str, object] = {}
    for name, field in known.items():
        if fields.get(name) is not None:
            values[name] = _value(wanted, name, fields[name], errors)
        elif field.default is dataclasses.MISSING:
            errors[name] = "is required"
    if errors.keys() & known.keys():
        raise WrongChannel(errors)
    try:
        channel = typing.cast("Callable[..., Channel]", wanted)(**values)
    except WrongChannel as wrong:
        raise WrongChannel({**errors, **wrong.field_errors}) from None
    if errors:
        raise WrongChannel(errors)
    return channel


def channel_fields(channel: Channel) -> dict[str, Any]:
    """What `read_channel` takes, as JSON types and with the secrets: to be stored, not shown."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(channel):
        found[field.name] = getattr(channel, field.name)
    if isinstance(channel, EmailChannel):
        found["recipients"] = list(channel.recipients)
    return found


def shown_fields(channel: Channel) -> dict[str, Any]:
    """`channel_fields` without secrets. Of a URL the host stays, which tells whose it is."""
    found = channel_fields(channel)
    for field in dataclasses.fields(channel):
        if field.metadata.get("secret") and found[field.name] is not None:
            url = field.name == "url"
            found[field.name] = _host_only(found[field.name]) if url else MASK
    return found


def parts(channel: Channel) -> tuple[Channel, ...]:
    """The channel for each of its addressees alone, so that each can be tried again without telling
    the others a second time."""
    if isinstance(channel, EmailChannel):
        return tuple(EmailChannel(recipients=(address,)) for address in channel.recipients)
    return (channel,)


def called_url(channel: Channel) -> str | None:
    """The URL that the channel calls, for a guard to judge when it is stored; None for mail."""
    return None if isinstance(channel, EmailChannel) else channel.url


def is_address(text: str) -> bool:
    """Whether `text` is one bare mail address in ASCII, within the lengths of RFC 5321."""
    local, _, domain = text.rpartition("@")
    return bool(_ADDRESS.fullmatch(text)) and len(local) <= 64 and len(domain) <= 253


def _value(wanted: type[Channel], name: str, raw: object, errors: dict[str, str]) -> object:
    if wanted is EmailChannel and name == "recipients":
        texts = _texts(raw)
        if texts is None:
            errors[name] = "a list of mail addresses"
        return texts
    if not isinstance(raw, str):
        errors[name] = "a text"
        return None
    return raw


def _texts(raw: object) -> tuple[str, ...] | None:
    if not isinstance(raw, (list, tuple)):
        return None
    items = typing.cast("list[object]", raw)
    texts = [item for item in items if isinstance(item, str)]
    return tuple(texts) if len(texts) == len(items) else None


def _refuse(found: Mapping[str, str | None]) -> None:
    wrong = {name: text for name, text in found.items() if text is not None}
    if wrong:
        raise WrongChannel(wrong)


def _wrong_recipients(recipients: tuple[str, ...]) -> str | None:
    if not 1 <= len(recipients) <= MAX_RECIPIENTS:
        return f"from 1 to {MAX_RECIPIENTS} mail addresses"
    wrong = [number for number, text in enumerate(recipients, start=1) if not is_address(text)]
    if wrong:
        return f"mail addresses in ASCII, such as ops@example.com; number {wrong[0]} is none"
    if len({address.lower() for address in recipients}) < len(recipients):
        return "each address once"
    return None


def _wrong_url(url: str) -> str | None:
    """The form alone: which hosts may be reached is decided where requests are made."""
    wanted = f"an http or https URL of at most {MAX_URL} characters without user name and fragment"
    if len(url) > MAX_URL or not _VISIBLE.fullmatch(url):
        return wanted
    try:
        split = urlsplit(url)
        host, port = split.hostname, split.port
    except ValueError:
        return wanted
    fits = split.scheme in ("http", "https") and host and port != 0
    return None if fits and "@" not in split.netloc and "#" not in url else wanted


def _wrong_secret(secret: str | None) -> str | None:
    if secret is None:
        return None
    if MIN_SECRET <= len(secret) <= MAX_SECRET and _VISIBLE.fullmatch(secret):
        return None
    return f"from {MIN_SECRET} to {MAX_SECRET} ASCII characters without spaces"


def _host_only(url: str) -> str:
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc}/{MASK}"
