"""The guard of outbound calls: what a URL may name, and what its name may resolve to."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from llm_cost_ops.server.delivery.target import Guard, TargetRefused, Unresolved, system_resolver
from llm_cost_ops.server.settings import DeliverySettings
from tests.server.delivery.ssrf import ALLOWED, HOSTS, LITERALS

PUBLIC = "93.184.215.14"


def scripted(host: str, port: int, timeout_s: float) -> Sequence[str]:
    if host in HOSTS:
        return HOSTS[host]
    if host == "nowhere.test":
        raise OSError("Name or service not known")
    return [PUBLIC, PUBLIC] if host != "empty.test" else []


def guard(**settings: object) -> Guard:
    return Guard(DeliverySettings(**settings), scripted)  # pyright: ignore[reportArgumentType]


@pytest.mark.check(13)
@pytest.mark.parametrize("url", LITERALS)
def test_what_a_url_may_not_name(url: str) -> None:
    with pytest.raises(TargetRefused):
        guard().judge(url)


@pytest.mark.parametrize("url", ["http://a b.com", "http://a\tb.com", "http://a.com\r\nX: y", ""])
def test_control_characters_are_refused(url: str) -> None:
    with pytest.raises(TargetRefused):
        guard().judge(url)


@pytest.mark.check(13)
@pytest.mark.parametrize("url", ALLOWED)
def test_what_it_may(url: str) -> None:
    judged = guard()
    assert judged.addresses(judged.judge(url), 1.0)


@pytest.mark.check(13)
@pytest.mark.parametrize("host", HOSTS)
def test_every_address_of_a_name_is_judged(host: str) -> None:
    judged = guard()
    target = judged.judge(f"https://{host}/hook")
    with pytest.raises(TargetRefused):
        judged.addresses(target, 1.0)


def test_a_name_without_an_address_is_unresolved() -> None:
    judged = guard()
    for host in ("nowhere.test", "empty.test"):
        with pytest.raises(Unresolved):
            judged.addresses(judged.judge(f"https://{host}"), 1.0)


def test_repeated_addresses_are_called_once() -> None:
    judged = guard()
    assert judged.addresses(judged.judge("https://example.com"), 1.0) == [PUBLIC]


def test_lengths() -> None:
    base = "https://example.com/"
    assert guard().judge(base + "a" * (2048 - len(base))).request.endswith("a")
    with pytest.raises(TargetRefused):
        guard().judge(base + "a" * (2049 - len(base)))
    with pytest.raises(TargetRefused):
        guard().judge("https://" + ".".join(["a" * 63] * 4) + ".com")


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("https://Example.com", "example.com"),
        ("https://example.com:443/x", "example.com"),
        ("https://example.com:8443", "example.com:8443"),
        ("http://example.com:443", "example.com:443"),
        ("https://[2606:4700::1111]:8443", "[2606:4700::1111]:8443"),
        ("https://bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_the_host_header(url: str, header: str) -> None:
    assert guard().judge(url).host_header == header


def test_networks_of_the_operator_may_be_called_at_any_port_of_nobody_else() -> None:
    allowing = guard(allow_networks=("127.0.0.0/8", "10.1.0.0/16"), require_https=True)
    for url in ("http://127.0.0.1:39211", "http://127.255.0.1", "http://[::ffff:10.1.2.3]:9000"):
        assert allowing.addresses(allowing.judge(url), 1.0)
    one = allowing.judge("http://one.test:39211/")
    assert allowing.addresses(one, 1.0) == ["127.0.0.1"]
    assert allowing.judge("http://localhost:39211").host == "localhost"
    for url in ("http://10.2.0.1:80", "http://127.0.0.1:6379", "http://[::1]", "http://8.8.8.8"):
        with pytest.raises(TargetRefused):
            allowing.judge(url)
    with pytest.raises(TargetRefused):
        allowing.addresses(allowing.judge("https://example.com:39211"), 1.0)


def test_ports_and_schemes_by_settings() -> None:
    strict = guard(ports=("443", "9443"), require_https=True)
    assert strict.judge("https://example.com:9443").port == 9443
    for url in ("http://example.com:443", "https://example.com:8443"):
        with pytest.raises(TargetRefused):
            strict.judge(url)


def test_the_machines_resolver() -> None:
    assert "127.0.0.1" in system_resolver("127.0.0.1", 80, 5.0)
    with pytest.raises(OSError):  # noqa: PT011 - the text is the system's
        system_resolver("nowhere.invalid", 80, 20.0)
    with pytest.raises(OSError):  # noqa: PT011
        system_resolver("a" * 64 + ".example", 80, 5.0)


def test_a_name_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        ended.wait(30)
        return []

    monkeypatch.setattr("socket.getaddrinfo", hang)
    try:
        with pytest.raises(TimeoutError):
            system_resolver("slow.test", 443, 0.05)
    finally:
        ended.set()
