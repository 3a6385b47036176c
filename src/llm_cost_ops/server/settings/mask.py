"""How a value is shown to people: secrets never, URLs without their password."""

from __future__ import annotations

import re
import typing

from llm_cost_ops.server.settings.spec import Setting

MASK = "***"
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^@/?#]*?):(?P<secret>.*)@")
_QUERY = re.compile(
    r"(?P<name>[?&](?:password|sslpassword|passwd|pwd|token)=)[^&#]*", re.IGNORECASE
)


def mask_url(url: str) -> str:
    """`url` without its password, also when the password holds what should have been escaped."""
    masked, found = _USERINFO.subn(rf"\g<scheme>\g<user>:{MASK}@", url)
    if not found and "@" in url and "://" not in url:
        masked = (
            f"{MASK}@{url.rpartition('@')[2]}"  # not a URL, but what one looks like when mistyped
        )
    return _QUERY.sub(rf"\g<name>{MASK}", masked)


def shown(setting: Setting, value: object) -> str:
    """`value` of `setting` as text that may appear in a log or a terminal."""
    if value is None or (setting.spec.secret and value == ()):
        return "not set"
    if setting.spec.secret:
        return MASK
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(typing.cast("tuple[str, ...]", value))
    return mask_url(str(value)) if setting.spec.url else str(value)
