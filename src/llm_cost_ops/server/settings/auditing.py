"""Settings of where the audit log is sent as it is written."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from llm_cost_ops.server.settings.spec import setting


def _syslog(value: str) -> str | None:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return "udp://, tcp:// or tls:// with a host and a port"
    good = parts.scheme in ("udp", "tcp", "tls") and parts.hostname and port
    good = good and not (parts.path or parts.query or parts.username)
    return None if good else "udp://, tcp:// or tls:// with a host and a port"


def _http(value: str) -> str | None:
    known = value.startswith(("https://", "http://")) and len(value) > len("https://")
    return None if known else "an http or https address"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """`[audit]`: another place that keeps the audit log of all organizations."""

    syslog_url: str | None = setting(
        None,
        "A syslog server (RFC 5424): `tls://`, `tcp://` or `udp://` with host and port.",
        check=_syslog,
    )
    syslog_ca_file: str | None = setting(
        None, "Certificate authorities (PEM) of a `tls://` server, instead of the public ones."
    )
    http_url: str | None = setting(
        None,
        "An address that entries are posted to as JSON. Which may be called `[delivery]` says.",
        check=_http,
    )
    http_secret: str | None = setting(
        None, "Signs what is posted, as webhooks are signed.", secret=True
    )
    timeout_seconds: float = setting(
        10.0, "How long sending one batch of entries may take.", low=0.1, high=120
    )
