"""The secret of an API key: `{prefix}{43 base62 digits}{6 base62 digits of CRC32}`.

43 digits are 256 random bits, so a plain SHA-256 of it is all that need be stored. The checksum
lets a mistyped or invented key be refused without asking the database.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_DIGITS = 43
CHECK_DIGITS = 6
MAX_PREFIX = 24
_FORM = re.compile(
    rf"[A-Za-z0-9_]{{0,{MAX_PREFIX}}}[A-Za-z0-9]{{{RANDOM_DIGITS + CHECK_DIGITS}}}", re.ASCII
)


def new_secret(prefix: str) -> str:
    """A new secret. `prefix` ends in an underscore (`sk_live_`)."""
    body = prefix + "".join(secrets.choice(DIGITS) for _ in range(RANDOM_DIGITS))
    return body + _checksum(body)


def well_formed(secret: str) -> bool:
    """Whether the checksum fits. Says nothing about whether the key exists."""
    if not _FORM.fullmatch(secret):
        return False
    return secret[-CHECK_DIGITS:] == _checksum(secret[:-CHECK_DIGITS])


def digest(secret: str) -> str:
    """What is stored and looked up."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(CHECK_DIGITS):
        number, digit = divmod(number, 62)
        digits = DIGITS[digit] + digits
    return digits
