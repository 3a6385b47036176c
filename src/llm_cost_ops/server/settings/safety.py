"""Secrets that everybody knows: examples of documents, which production refuses to start with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from llm_cost_ops.server.settings.schema import SETTINGS
from llm_cost_ops.server.settings.spec import LEAST_SECRET_BYTES

LEAST_DIFFERENT_CHARACTERS = 5
_EXAMPLES = re.compile(
    r"your[-_ ]?(jwt[-_ ]?)?(secret|key|password)|secret[-_ ]?key[-_ ]?here|change[-_ ]?(me|this)"
    r"|replace[-_ ]?(me|this)|placeholder|insecure|do[-_ ]?not[-_ ]?use|example[-_ ]?secret",
    re.IGNORECASE,
)
_PASSWORDS = frozenset(
    """
    secure_password securepassword securepassword123! password passw0rd changeme change_me
    your-password your_password yourpassword postgres mysql root admin secret 123456 12345678
    """.split()
)
_PASSWORD_OF_URL = re.compile(r"://[^@/?#]*?:(?P<password>.*)@")


def known_secrets(values: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[str]:
    """A problem for each secret of a production that is an example, or has too few characters."""
    if values["app.environment"] != "production":
        return
    for setting in SETTINGS:
        value = values[setting.path]
        is_database = setting.path == "database.url"
        if not (setting.spec.secret or is_database) or value is None:
            continue
        texts = (value,) if isinstance(value, str) else value
        known = _is_known_password if is_database else _is_known
        if any(map(known, texts)):
            kind = "password in it" if is_database else "secret"
            yield (
                f"{setting.path} (from {origins[setting.path]}): the {kind} is one that everybody "
                "can guess; production needs its own, such as `openssl rand -base64 48` prints"
            )


def _is_known_password(url: str) -> bool:
    found = _PASSWORD_OF_URL.search(url)
    password = unquote(found["password"]) if found else ""
    return password.casefold() in _PASSWORDS or _EXAMPLES.search(password) is not None


def _is_known(text: str) -> bool:
    few = len(text) >= LEAST_SECRET_BYTES and len(set(text)) < LEAST_DIFFERENT_CHARACTERS
    return few or text.casefold() in _PASSWORDS or _EXAMPLES.search(text) is not None
