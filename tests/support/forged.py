"""Access tokens written by hand, so that any part of them can be wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any


def encoded(value: Any) -> str:
    """A part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(part: str) -> dict[str, Any]:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the claims of a token, unchecked."""
    header, claims, _ = token.split(".")
    return decoded(header), decoded(claims)


def hs256(header: Mapping[str, Any], claims: Mapping[str, Any], key: bytes) -> str:
    """A token whose signature is right for this key, whatever its header says."""
    signed = f"{encoded(dict(header))}.{encoded(dict(claims))}"
    return f"{signed}.{encoded(hmac.new(key, signed.encode(), hashlib.sha256).digest())}"


def without(claims: Mapping[str, Any], *names: str, **changed: Any) -> dict[str, Any]:
    """The claims without some and with others changed."""
    return {name: value for name, value in {**claims, **changed}.items() if name not in names}
