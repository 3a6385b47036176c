"""Which addresses we call on somebody's behalf: the guard against server-side request forgery.

A URL is judged twice. Its text when it is stored and before each call; the addresses of its name
before each call, all of them, and the call then goes to one of those: `send` never asks the name
server again, so an answer that changes in between has no effect.

Refused are all addresses that IANA's special-purpose registries (RFC 6890 and its successors) do
not mark as globally reachable, the ones that carry another address inside (mapped, NAT64, 6to4,
Teredo) when that one is refused, and what clouds answer on although it looks public. `ipaddress`
alone would let several of them pass (NAT64, 6to4, multicast).
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import idna

from llm_cost_ops.server.settings import DeliverySettings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int, float], Sequence[str]]
"""Addresses of a name, for a port, within some seconds. Raises OSError when there are none."""

MAX_URL = 2048
MAX_HOST = 253
EXAMINE_S = 2.0
SCHEMES = {"http": 80, "https": 443}
_CONTROL = re.compile(r"[\x00-\x20\x7f\\]")
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_LOOKS_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
_LOCAL_NAMES = ("localhost", "local", "localdomain", "internal", "home.arpa")
_V4_REFUSED = tuple(
    ipaddress.IPv4Network(text)
    for text in """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16 172.16.0.0/12
    192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16
    192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
    """.split()
)
_V6_PUBLIC = ipaddress.IPv6Network("2000::/3")
_V6_REFUSED = tuple(
    ipaddress.IPv6Network(text)
    for text in "2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20".split()
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_BAD_PORTS = frozenset(
    # Ports at which something else than HTTP listens, which takes a request for commands: those
    # of the Fetch standard's list, and of databases, caches and brokers.
    int(text)
    for text in """
    1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113
    115 117 119 123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548 554
    556 563 587 601 636 989 990 993 995 1433 1521 1719 1720 1723 2049 2375 2376 2379 2380 3306 3389
    3659 4045 4190 5060 5061 5432 5433 5671 5672 5900 5984 6000 6379 6380 6443 6566 6665 6666 6667
    6668 6669 6679 6697 8086 8500 9042 9092 9200 9300 10080 10250 10255 11211 15672 27017 27018
    """.split()
)


class TargetRefused(ValueError):
    """A URL, or an address of its name, that is not called. The text says why and may be shown:
    it names no address that the asker did not name."""


class Unresolved(Exception):
    """The name has no address now."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL of which the text was judged. `host` is a canonical name or address without brackets,
    `literal` the address if it is one, `request` the path with the query."""

    scheme: str
    host: str
    port: int
    request: str
    literal: Address | None

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == SCHEMES[self.scheme] else f"{host}:{self.port}"


def system_resolver(host: str, port: int, timeout_s: float) -> Sequence[str]:
    """The machine's resolver, given up after `timeout_s`; the thread ends when it does."""
    found: list[str] = []
    failed: list[OSError] = []

    def look() -> None:
        try:
            for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                found.append(str(entry[4][0]))
        except OSError as error:
            failed.append(error)
        except UnicodeError:
            failed.append(OSError("not a name"))

    thread = threading.Thread(target=look, name="resolve", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        raise TimeoutError("the name server does not answer")
    if failed:
        raise failed[0]
    return found


class Guard:
    """Judges by the settings. `resolver` is injected, that tests may script it."""

    def __init__(self, settings: DeliverySettings, resolver: Resolver = system_resolver) -> None:
        self._networks = tuple(ipaddress.ip_network(text) for text in settings.allow_networks)
        self._ports = frozenset(int(port) for port in settings.ports)
        self._require_https = settings.require_https
        self._resolver = resolver

    def judge(self, url: str) -> Target:
        """The target that a URL's text names. Raises TargetRefused."""
        target = _parsed(url)
        if target.port in _BAD_PORTS:
            raise TargetRefused(f"port {target.port} is not called")
        if target.literal is not None:
            self._admit(target, target.literal)
        elif not self._networks:
            if _is_local(target.host):
                raise TargetRefused("the name is one of a private network")
            self._public(target)
        return target

    def examine(self, url: str, timeout_s: float = EXAMINE_S) -> None:
        """Raises TargetRefused for a URL that would not be called now. A name that does not resolve
        passes: it is judged when it is called."""
        try:
            self.addresses(self.judge(url), timeout_s)
        except Unresolved:
            return

    def addresses(self, target: Target, timeout_s: float) -> list[str]:
        """The addresses to call, without repetition, in the resolver's order. Raises Unresolved,
        and TargetRefused when any of them is not one to call."""
        if target.literal is not None:
            self._admit(target, target.literal)
            return [str(target.literal)]
        try:
            found = self._resolver(target.host, target.port, timeout_s)
        except OSError as error:
            raise Unresolved(str(error.strerror or error)) from None
        if not found:
            raise Unresolved("the name has no address")
        addresses = [_address(text.partition("%")[0]) for text in found]
        for address in addresses:
            self._admit(target, address)
        return list(dict.fromkeys(str(address) for address in addresses))

    def _admit(self, target: Target, address: Address) -> None:
        inner = _inner(address)
        if any(inner in network for network in self._networks):
            return
        if not _is_public(inner):
            raise TargetRefused("the address is not a public one")
        self._public(target)

    def _public(self, target: Target) -> None:
        if target.port not in self._ports:
            raise TargetRefused(f"port {target.port} is not one of those that may be called")
        if self._require_https and target.scheme != "https":
            raise TargetRefused("only https is called")


def _parsed(url: str) -> Target:
    if len(url) > MAX_URL:
        raise TargetRefused(f"a URL has at most {MAX_URL} characters")
    if _CONTROL.search(url):
        raise TargetRefused("a URL has no spaces, backslashes or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise TargetRefused("not a URL") from None
    scheme = parts.scheme.lower()
    if scheme not in SCHEMES:
        raise TargetRefused("a URL begins with https:// or http://")
    if "@" in parts.netloc:
        raise TargetRefused("a URL names no user and no password here")
    if parts.fragment:
        raise TargetRefused("a URL has no fragment here")
    host, literal = _host(parts)
    if port == 0:
        raise TargetRefused("port 0 is not called")
    request = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme, host, port or SCHEMES[scheme], request, literal)


def _host(parts: SplitResult) -> tuple[str, Address | None]:
    """The host in canonical form. Numbers in any form but four plain decimals are refused: some
    resolvers take 127.1, 2130706433 and 0x7f000001 for addresses, others for names."""
    given = parts.hostname or ""
    if "[" in parts.netloc:
        try:
            v6 = ipaddress.IPv6Address(given)
        except ValueError:
            v6 = None
        if v6 is None or v6.scope_id is not None:
            raise TargetRefused("not an IPv6 address")
        return str(v6), v6
    host = unicodedata.normalize("NFKC", given).lower().rstrip(".")
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode("ascii")
        except idna.IDNAError:
            raise TargetRefused("not a host name") from None
    if len(host) > MAX_HOST or not _NAME.fullmatch(host):
        raise TargetRefused("not a host name")
    if _LOOKS_NUMERIC.fullmatch(host.rpartition(".")[2]):
        try:
            v4 = ipaddress.IPv4Address(host)
        except ValueError:
            raise TargetRefused("an IPv4 address is written as four decimal numbers") from None
        return str(v4), v4
    return host, None


def _is_local(host: str) -> bool:
    return any(host == name or host.endswith("." + name) for name in _LOCAL_NAMES)


def _address(text: str) -> Address:
    return ipaddress.ip_address(text)


def _inner(address: Address) -> Address:
    """The address that is dialled in the end: the IPv4 one in a mapped or NAT64 address."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _V4_REFUSED)
    return address in _V6_PUBLIC and not any(address in network for network in _V6_REFUSED)
