"""Who a request comes from, when it comes through proxies.

What a peer says about others is believed only of peers in `server.trusted_proxies`. Each proxy
appends to `X-Forwarded-For` whom it got the request from, so the list is read from the right: the
first address that is not a trusted proxy is the client; what stands left of it is anybody's word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address
FOR = b"x-forwarded-for"
PROTO = b"x-forwarded-proto"
HOST = b"x-forwarded-host"
REAL = b"x-real-ip"
FORWARDED = b"forwarded"
HEADERS = frozenset({FOR, PROTO, HOST, REAL, FORWARDED})
MAX_HOPS = 32


@dataclass(frozen=True, slots=True)
class Origin:
    """What trusted proxies say; None where they say nothing."""

    address: str | None = None
    scheme: str | None = None
    host: str | None = None


NOTHING = Origin()


class Proxies:
    """The proxies of the settings: addresses and networks (CIDR)."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._networks = [ip_network(text, strict=False) for text in trusted]
        self._peers: dict[str, bool] = {}

    def trusts(self, peer: str) -> bool:
        """Whether this peer is one of them; remembered, because peers are few where it matters."""
        known = self._peers.get(peer)
        if known is None:
            address = parse_address(peer)
            known = address is not None and self._holds(address)
            if len(self._peers) >= 10_000:
                self._peers.clear()
            self._peers[peer] = known
        return known

    def _holds(self, address: Address) -> bool:
        return any(
            address.version == network.version and address in network for network in self._networks
        )

    def origin(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> Origin:
        """What the headers say of the client, if the peer may be believed."""
        if not self.trusts(peer):
            return NOTHING
        said: dict[bytes, list[str]] = {}
        for name, value in headers:
            if name in HEADERS:
                said.setdefault(name, []).extend(_listed(value))
        hops, scheme, host = said.get(FOR), _last(said.get(PROTO)), _last(said.get(HOST))
        if hops is None and FORWARDED in said:
            elements = [_pairs(element) for element in said[FORWARDED]]
            hops = [element.get("for", "") for element in elements]
            if elements:
                scheme = scheme or elements[-1].get("proto")
                host = host or elements[-1].get("host")
        if hops is None:
            hops = said.get(REAL, [])[-1:]
        return Origin(self._client(hops), _scheme(scheme), host or None)

    def _client(self, hops: Sequence[str]) -> str | None:
        """The rightmost address that is not a proxy's, else the leftmost that can be read."""
        found: str | None = None
        for text in reversed(hops[-MAX_HOPS:]):
            address = parse_address(text)
            if address is None:
                return found
            found = str(address)
            if not self._holds(address):
                return found
        return found


def parse_address(text: str) -> Address | None:
    """`192.0.2.1`, `192.0.2.1:4711`, `[2001:db8::1]:4711`; an IPv4 address in IPv6 is itself."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _listed(value: bytes) -> list[str]:
    return [part.strip() for part in value.decode("latin-1").split(",")]


def _last(values: list[str] | None) -> str | None:
    return values[-1] if values else None


def _scheme(text: str | None) -> str | None:
    lower = (text or "").lower()
    return lower if lower in ("http", "https") else None


def _pairs(element: str) -> dict[str, str]:
    """One element of `Forwarded` (RFC 7239): `for=192.0.2.1;proto=https;host=example.com`."""
    found: dict[str, str] = {}
    for pair in element.split(";"):
        name, _, value = pair.partition("=")
        found[name.strip().lower()] = value.strip().strip('"')
    return found
