"""What people, teams and invitations are described with, checked before it is stored."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import cast

import idna

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.jsontext import dumps

MAX_EMAIL = 254
MAX_LOCAL = 64
MAX_NAME = 255
MAX_TEXT = 2_000
MAX_METADATA_BYTES = 16_384
MAX_METADATA_KEYS = 100
_LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_ENCODED_WORD = "=?"
"""How an encoded word of RFC 2047 begins, which may hold a line break."""


class PersonError(DomainError):
    """A description of a person, team or invitation that cannot be used."""


def clean_email(text: str, field: str = "email") -> str:
    """An e-mail address as it is stored: in lower case, the domain as a machine writes it. Raises
    PersonError."""
    wanted = PersonError("must be an e-mail address such as ann@example.com", field=field)
    local, separator, domain = text.strip(" ").lower().rpartition("@")
    if not separator:
        raise wanted
    if not domain.isascii():
        try:
            domain = idna.encode(unicodedata.normalize("NFKC", domain), uts46=True).decode("ascii")
        except idna.IDNAError:
            raise wanted from None
    email = f"{local}@{domain}"
    if len(email) > MAX_EMAIL or len(local) > MAX_LOCAL or _ENCODED_WORD in email:
        raise wanted
    if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise wanted
    return email


def clean_name(text: str, field: str = "name") -> str:
    """A name in one line: no control characters and none that turn the direction of text, which
    could rewrite the line or the mail header that it stands in. Raises PersonError."""
    name = text.strip()
    if not name or len(name) > MAX_NAME:
        raise PersonError(f"must have 1 to {MAX_NAME} characters", field=field)
    if _ENCODED_WORD in name or any(unicodedata.category(c) in _UNFIT for c in name):
        raise PersonError("must be one line of plain text", field=field)
    if any(c in _DIRECTION for c in name):
        raise PersonError("must be one line of plain text", field=field)
    return name


_UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_optional(text: str | None, field: str) -> str | None:
    """A name that may be missing; an empty one is none. Raises PersonError."""
    return None if text is None or not text.strip() else clean_name(text, field)


def clean_text(text: str | None, field: str = "description") -> str | None:
    """Text of several lines that may be missing. Raises PersonError."""
    if text is None or not text.strip():
        return None
    if len(text) > MAX_TEXT or any(c != "\n" and unicodedata.category(c) in _UNFIT for c in text):
        raise PersonError(f"must be text of at most {MAX_TEXT} characters", field=field)
    return text.strip()


def clean_id(text: str, field: str) -> str:
    """An id that calls name, such as `user-123`. Raises PersonError."""
    if text != text.strip() or "/" in text:
        raise PersonError("must not begin or end with a space, nor hold a slash", field=field)
    return clean_name(text, field)


def clean_metadata(value: Mapping[str, object] | None) -> dict[str, object]:
    """Free fields such as department and manager. Raises PersonError."""
    if value is None:
        return {}
    if len(value) > MAX_METADATA_KEYS:
        raise PersonError(f"must have at most {MAX_METADATA_KEYS} fields", field="metadata")
    try:
        size = len(dumps(value).encode())
    except (TypeError, UnicodeEncodeError):
        raise PersonError("must hold JSON values", field="metadata") from None
    if size > MAX_METADATA_BYTES or _has_nul(value):
        raise PersonError(
            f"must be at most {MAX_METADATA_BYTES} bytes without NUL", field="metadata"
        )
    return dict(value)


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, object]", value).items()
        return any("\x00" in key or _has_nul(inner) for key, inner in pairs)
    if isinstance(value, Sequence):
        return any(_has_nul(inner) for inner in cast("Sequence[object]", value))
    return False
