"""Where a key is accepted from: both sides of each boundary, in every spelling of an address."""

from __future__ import annotations

import httpx
import pytest

from llm_cost_ops.server.access.networks import accepts, normalise_networks
from tests.support.application import Application

KEYS = "/api/v1/auth/api-keys"
WHO = "/api/v1/auth/validate"
NETWORKS = ("203.0.113.64/26", "198.51.100.7", "2001:db8:1::/48")


@pytest.mark.parametrize(
    ("address", "accepted"),
    [
        ("203.0.113.63", False),
        ("203.0.113.64", True),
        ("203.0.113.127", True),
        ("203.0.113.128", False),
        ("198.51.100.6", False),
        ("198.51.100.7", True),
        ("198.51.100.8", False),
        ("2001:db8:0:ffff:ffff:ffff:ffff:ffff", False),
        ("2001:db8:1::", True),
        ("2001:db8:1:ffff:ffff:ffff:ffff:ffff", True),
        ("2001:db8:2::", False),
        ("::ffff:203.0.113.63", False),
        ("::ffff:203.0.113.64", True),
        ("::ffff:cb00:717f", True),
        ("::ffff:cb00:7180", False),
        ("::203.0.113.64", False),
        ("64:ff9b::203.0.113.64", False),
        ("", False),
        ("unix", False),
        ("203.0.113.64, 203.0.113.65", False),
        ("203.0.113.064", False),
    ],
)
def test_a_key_is_accepted_from_its_networks_alone(
    sqlite_application: Application, address: str, accepted: bool
) -> None:
    app = sqlite_application
    made = app.post(KEYS, json={"name": "k", "allowed_networks": list(NETWORKS)})
    assert made.status_code == 201
    transport = httpx.ASGITransport(app.app, client=(address, 4711))
    client = httpx.AsyncClient(transport=transport, base_url="http://testserver")
    headers = {"Authorization": f"Bearer {made.json()['key']}"}
    answer = app.portal.call(lambda: client.get(WHO, headers=headers))
    app.portal.call(client.aclose)
    assert answer.status_code == (200 if accepted else 403), answer.text
    if not accepted:
        assert answer.json()["error"]["code"] == "INSUFFICIENT_PERMISSIONS"


def test_networks_of_mapped_addresses_are_those_of_ipv4() -> None:
    asked = ("::ffff:203.0.113.64/122", "::ffff:198.51.100.7", "2001:db8:1::/48")
    assert normalise_networks(asked) == normalise_networks(NETWORKS)
    assert accepts(normalise_networks(asked), "203.0.113.127")
    assert not accepts(normalise_networks(asked), "203.0.113.128")
    assert normalise_networks(["::/0"]) == ("::/0",)
