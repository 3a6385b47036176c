"""Secrets at rest: AES-256-GCM under a key derived from those of `[security]`.

The text names the key that sealed it: earlier keys still open while everything is sealed again, and
a key that is gone is seen and not taken for a damaged secret. It is bound to its owner: copied to
another row it does not open. Without a key, which production refuses, secrets are kept as they are.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence

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
    """Seals and opens secrets of one purpose, which has keys of its own. `key` is the one that
    seals, if the installation has one; it and `others` open. `required`: whether secrets need it.
    """

    def __init__(
        self, key: str | None, purpose: str, *, required: bool = False, others: Sequence[str] = ()
    ) -> None:
        self._required = required
        self._ciphers: dict[str, AESGCM] = {}
        self._name = "" if key is None else self._derive(key, purpose)
        for other in others:
            self._derive(other, purpose)

    def _derive(self, key: str, purpose: str) -> str:
        derived = HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(key.encode())
        name = hashlib.sha256(derived).hexdigest()[:8]
        self._ciphers[name] = AESGCM(derived)
        return name

    @classmethod
    def of(cls, settings: Settings, purpose: str) -> Vault:
        """The one of an installation."""
        security = settings.security
        keys = [*security.encryption_keys, *filter(None, (security.secret_key,))]
        return cls(
            keys[0] if keys else None,
            purpose,
            required=settings.production,
            others=(*keys[1:], *security.previous_secret_keys),
        )

    def seal(self, text: str, owner: str, *, secret: bool = True) -> str:
        """The text to store for its owner, such as the id of its row. Raises NoSecretKey for one
        with a secret that has to be sealed and cannot be."""
        if not self._name:
            if self._required and secret:
                raise NoSecretKey("security.secret_key must be set before secrets can be kept")
            return f"{_OPEN}:{text}"
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._ciphers[self._name].encrypt(nonce, text.encode(), owner.encode())
        return f"{_SEALED}:{self._name}:{base64.b64encode(sealed).decode('ascii')}"

    def open(self, stored: str, owner: str) -> str:
        """The secret. Raises SecretUnreadable."""
        form, _, rest = stored.partition(":")
        if form == _OPEN:
            return rest
        name, _, text = rest.partition(":")
        cipher = self._ciphers.get(name)
        if form != _SEALED or cipher is None:
            raise SecretUnreadable("the secret was sealed under another security.secret_key")
        try:
            sealed = base64.b64decode(text, validate=True)
            opened = cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], owner.encode())
        except (binascii.Error, InvalidTag, ValueError):
            raise SecretUnreadable("the stored secret is damaged") from None
        return opened.decode()

    def is_current(self, stored: str) -> bool:
        """Whether a stored text is as `seal` would store it now: under the key that seals."""
        form, _, rest = stored.partition(":")
        return rest.partition(":")[0] == self._name if form == _SEALED else not self._name


def is_sealed(stored: str) -> bool:
    """Whether a stored text can be read with the secret key alone."""
    return stored.startswith(f"{_SEALED}:")
