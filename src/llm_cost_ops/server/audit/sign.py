"""Signatures of the installation under what it says about its audit log: Ed25519.

The key is derived from `security.secret_key` by HKDF, so that there is nothing more to keep.
Whoever has a checkpoint can check it with the public key alone, which `key_id` names. Without a
secret key, which production refuses, statements are not signed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from llm_cost_ops.server.settings import Settings

_PURPOSE = b"llm-cost-ops audit signature 1"
UNSIGNED = "none"


class Signer:
    """Signs with the newest of the secret keys and knows the signatures of all of them."""

    def __init__(self, secret_keys: Iterable[str]) -> None:
        self._key: Ed25519PrivateKey | None = None
        self._public: dict[str, Ed25519PublicKey] = {}
        self.key_id = UNSIGNED
        for secret in secret_keys:
            derived = HKDF(SHA256(), 32, salt=None, info=_PURPOSE).derive(secret.encode())
            key = Ed25519PrivateKey.from_private_bytes(derived)
            name = key_id_of(_raw(key.public_key()))
            self._public[name] = key.public_key()
            if self._key is None:
                self._key, self.key_id = key, name

    @classmethod
    def of(cls, settings: Settings) -> Signer:
        """The one of an installation."""
        own = settings.security.secret_key
        return cls([] if own is None else [own])

    @property
    def public_keys(self) -> dict[str, str]:
        """The keys by their ids, base64."""
        return {name: _text(_raw(key)) for name, key in self._public.items()}

    def sign(self, statement: bytes) -> str:
        """Base64; empty without a secret key."""
        return "" if self._key is None else _text(self._key.sign(statement))

    def trusts(self, key_id: str, statement: bytes, signature: str) -> bool | None:
        """Whether the installation said this; None when it was another key, or none is known."""
        key = self._public.get(key_id)
        if key is None:
            return True if key_id == UNSIGNED and not self._public else None
        return _holds(key, statement, signature)


def key_id_of(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()[:16]


def holds(public_key: str, key_id: str, statement: bytes, signature: str) -> bool:
    """Whether the owner of a public key (base64) with this id signed the statement."""
    try:
        raw = base64.b64decode(public_key, validate=True)
        key = Ed25519PublicKey.from_public_bytes(raw)
    except (binascii.Error, ValueError):
        return False
    return key_id_of(raw) == key_id and _holds(key, statement, signature)


def _holds(key: Ed25519PublicKey, statement: bytes, signature: str) -> bool:
    try:
        key.verify(base64.b64decode(signature, validate=True), statement)
    except (binascii.Error, InvalidSignature, ValueError):
        return False
    return True


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
