"""Read an id_token with distrust (OpenID Connect Core 1.0, 3.1.3.7).

The algorithm is one of an allow list of public-key ones, and the key is one of the provider's that
is made for it: `none`, and HS256 with a public key for its secret, are nothing that is tried. What
the header says of keys elsewhere (jku, x5u, jwk) is not looked at; extensions (crit) are refused.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry

from llm_cost_ops.core.jsontext import JsonError, loads
from llm_cost_ops.server.access.tokens.claims import OneAlgorithm
from llm_cost_ops.server.signin.sso.failures import SsoFailed

KEY_TYPES: Mapping[str, str] = {
    "RS256": "RSA", "RS384": "RSA", "RS512": "RSA",
    "PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
    "ES256": "EC", "ES384": "EC", "ES512": "EC",
    "EdDSA": "OKP",
}  # fmt: skip
"""The algorithms that are accepted, each with the kind of its keys."""
MAX_TOKEN = 32_768
MAX_SUBJECT = 255
MIN_RSA_BITS = 2_048
_PART = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_SUBJECT = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say. Times in seconds since 1970 UTC."""

    issuer: str
    client_id: str
    nonce: str
    now_s: float
    leeway_s: int


Find = Callable[[str | None], Sequence[Mapping[str, Any]]]
"""The provider's keys with this id."""


def read(token: str, find: Find, expected: Expected) -> dict[str, Any]:
    """The claims of a token that is the provider's, for us, for this sign-in, and in force. Raises
    SsoFailed."""
    parts = token.split(".")
    if len(token) > MAX_TOKEN or len(parts) != 3 or not all(map(_PART.fullmatch, parts)):
        raise SsoFailed("id_token: not a signed token")
    header = _object(parts[0])
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in KEY_TYPES:
        raise SsoFailed("id_token: algorithm")
    if "crit" in header or not (kid is None or isinstance(kid, str)):
        raise SsoFailed("id_token: header")
    keys = [key for key in find(kid) if _fits(key, algorithm)]
    if not any(_signed(token, key, algorithm) for key in keys):
        raise SsoFailed("id_token: signature")
    claims = _object(parts[1])
    _check(claims, expected)
    return claims


def _object(part: str) -> dict[str, Any]:
    try:
        data = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        value = loads(data.decode())
    except (binascii.Error, UnicodeDecodeError, JsonError):
        raise SsoFailed("id_token: not JSON") from None
    if not isinstance(value, dict):
        raise SsoFailed("id_token: not an object")
    return cast("dict[str, Any]", value)


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    return (
        key.get("kty") == KEY_TYPES[algorithm]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
    )


def _signed(token: str, key: Mapping[str, Any], algorithm: str) -> bool:
    try:
        public = JWKRegistry.import_key(dict(key))
        if algorithm[:2] in ("RS", "PS") and _bits(key) < MIN_RSA_BITS:
            return False
        jws.deserialize_compact(token, public, registry=OneAlgorithm(algorithm))
    except (JoseError, ValueError, TypeError, KeyError):
        return False
    return True


def _bits(key: Mapping[str, Any]) -> int:
    modulus = str(key.get("n", ""))
    return len(base64.urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4)).lstrip(b"\0")) * 8


def _check(claims: Mapping[str, Any], expected: Expected) -> None:
    """Raises SsoFailed."""
    if claims.get("iss") != expected.issuer:
        raise SsoFailed("id_token: iss")
    audience: Any = claims.get("aud")
    listed = cast("list[Any]", audience) if isinstance(audience, list) else [audience]
    if expected.client_id not in listed:
        raise SsoFailed("id_token: aud")
    if (len(listed) > 1 or "azp" in claims) and claims.get("azp") != expected.client_id:
        raise SsoFailed("id_token: azp")
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(
        nonce.encode(errors="replace"), expected.nonce.encode()
    ):
        raise SsoFailed("id_token: nonce")
    until, issued = _number(claims, "exp"), _number(claims, "iat")
    if until + expected.leeway_s <= expected.now_s:
        raise SsoFailed("id_token: exp")
    begins = _number(claims, "nbf") if "nbf" in claims else issued
    if max(issued, begins) > expected.now_s + expected.leeway_s:
        raise SsoFailed("id_token: iat")
    subject_of(claims)


def subject_of(claims: Mapping[str, Any]) -> str:
    """Raises SsoFailed."""
    subject = claims.get("sub")
    if (
        not isinstance(subject, str)
        or len(subject) > MAX_SUBJECT
        or not _SUBJECT.fullmatch(subject)
    ):
        raise SsoFailed("id_token: sub")
    return subject


def _number(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if type(value) is not int and not isinstance(value, Decimal):  # True is an int to isinstance
        raise SsoFailed(f"id_token: {name}")
    return float(value)
