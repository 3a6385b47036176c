"""What providers say of themselves: the discovery document and the keys, fetched through the guard
and kept for a while.

OpenID Connect Discovery 1.0; the document must name the issuer that it was asked for.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from llm_cost_ops.core.jsontext import JsonError, loads
from llm_cost_ops.server.delivery.send import Call, Outbound
from llm_cost_ops.server.signin.sso.failures import IdpUnavailable

MAX_KEPT = 200
MAX_KEYS = 100
REFRESH_APART_S = 10.0
"""Keys that are not known are looked for no oftener: who makes up key ids must not make us call."""
Jwk = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Metadata:
    """The endpoints of a provider."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    basic: bool
    """Whether the client proves itself by HTTP Basic, and not in the form."""
    names_issuer: bool
    """Whether its answers name the issuer (RFC 9207)."""


@dataclass(slots=True)
class _Kept:
    metadata: Metadata
    metadata_at_s: float
    keys: Sequence[Jwk] | None = None
    keys_at_s: float = 0.0


class Directory:
    """Remembers providers by their issuer; threads share one."""

    def __init__(
        self,
        outbound: Outbound,
        *,
        timeout_s: float,
        keep_s: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._outbound = outbound
        self._timeout_s = timeout_s
        self._keep_s = keep_s
        self._monotonic = monotonic
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def metadata(self, issuer: str) -> Metadata:
        """Raises IdpUnavailable."""
        return self._known(issuer).metadata

    def keys(self, issuer: str, kid: str | None) -> list[Jwk]:
        """The provider's keys with this id, all of them without one. Raises IdpUnavailable."""
        kept, now_s = self._known(issuer), self._monotonic()
        if kept.keys is None or now_s - kept.keys_at_s > self._keep_s:
            self._fetch_keys(kept)
        found = _with_id(kept.keys or (), kid)
        if not found and now_s - kept.keys_at_s >= REFRESH_APART_S:
            self._fetch_keys(kept)
            found = _with_id(kept.keys or (), kid)
        return found

    def _known(self, issuer: str) -> _Kept:
        now_s = self._monotonic()
        with self._lock:
            kept = self._kept.get(issuer)
            if kept is not None and now_s - kept.metadata_at_s <= self._keep_s:
                self._kept.move_to_end(issuer)
                return kept
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        fresh = _Kept(_metadata(issuer, self._fetch(url)), now_s)
        with self._lock:
            self._kept[issuer] = fresh
            self._kept.move_to_end(issuer)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return fresh

    def _fetch_keys(self, kept: _Kept) -> None:
        document = self._fetch(kept.metadata.jwks_uri)
        keys: Any = document.get("keys")
        if not isinstance(keys, list):
            raise IdpUnavailable("the keys are no JWKS")
        listed = cast("list[Any]", keys)[:MAX_KEYS]
        kept.keys = [cast("Jwk", each) for each in listed if isinstance(each, dict)]
        kept.keys_at_s = self._monotonic()

    def _fetch(self, url: str) -> dict[str, Any]:
        call = self._outbound.get(url, {"Accept": "application/json"}, timeout_s=self._timeout_s)
        if call.outcome.status != 200:
            raise IdpUnavailable(f"{urlsplit(url).path}: {call.outcome.detail}")
        return object_of(call)


def object_of(call: Call) -> dict[str, Any]:
    """The JSON object of an answer. One that was cut off is none. Raises IdpUnavailable."""
    try:
        found = loads(call.body.decode())
    except (UnicodeDecodeError, JsonError):
        raise IdpUnavailable("the answer is no JSON, or too large") from None
    if not isinstance(found, dict):
        raise IdpUnavailable("the answer is no object")
    return cast("dict[str, Any]", found)


def _metadata(issuer: str, document: Mapping[str, Any]) -> Metadata:
    if document.get("issuer") != issuer:
        raise IdpUnavailable("the discovery document is of another issuer")
    methods: Any = document.get("token_endpoint_auth_methods_supported")
    secure = urlsplit(issuer).scheme == "https"
    return Metadata(
        issuer=issuer,
        authorization_endpoint=_address(document, "authorization_endpoint", secure),
        token_endpoint=_address(document, "token_endpoint", secure),
        jwks_uri=_address(document, "jwks_uri", secure),
        userinfo_endpoint=_address(document, "userinfo_endpoint", secure)
        if document.get("userinfo_endpoint")
        else None,
        basic=not isinstance(methods, list) or "client_secret_basic" in methods,
        names_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _address(document: Mapping[str, Any], name: str, secure: bool) -> str:
    value = document.get(name)
    if not isinstance(value, str) or len(value) > 2_048:
        raise IdpUnavailable(f"the discovery document has no {name}")
    parts = urlsplit(value)
    schemes = ("https",) if secure else ("https", "http")
    if parts.scheme not in schemes or not parts.netloc or parts.fragment:
        raise IdpUnavailable(f"{name} is no address to go to")
    return value


def _with_id(keys: Sequence[Jwk], kid: str | None) -> list[Jwk]:
    return [key for key in keys if kid is None or key.get("kid") == kid]
