"""Networks that a credential is accepted from."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from llm_cost_ops.core.errors import DomainError

MAX_NETWORKS = 64
_MAPPED = 96
"""Bits before an IPv4 address that is written as an IPv6 one."""
Network = IPv4Network | IPv6Network


class NetworkTextError(DomainError):
    """Text that names no network."""


def normalise_networks(texts: Iterable[str]) -> tuple[str, ...]:
    """Addresses and networks (CIDR) in their one spelling, sorted. Raises NetworkTextError."""
    found = {str(_network(text)) for text in texts}
    if len(found) > MAX_NETWORKS:
        raise NetworkTextError(
            f"must name at most {MAX_NETWORKS} networks", field="allowed_networks"
        )
    return tuple(sorted(found))


def _network(text: str) -> Network:
    try:
        network = ip_network(text.strip())
    except ValueError:
        raise NetworkTextError(
            f"{text[:64]!r} is no address or network such as 203.0.113.0/24",
            field="allowed_networks",
        ) from None
    mapped = network.network_address
    if isinstance(mapped, IPv6Address) and mapped.ipv4_mapped and network.prefixlen >= _MAPPED:
        return IPv4Network((mapped.ipv4_mapped, network.prefixlen - _MAPPED))
    return network


@lru_cache(maxsize=1_024)
def parsed(networks: tuple[str, ...]) -> tuple[Network, ...]:
    """Stored networks, to compare addresses with."""
    return tuple(ip_network(network) for network in networks)


def accepts(networks: tuple[str, ...], address: str) -> bool:
    """Whether a caller at this address, in any spelling of it, comes from one of the networks."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in parsed(networks))


def within(inner: tuple[str, ...], outer: tuple[str, ...]) -> bool:
    """Whether who is held to `inner` comes from nowhere but `outer`. No networks are all."""
    if not outer:
        return True
    return bool(inner) and all(
        any(_inside(network, wider) for wider in parsed(outer)) for network in parsed(inner)
    )


def _inside(network: Network, wider: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(wider, IPv4Network) and network.subnet_of(wider)
    return isinstance(wider, IPv6Network) and network.subnet_of(wider)
