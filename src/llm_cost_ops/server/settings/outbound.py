"""Settings of what the server sends out: whom it may call, and for how long it waits."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from llm_cost_ops.server.settings.spec import setting


def _networks(values: tuple[str, ...]) -> str | None:
    for value in values:
        try:
            ipaddress.ip_network(value)
        except ValueError:
            return "networks in CIDR form, such as 10.20.0.0/16"
    return None


def _ports(values: tuple[str, ...]) -> str | None:
    good = all(v.isascii() and v.isdecimal() and 0 < int(v[:9]) <= 65_535 for v in values)
    return None if good and values else "port numbers from 1 to 65535"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """`[delivery]`: calls to addresses that users name, such as webhooks."""

    allow_networks: tuple[str, ...] = setting(
        (),
        "Private networks (CIDR) that may be called all the same, at any port that no other "
        "protocol owns. None: only public addresses.",
        env=("WEBHOOK_ALLOW_SUBNETS",),
        files=("webhooks.allow_subnets",),
        check=_networks,
    )
    ports: tuple[str, ...] = setting(
        ("80", "443", "8080", "8443"),
        "Ports of public addresses that may be called.",
        check=_ports,
    )
    require_https: bool = setting(
        False,
        "Refuse plain http, but for addresses in `allow_networks`.",
    )
    timeout_seconds: float = setting(
        15.0,
        "How long one call may take, from the look-up of the name to the end of the answer.",
        low=0.1,
        high=120,
    )
    keep_days: int = setting(
        30,
        "How long events and deliveries of webhooks are kept, to look at and to send again.",
        low=1,
        high=3650,
    )
    ca_file: str | None = setting(
        None,
        "Certificate authorities (PEM) to trust beside the public ones.",
    )
