"""The public SCIM tester against the service."""

from __future__ import annotations

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

from tests.support.directory import actor, person
from tests.support.live import LiveServer, live_server

__all__ = ["live_server"]


def test_every_check_succeeds(live_server: LiveServer) -> None:
    token = live_server.post(
        "/api/v1/scim-tokens", json={"name": "tester", "assigns_roles": True}
    ).json()["token"]
    # Roles are given and taken at random, and an organization keeps its last administrator.
    owner = actor(live_server.organization_id)
    person(live_server.database, "owner", "admin", who=owner)
    client = httpx2.Client(
        base_url=f"{live_server.base_url}/scim/v2",
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    with client:
        results = check_server(SyncSCIMClient(client))
    failed = [
        f"{each.title}: {each.reason}" for each in results if each.status is not Status.SUCCESS
    ]
    assert failed == []
    assert len(results) > 80
