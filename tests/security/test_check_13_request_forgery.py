"""Check 13: nothing that a user names makes the server call the inside of a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llm_cost_ops.server.alerts.desk import alert_desk
from llm_cost_ops.server.settings import DatabaseSettings, DeliverySettings, Settings
from tests.server.delivery.ssrf import ALLOWED, LITERALS
from tests.support.application import Application, running
from tests.support.sink import sink

pytestmark = pytest.mark.check(13)

CHANNELS = "/api/v1/alerts/channels"


def _channel(kind: str, **more: str) -> Callable[[str], dict[str, Any]]:
    return lambda url: {"name": url, "type": kind, "config": {"url": url, **more}}


DOORS: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "webhook": ("/api/v1/webhooks", lambda url: {"url": url, "events": ["cost.created"]}),
    "slack": (CHANNELS, _channel("slack")),
    "teams": (CHANNELS, _channel("teams")),
    "pagerduty": (CHANNELS, _channel("pagerduty", routing_key="0123456789abcdef" * 2)),
    "webhook channel": (CHANNELS, _channel("webhook")),
}
Door = tuple[str, Callable[[str], dict[str, Any]]]
each_door = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())


@each_door
def test_no_door_takes_an_address_within(sqlite_application: Application, door: Door) -> None:
    path, body = door
    before = sqlite_application.get(path).json()["data"]
    for url in LITERALS:
        answer = sqlite_application.post(path, json=body(url))
        assert answer.status_code == 422, (url, answer.text)
        assert list(answer.json()["error"]["field_errors"]) == ["url"], (url, answer.text)
    assert sqlite_application.get(path).json()["data"] == before, "nothing of it was stored"


@each_door
def test_each_door_takes_what_is_outside(sqlite_application: Application, door: Door) -> None:
    path, body = door
    for url in ALLOWED:
        if url.startswith("https://") and (url.isascii() or path != CHANNELS):
            answer = sqlite_application.post(path, json=body(url))
            assert answer.status_code == 201, (url, answer.text)


def test_a_network_that_is_allowed_is_called_until_it_is_not(
    sqlite_settings: DatabaseSettings,
) -> None:
    inside = Settings(
        database=sqlite_settings, delivery=DeliverySettings(allow_networks=("127.0.0.0/8",))
    )
    with running(inside) as app, sink() as listener:
        body = {"name": "in", "type": "webhook", "config": {"url": listener.url}}
        assert app.post(CHANNELS, json=body).status_code == 201
        other = {"name": "other", "type": "webhook", "config": {"url": "http://10.0.0.1/"}}
        assert app.post(CHANNELS, json=other).status_code == 422, "another network"
        assert app.post(f"{CHANNELS}/in/test").json()["delivered"] is True
        assert len(listener.got) == 1

        app.app.state.alerts = alert_desk(Settings(), app.clock)
        assert app.post(f"{CHANNELS}/in/test").json()["delivered"] is False
        assert len(listener.got) == 1, "a stored one is judged before each call"
        moved = app.request("PATCH", f"{CHANNELS}/in", json={"url": f"{listener.url}/x"})
        assert (moved.status_code, app.get(CHANNELS).json()["data"][0]["enabled"]) == (422, True)
        off = app.request("PATCH", f"{CHANNELS}/in", json={"enabled": False})
        assert (off.status_code, off.json()["enabled"]) == (200, False)
