"""Secrets at rest: AES-256-GCM under a key derived from `security.secret_key`.

The text names the key that sealed it, so that a changed `secret_key` is seen and not taken for a
damaged secret. It is bound to its owner: copied to another row it does not open. Without a
`secret_key`, which production refuses, secrets are kept as they are.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.settings import Settings

_SEALED, _OPEN = "v1", "v0"
_NONCE_BYTES = 12


class NoSecretKey(DomainError):
    """Secrets cannot be kept: production has no `security.secret_key`."""

    code = "CONFLICT"


class SecretUnreadable(Exception):
    """A sealed secret that the present key does not open."""


class Vault:
    """Seals and opens secrets of one purpose, which has a key of its own; `key` is the
    installation's secret key, if it has one, and `required` whether secrets need it."""

    def __init__(self, key: str | None, purpose: str, *, required: bool = False) -> None:
        self._required = required
        self._cipher: AESGCM | None = None
        self._name = ""
        if key is not None:
            derived = HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(key.encode())
            self._cipher = AESGCM(derived)
            self._name = hashlib.sha256(derived).hexdigest()[:8]

    @classmethod
    def of(cls, settings: Settings, purpose: str) -> Vault:
        """The one of an installation."""
        return cls(settings.security.secret_key, purpose, required=settings.production)

    def seal(self, text: str, owner: str, *, secret: bool = True) -> str:
        """The text to store for its owner, such as the id of its row. Raises NoSecretKey for one
        with a secret that has to be sealed and cannot be."""
        if self._cipher is None:
            if self._required and secret:
                raise NoSecretKey("security.secret_key must be set before secrets can be kept")
            return f"{_OPEN}:{text}"
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, text.encode(), owner.encode())
        return f"{_SEALED}:{self._name}:{base64.b64encode(sealed).decode('ascii')}"

    def open(self, stored: str, owner: str) -> str:
        """The secret. Raises SecretUnreadable."""
        form, _, rest = stored.partition(":")
        if form == _OPEN:
            return rest
        name, _, text = rest.partition(":")
        if form != _SEALED or self._cipher is None or name != self._name:
            raise SecretUnreadable("the secret was sealed under another security.secret_key")
        try:
            sealed = base64.b64decode(text, validate=True)
            opened = self._cipher.decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], owner.encode()
            )
        except (binascii.Error, InvalidTag, ValueError):
            raise SecretUnreadable("the stored secret is damaged") from None
        return opened.decode()


def is_sealed(stored: str) -> bool:
    """Whether a stored text can be read with the secret key alone."""
    return stored.startswith(f"{_SEALED}:")
