"""Secrets of channels at rest: sealed with a key derived from the installation's secret key.

AES-256-GCM with a random nonce of 96 bits; the key is HKDF-SHA256 of `security.secret_key`; what a
text belongs to is authenticated with it, so that a sealed text moved to another row does not open.
Without a secret key, which production refuses, texts are kept as they are, marked as such.
"""

from __future__ import annotations

import base64
import binascii
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from llm_cost_ops.core.errors import DomainError

_SEALED, _OPEN = "aesgcm1:", "plain:"
_NONCE_BYTES = 12


class SealBroken(Exception):
    """A text that was sealed with another secret key, or was changed since."""


class NoSecretKey(DomainError):
    """Secrets cannot be kept: production has no secret key."""

    code = "CONFLICT"


class Seal:
    """Seals and opens texts; `key` is the installation's secret key, if it has one."""

    def __init__(self, key: str | None, *, required: bool = False) -> None:
        self._required = required
        self._cipher = None if key is None else AESGCM(_derived(key))

    def close(self, text: str, owner: str, *, secret: bool = True) -> str:
        """The text as it is to be stored for its owner, such as the id of its row. Raises
        NoSecretKey for one with a secret that has to be sealed and cannot be."""
        if self._cipher is None:
            if self._required and secret:
                raise NoSecretKey("security.secret_key must be set before secrets can be kept")
            return _OPEN + text
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), owner.encode())
        return _SEALED + base64.b64encode(nonce + sealed).decode("ascii")

    def open(self, stored: str, owner: str) -> str:
        """What `close` was given. Raises SealBroken."""
        if stored.startswith(_OPEN):
            return stored.removeprefix(_OPEN)
        if self._cipher is None or not stored.startswith(_SEALED):
            raise SealBroken("security.secret_key is not the one that it was stored with")
        try:
            raw = base64.b64decode(stored.removeprefix(_SEALED), validate=True)
            found = self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], owner.encode())
        except (InvalidTag, binascii.Error, ValueError):
            raise SealBroken("security.secret_key is not the one that it was stored with") from None
        return found.decode()


def is_sealed(stored: str) -> bool:
    """Whether a stored text can be read with the secret key alone."""
    return stored.startswith(_SEALED)


def _derived(key: str) -> bytes:
    purpose = b"llm-cost-ops alert channels"
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key.encode())
