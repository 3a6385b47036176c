"""What an erasure did, signed: proof without the name of the person."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.settings import Settings

_PURPOSE = b"llm-cost-ops privacy certificates"
_SIGNED = ("digest", "signature")


def certificate(settings: Settings, facts: Mapping[str, Any], subject: str) -> dict[str, Any]:
    """The facts with a proof of whom they are about, which only those who know the name can check;
    their digest; and, where the installation has a secret key, an Ed25519 signature of that."""
    salt = secrets.token_hex(16)
    proof = {"salt": salt, "sha256": hashlib.sha256(f"{salt}{subject}".encode()).hexdigest()}
    body: dict[str, Any] = {**facts, "subject": proof}
    key = settings.security.secret_key
    if key is not None:
        seed = HKDF(SHA256(), 32, salt=None, info=_PURPOSE).derive(key.encode())
        private = Ed25519PrivateKey.from_private_bytes(seed)
        body["public_key"] = _text(private.public_key().public_bytes_raw())
        digest = digest_of(body)
        return {**body, "digest": digest, "signature": _text(private.sign(digest.encode()))}
    return {**body, "digest": digest_of(body)}


def digest_of(document: Mapping[str, Any]) -> str:
    """SHA-256 of the document without digest and signature, as compact JSON with sorted keys."""
    kept = {name: document[name] for name in sorted(document) if name not in _SIGNED}
    return hashlib.sha256(dumps(_sorted(kept)).encode()).hexdigest()


def is_genuine(document: Mapping[str, Any]) -> bool:
    """Whether digest and signature are the document's; whose key that is the reader has to know."""
    if document.get("digest") != digest_of(document):
        return False
    if "signature" not in document:
        return True
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(document["public_key"]))
        public.verify(base64.b64decode(document["signature"]), document["digest"].encode())
    except (InvalidSignature, ValueError, KeyError):
        return False
    return True


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value)
        return {name: _sorted(pairs[name]) for name in sorted(pairs)}
    if isinstance(value, list):
        return [_sorted(item) for item in cast("list[Any]", value)]
    return value


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
