"""Access tokens as JWTs (RFC 9068): written, and read with distrust."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from joserfc import jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jws import JWSRegistry

from llm_cost_ops.core.jsontext import JsonError, loads
from llm_cost_ops.server.access.tokens.signing import SigningKey

HEADER_TYPE = "at+jwt"
KIND = "access"
_HEADER = {"alg", "kid", "typ"}
_PART = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_KID = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)


class OneAlgorithm(JWSRegistry):
    """Knows one algorithm. EdDSA is Ed25519 under the name that other libraries know; joserfc warns
    at each use of its own that the name is going out of use (RFC 9864)."""

    def __init__(self, algorithm: str) -> None:
        super().__init__(algorithms=[algorithm])
        self._one = algorithm

    def get_alg(self, name: str) -> Any:
        if name != self._one:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms["Ed25519" if name == "EdDSA" else name]


class TokenRefused(Exception):
    """A token that is not accepted; its text is for logs, never for who sent it."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What an access token says. Times in seconds since 1970 UTC."""

    token_id: str
    family_id: str
    subject: str
    organization_id: str
    scopes: frozenset[str]
    version: int
    issued_at: int
    expires_at: int
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """Who issues tokens, for whom, and by how many seconds clocks may differ."""

    issuer: str
    audience: str
    leeway_seconds: int


def write(claims: Claims, key: SigningKey, terms: Terms) -> str:
    """The signed token."""
    payload: dict[str, Any] = {
        "iss": terms.issuer,
        "aud": terms.audience,
        "typ": KIND,
        "sub": claims.subject,
        "org": claims.organization_id,
        "scope": " ".join(sorted(claims.scopes)),
        "ver": claims.version,
        "fam": claims.family_id,
        "jti": claims.token_id,
        "iat": claims.issued_at,
        "nbf": claims.issued_at,
        "exp": claims.expires_at,
    }
    if claims.client_id is not None:
        payload["client_id"] = claims.client_id
    header = {"alg": key.algorithm, "kid": key.kid, "typ": HEADER_TYPE}
    return jwt.encode(header, payload, key.key, registry=OneAlgorithm(key.algorithm))


def read(
    token: str, find: Callable[[str], SigningKey | None], terms: Terms, now_s: float
) -> Claims:
    """What a token says, when it is one of ours and in force. Raises TokenRefused.

    The header is read first and may hold nothing but alg, kid and typ: what it says of keys
    elsewhere (jku, x5u, jwk) or of extensions (crit) is refused instead of overlooked.
    """
    parts = token.split(".")
    if len(parts) != 3 or not all(_PART.fullmatch(part) for part in parts):
        raise TokenRefused("not three parts of base64url")
    header = _object(parts[0])
    if set(header) != _HEADER or header["typ"] != HEADER_TYPE:
        raise TokenRefused("not the header of an access token")
    kid = header["kid"]
    key = find(kid) if isinstance(kid, str) and _KID.fullmatch(kid) else None
    if key is None or header["alg"] != key.algorithm:
        raise TokenRefused("no such key, or not for this algorithm")
    try:
        jwt.decode(token, key.key, registry=OneAlgorithm(key.algorithm))
    except (JoseError, ValueError):
        raise TokenRefused("the signature does not fit") from None
    return _claims(_object(parts[1]), terms, now_s)


def _object(part: str) -> dict[str, Any]:
    """A part of a token, by the strict JSON reader: a name must not come twice."""
    try:
        data = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        value = loads(data.decode())
    except (binascii.Error, UnicodeDecodeError, JsonError):
        raise TokenRefused("not JSON") from None
    if not isinstance(value, dict):
        raise TokenRefused("not an object")
    return cast("dict[str, Any]", value)


def _claims(payload: dict[str, Any], terms: Terms, now_s: float) -> Claims:
    if (payload.get("iss"), payload.get("aud"), payload.get("typ")) != (
        terms.issuer,
        terms.audience,
        KIND,
    ):
        raise TokenRefused("issued by or for another, or no access token")
    issued_at, begins_at, expires_at, version = (
        _number(payload, name) for name in ("iat", "nbf", "exp", "ver")
    )
    leeway = terms.leeway_seconds
    if max(issued_at, begins_at) > now_s + leeway:
        raise TokenRefused("not valid yet")
    if expires_at + leeway <= now_s:
        raise TokenRefused("expired")
    client_id = payload.get("client_id")
    if client_id is not None and not isinstance(client_id, str):
        raise TokenRefused("client_id is no text")
    return Claims(
        token_id=_text(payload, "jti"),
        family_id=_text(payload, "fam"),
        subject=_text(payload, "sub"),
        organization_id=_text(payload, "org"),
        scopes=frozenset(_text(payload, "scope", empty=True).split()),
        version=version,
        issued_at=issued_at,
        expires_at=expires_at,
        client_id=client_id,
    )


def _number(payload: dict[str, Any], name: str) -> int:
    value = payload.get(name)
    if type(value) is not int:  # True is an int to isinstance
        raise TokenRefused(f"{name} is no number")
    return value


def _text(payload: dict[str, Any], name: str, *, empty: bool = False) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not (value or empty):
        raise TokenRefused(f"{name} is no text")
    return value
