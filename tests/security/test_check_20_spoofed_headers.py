"""Check 20: what a peer says about itself is believed only of trusted proxies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from llm_cost_ops.server.http.edge import Edge
from llm_cost_ops.server.http.proxies import Origin, Proxies, parse_address
from llm_cost_ops.server.settings import (
    DatabaseSettings,
    ServerSettings,
    Settings,
    SettingsError,
    load_settings,
)
from tests.support.application import Application, running

pytestmark = pytest.mark.check(20)

PROXIES = Proxies(["10.0.0.0/8", "127.0.0.1", "2001:db8:aa::/48"])
CLIENT = "203.0.113.9"


def origin(peer: str, **headers: str) -> Origin:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return PROXIES.origin(peer, pairs)


@pytest.mark.parametrize(
    "headers",
    [
        {"x_forwarded_for": CLIENT},
        {"x_real_ip": CLIENT},
        {"forwarded": f"for={CLIENT};proto=https;host=evil.example"},
        {"x_forwarded_proto": "https"},
        {"x_forwarded_host": "evil.example"},
    ],
)
@pytest.mark.parametrize("peer", ["198.51.100.1", "11.0.0.1", "", "nonsense", "2001:db8:ab::1"])
def test_strangers_are_not_believed(headers: dict[str, str], peer: str) -> None:
    assert origin(peer, **headers) == Origin()


@pytest.mark.parametrize(
    ("said", "address"),
    [
        (CLIENT, CLIENT),
        (f"{CLIENT}, 10.0.0.2", CLIENT),
        (f"1.2.3.4, {CLIENT}", CLIENT),
        (f"127.0.0.1, {CLIENT}, 10.0.0.7, 10.1.1.1", CLIENT),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        (f"{CLIENT}:4711", CLIENT),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        (f"::ffff:{CLIENT}", CLIENT),
        (f"1.2.3.4, nonsense, {CLIENT}", CLIENT),
        ("1.2.3.4, nonsense", None),
        ("nonsense, 10.0.0.5", "10.0.0.5"),
        ("unknown", None),
        ("", None),
    ],
)
def test_the_rightmost_stranger_is_the_client(said: str, address: str | None) -> None:
    assert origin("10.0.0.1", x_forwarded_for=said).address == address


def test_several_lines_are_one_list() -> None:
    lines = [(b"x-forwarded-for", b"1.2.3.4"), (b"x-forwarded-for", CLIENT.encode())]
    assert PROXIES.origin("10.0.0.1", lines).address == CLIENT


def test_other_ways_to_say_it() -> None:
    assert origin("10.0.0.1", x_real_ip=CLIENT).address == CLIENT
    told = origin("127.0.0.1", forwarded='for="[2001:db8::7]:99";proto=HTTPS;host=a.example')
    assert told == Origin("2001:db8::7", "https", "a.example")
    both = origin("10.0.0.1", x_forwarded_for=CLIENT, x_real_ip="1.2.3.4", forwarded="for=1.2.3.4")
    assert both.address == CLIENT
    assert origin("10.0.0.1", x_forwarded_proto="gopher").scheme is None
    assert origin("10.0.0.1", x_forwarded_proto="http, https").scheme == "https"


@pytest.mark.parametrize("text", ["", "::1::", "1.2.3", "1.2.3.4.5", "a" * 5000, "[", "[]", "%"])
def test_what_is_no_address(text: str) -> None:
    assert parse_address(text) is None


Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def seen() -> Ask:
    """What an app behind the edge is told of a request from a peer."""

    def ask(peer: str, headers: dict[str, str], **server: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}

        async def app(scope: Any, receive: Any, send: Any) -> None:
            found.update(
                client_ip=scope["state"]["client_ip"],
                scheme=scope["scheme"],
                host=dict(scope["headers"])[b"host"].decode(),
            )
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        found.update(_through(app, peer, headers, server))
        return found

    return ask


def _through(app: Any, peer: str, headers: dict[str, str], server: Any) -> dict[str, Any]:
    import asyncio

    from fastapi import FastAPI

    from llm_cost_ops.server.clock import SystemClock
    from llm_cost_ops.server.http.metrics import Metrics

    clock = SystemClock()
    edge = Edge(
        app,
        api=FastAPI(),
        settings=Settings(server=ServerSettings(**server)),
        clock=clock,
        metrics=Metrics(version="1", monotonic=clock.monotonic),
    )

    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(edge, client=(peer, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://api.example") as client:
            return await client.get("/", headers=headers)

    answer = asyncio.run(go())
    return {"status": answer.status_code, "hsts": "strict-transport-security" in answer.headers}


SPOOFED = {
    "X-Forwarded-For": CLIENT,
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "other.example",
}


def test_the_edge_ignores_strangers(seen: Ask) -> None:
    told = seen("198.51.100.1", SPOOFED, trusted_proxies=("10.0.0.0/8",))
    assert told["client_ip"] == "198.51.100.1"
    assert (told["scheme"], told["host"], told["hsts"]) == ("http", "api.example", False)


def test_the_edge_hears_trusted_proxies(seen: Ask) -> None:
    told = seen("10.2.3.4", SPOOFED, trusted_proxies=("10.0.0.0/8",))
    assert told["client_ip"] == CLIENT
    assert (told["scheme"], told["host"], told["hsts"]) == ("https", "other.example", True)


def test_hosts_that_are_not_ours_are_refused_also_when_a_proxy_names_them(seen: Ask) -> None:
    hosts = {"allowed_hosts": ("api.example",), "trusted_proxies": ("10.0.0.0/8",)}
    assert seen("10.2.3.4", {}, **hosts)["status"] == 200
    assert seen("10.2.3.4", SPOOFED, **hosts)["status"] == 400
    assert seen("198.51.100.1", SPOOFED, **hosts)["status"] == 200
    assert seen("198.51.100.1", {"Host": "evil.example"}, **hosts)["status"] == 400
    assert seen("198.51.100.1", {"Host": "api.example.evil.example"}, **hosts)["status"] == 400


@pytest.mark.parametrize(
    "header", ["X-User-ID", "X-User", "X-Remote-User", "X-Forwarded-User", "X-Organization"]
)
def test_nobody_becomes_another_by_a_header(sqlite_application: Application, header: str) -> None:
    own = sqlite_application.get("/api/v1/organizations/current").json()["id"]
    other = sqlite_application.another().organization_id
    answer = sqlite_application.get("/api/v1/organizations/current", headers={header: other})
    assert answer.json()["id"] == own
    assert (
        sqlite_application.get("/api/v1/costs", key=None, headers={header: own}).status_code == 401
    )


def test_a_key_of_the_environment_does_not_open_the_list(tmp_path: Any) -> None:
    with pytest.raises(SettingsError, match=r"10\.0\.0\.0/8"):
        load_settings(
            environ={"COST_OPS_SERVER_TRUSTED_PROXIES": "*"}, directory=tmp_path, home=tmp_path
        )


def test_the_log_names_the_peer(sqlite_settings: DatabaseSettings, capsys: Any) -> None:
    settings = replace(
        Settings(database=sqlite_settings), server=ServerSettings(trusted_proxies=())
    )
    with running(settings) as app:
        answer = app.get("/api/v1/costs", headers={"X-Forwarded-For": "203.0.113.200"})
        assert answer.status_code == 200
    assert "203.0.113.200" not in capsys.readouterr().err
