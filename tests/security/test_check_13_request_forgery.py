"""Check 13: nothing that a user names makes the server call the inside of a network."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.server.delivery.ssrf import ALLOWED, LITERALS
from tests.support.application import Application

pytestmark = pytest.mark.check(13)

DOORS: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "webhook": ("/api/v1/webhooks", lambda url: {"url": url, "events": ["cost.created"]}),
    "slack": (
        "/api/v1/alerts/channels",
        lambda url: {"name": "a", "type": "slack", "config": {"webhook_url": url}},
    ),
    "teams": (
        "/api/v1/alerts/channels",
        lambda url: {"name": "b", "type": "teams", "config": {"webhook_url": url}},
    ),
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
def test_no_door_takes_an_address_within(
    sqlite_application: Application, door: tuple[str, Callable[[str], dict[str, Any]]]
) -> None:
    path, body = door
    before = sqlite_application.get(path).json()["data"]
    for url in LITERALS:
        answer = sqlite_application.post(path, json=body(url))
        assert answer.status_code == 422, (url, answer.text)
    assert sqlite_application.get(path).json()["data"] == before, "nothing of it was stored"


def test_the_webhooks_door_takes_what_is_outside(sqlite_application: Application) -> None:
    path, body = DOORS["webhook"]
    for url in ALLOWED:
        if url.startswith("https://"):
            answer = sqlite_application.post(path, json=body(url))
            assert answer.status_code == 201, (url, answer.text)


def test_a_channel_that_names_the_inside_is_never_called(sqlite_application: Application) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        for number, host in enumerate(("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1")):
            config = {"url": f"http://{host}:{port}/"}
            made = sqlite_application.post(
                "/api/v1/alerts/channels",
                json={"name": f"c{number}", "type": "webhook", "config": config},
            )
            if made.status_code == 422:
                continue
            path = f"/api/v1/alerts/channels/{made.json()['id']}/test"
            told = sqlite_application.post(path)
            assert told.json()["delivered"] is False, told.text
        with pytest.raises(BlockingIOError):
            listener.accept()
