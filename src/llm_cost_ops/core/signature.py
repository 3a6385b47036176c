"""Signatures of webhooks: what a sender writes into the headers and a receiver checks.

Two schemes go out together. The plain one is HMAC-SHA256 over the body with the secret's text as
key, in hex; it says nothing about when. The one of the Standard Webhooks specification 1.0.0 covers
id, time and body, with the bytes that a `whsec_` secret holds in base64 as key (a secret of another
form is its own key), in base64 after `v1,`. Several signatures in one header are separated by
spaces: while a secret is being changed there is one for each.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

PREFIX = "whsec_"
TOLERANCE_S = 300
MAX_DIGITS = 20
"""Digits of a timestamp that are read."""


def key_of(secret: str) -> bytes:
    """The bytes that sign. Raises ValueError for a `whsec_` secret that is not base64."""
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret[len(PREFIX) :], validate=True)
    except binascii.Error:
        raise ValueError("the secret after whsec_ is not base64") from None


def standard_secret(secret: str) -> str:
    """The same key in the form that libraries of the specification read."""
    return secret if secret.startswith(PREFIX) else PREFIX + _base64(secret.encode())


def plain(secret: str, body: bytes) -> str:
    """The plain signature: 64 hex digits in lower case."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def timed(secret: str, at_s: int, body: bytes) -> str:
    """The plain signature over `time.body`, with the time in seconds since 1970."""
    return plain(secret, b"%d." % at_s + body)


def standard(secret: str, message_id: str, at_s: int, body: bytes) -> str:
    """One signature of the specification: `v1,` and base64."""
    signed = b"%s.%d." % (message_id.encode(), at_s) + body
    return "v1," + _base64(hmac.new(key_of(secret), signed, hashlib.sha256).digest())


def plain_matches(secret: str, body: bytes, given: str) -> bool:
    """Whether a plain signature, with or without `sha256=` before it, is ours."""
    expected = plain(secret, body).encode()
    return hmac.compare_digest(expected, given.strip().removeprefix("sha256=").encode())


def standard_matches(
    secrets: Iterable[str],
    message_id: str,
    timestamp: str,
    body: bytes,
    given: str,
    *,
    now_s: int,
    tolerance_s: int = TOLERANCE_S,
) -> bool:
    """Whether one of the signatures in a `webhook-signature` header is by one of the secrets, and
    its time within the tolerance, in the past or ahead."""
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= MAX_DIGITS):
        return False
    at_s = int(timestamp)
    if abs(now_s - at_s) > tolerance_s:
        return False
    expected = [standard(secret, message_id, at_s, body).encode() for secret in secrets]
    offered = [text.encode() for text in given.split(" ")]
    return any(hmac.compare_digest(one, other) for one in expected for other in offered)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
