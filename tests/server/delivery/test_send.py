"""Guarded calls to a server that is really there and behaves in every way that servers do."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.delivery.send import MAX_ANSWER_BYTES, Outbound, retry_after_s
from llm_cost_ops.server.settings import DeliverySettings
from tests.server.delivery.ssrf import HOSTS, LITERALS
from tests.support.sink import Reply, Sink, certificate, sink

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
LOCAL = ("127.0.0.0/8",)


@pytest.fixture
def receiver() -> Iterator[Sink]:
    with sink() as made:
        yield made


def outbound(*addresses: str, **settings: Any) -> Outbound:
    chosen = DeliverySettings(**{"allow_networks": LOCAL, "timeout_seconds": 5.0, **settings})
    found = list(addresses) or ["127.0.0.1"]
    return Outbound(chosen, FixedClock(NOW), resolver=lambda host, port, timeout_s: found)


def test_a_call_that_arrives(receiver: Sink) -> None:
    receiver.replies = [Reply(204, {"X-Seen": "yes"}, b"")]
    call = outbound().post(
        f"http://hooks.test:{receiver.port}/a/b?c=d", b'{"x":1}', {"Content-Type": "text/x"}
    )
    assert call.outcome.delivered
    assert call.outcome.status == 204
    assert "HTTP 204" in call.head
    assert "x-seen: yes" in call.head
    assert call.took_us > 0
    (got,) = receiver.got
    assert (got.path, got.body) == ("/a/b?c=d", b'{"x":1}')
    assert got.header("host") == f"hooks.test:{receiver.port}"
    assert got.header("content-type") == "text/x"
    assert got.header("accept-encoding") == "identity"


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 400, 404, 429, 500, 502, 504])
def test_everything_but_2xx_is_a_failure(receiver: Sink, status: int) -> None:
    elsewhere = f"http://127.0.0.1:{receiver.port}/elsewhere"
    receiver.replies = [Reply(status, {"Location": elsewhere})]
    outcome = outbound().post(receiver.url, b"", {}).outcome
    assert (outcome.delivered, outcome.status, outcome.final) == (False, status, False)
    assert [got.path for got in receiver.got] == ["/hook"]


def test_410_is_final(receiver: Sink) -> None:
    receiver.replies = [Reply(410)]
    outcome = outbound().post(receiver.url, b"", {}).outcome
    assert (outcome.delivered, outcome.final) == (False, True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("86400", 86400.0),
        ("86401", 86400.0),
        ("9" * 400, 86400.0),
        ("Fri, 27 Nov 2026 12:01:40 GMT", 100.0),
        ("Fri, 27 Nov 2026 12:01:40 -0000", 100.0),
        ("Fri, 27 Nov 2026 11:00:00 GMT", 0.0),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("Fri, 27 Nov 2026 12:00:00 +99999999999999999", None),
        ("Fri, 27 Nov 2026 99999999999999999999:00:00 GMT", None),
        (None, None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, FixedClock(NOW)) == seconds


def test_retry_after_comes_with_the_outcome(receiver: Sink) -> None:
    receiver.replies = [Reply(429, {"Retry-After": "30"})]
    assert outbound().post(receiver.url, b"", {}).outcome.retry_after_s == 30.0


@pytest.mark.parametrize("value", ["0", "Fri, 27 Nov 2026 11:00:00 GMT", "soon"])
def test_a_wait_of_nothing_is_none(receiver: Sink, value: str) -> None:
    receiver.replies = [Reply(503, {"Retry-After": value})]
    assert outbound().post(receiver.url, b"", {}).outcome.retry_after_s is None


def test_what_nobody_foresaw_is_a_failure(receiver: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(*_: object, **__: object) -> None:
        raise ArithmeticError("never\nseen")

    monkeypatch.setattr("llm_cost_ops.server.delivery.send._sent_to", break_off)
    outcome = outbound().post(receiver.url, b"", {}).outcome
    assert (outcome.delivered, outcome.detail) == (False, "never seen")


def test_a_long_reason_is_cut(receiver: Sink) -> None:
    """A receiver chooses it, and what is kept of an attempt has bounds."""
    raw = b"HTTP/1.1 500 " + b"x" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n"
    receiver.replies = [Reply(raw=lambda handler: handler.wfile.write(raw))]
    outcome = outbound().post(receiver.url, b"", {}).outcome
    assert outcome.status == 500
    assert outcome.detail.startswith("HTTP 500 xxx")
    assert len(outcome.detail) == 200


def test_a_receiver_that_sleeps_is_left(receiver: Sink) -> None:
    receiver.replies = [Reply(before_s=30)]
    began = time.monotonic()
    call = outbound(timeout_seconds=0.3).post(receiver.url, b"", {})
    assert time.monotonic() - began < 5
    assert (call.outcome.delivered, call.outcome.detail) == (False, "timed out")


def test_a_head_that_drips_is_left(receiver: Sink) -> None:
    def drip(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(200):
            handler.wfile.write(b"X-More: 1\r\n")
            handler.wfile.flush()
            time.sleep(0.05)

    receiver.replies = [Reply(raw=drip)]
    began = time.monotonic()
    assert outbound(timeout_seconds=0.4).post(receiver.url, b"", {}).outcome.detail == "timed out"
    assert time.monotonic() - began < 5


def test_a_body_that_drips_or_breaks_off_changes_nothing(receiver: Sink) -> None:
    def drip(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun")
        handler.wfile.flush()
        receiver.ended.wait(5)

    def cut(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\nbegun")

    receiver.replies = [Reply(raw=drip), Reply(raw=cut)]
    for status in (200, 201):
        call = outbound(timeout_seconds=0.5).post(receiver.url, b"", {})
        assert (call.outcome.delivered, call.outcome.status) == (True, status)
        assert call.body == b"begun"


def test_an_endless_answer_is_read_up_to_a_bound(receiver: Sink) -> None:
    sent: list[int] = []

    def flood(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        for _ in range(16 * 1024):
            handler.wfile.write(b"x" * 65_536)
            sent.append(65_536)

    receiver.replies = [Reply(raw=flood)]
    call = outbound().post(receiver.url, b"", {})
    assert call.outcome.delivered
    assert call.body == b"x" * MAX_ANSWER_BYTES
    assert sum(sent) < 64 * 2**20


@pytest.mark.parametrize(
    "raw", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000 + b"\r\n"]
)
def test_answers_that_are_none(receiver: Sink, raw: bytes) -> None:
    receiver.replies = [Reply(raw=lambda handler: handler.wfile.write(raw))]
    call = outbound().post(receiver.url, b"", {})
    assert not call.outcome.delivered
    assert call.outcome.status is None
    assert call.outcome.detail
    assert "\n" not in call.outcome.detail


def test_a_connection_that_is_reset(receiver: Sink) -> None:
    def reset(handler: Any) -> None:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        handler.connection.close()

    receiver.replies = [Reply(raw=reset)]
    assert not outbound().post(receiver.url, b"", {}).outcome.delivered


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        outcome = outbound().post(f"http://127.0.0.1:{free.getsockname()[1]}", b"", {}).outcome
    assert not outcome.delivered


def test_the_next_address_is_tried_when_one_takes_no_connection(receiver: Sink) -> None:
    url = f"http://hooks.test:{receiver.port}/hook"
    assert outbound("127.0.0.9", "127.0.0.1").post(url, b"", {}).outcome.delivered
    assert len(receiver.got) == 1


def test_an_address_that_leads_nowhere_leaves_time_for_the_next(receiver: Sink) -> None:
    """As an IPv6 address does from a machine whose IPv6 is a black hole."""
    with socket.socket() as hole, contextlib.ExitStack() as waiting:
        hole.bind(("127.0.0.2", receiver.port))
        hole.listen(0)  # whoever comes when the queue is full has no answer at all
        for _ in range(2):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(("127.0.0.2", receiver.port))
        url = f"http://hooks.test:{receiver.port}/hook"
        call = outbound("127.0.0.2", "127.0.0.1", timeout_seconds=2.0).post(url, b"", {})
    assert call.outcome.delivered, call.outcome.detail
    assert len(receiver.got) == 1


@pytest.mark.parametrize("url", [*LITERALS, *(f"http://{host}/" for host in HOSTS)])
def test_what_is_refused_is_never_called(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("called")

    monkeypatch.setattr("llm_cost_ops.server.delivery.send._sent_to", refuse)
    calls = Outbound(
        DeliverySettings(), FixedClock(NOW), resolver=lambda host, port, timeout_s: HOSTS[host]
    )
    call = calls.post(url, b"", {})
    assert call.outcome.detail.startswith("refused: ")
    assert not call.outcome.delivered


def test_an_answer_of_the_name_server_that_changes_has_no_effect(receiver: Sink) -> None:
    """Rebinding: the first answer is judged and called, a second one is not asked for."""
    asked: list[str] = []

    def rebinding(host: str, port: int, timeout_s: float) -> list[str]:
        asked.append(host)
        return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.1"]

    only = DeliverySettings(allow_networks=("127.0.0.2/32",), timeout_seconds=1.0)
    calls = Outbound(only, FixedClock(NOW), resolver=rebinding)
    url = f"http://hooks.test:{receiver.port}/hook"
    first = calls.post(url, b"", {})
    assert first.outcome.detail.startswith("All connection attempts failed")
    assert asked == ["hooks.test"]
    second = calls.post(url, b"", {})
    assert second.outcome.detail.startswith("refused")
    assert receiver.got == []


def test_proxies_of_the_environment_are_not_used(
    receiver: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, receiver.url)
    call = outbound("127.0.0.9", timeout_seconds=1).post("http://hooks.test:80/", b"", {})
    assert not call.outcome.delivered
    assert receiver.got == []


def test_a_name_that_cannot_be_resolved() -> None:
    def nothing(host: str, port: int, timeout_s: float) -> list[str]:
        raise OSError(-2, "Name or service not known")

    calls = Outbound(DeliverySettings(), FixedClock(NOW), resolver=nothing)
    outcome = calls.post("https://hooks.test", b"", {}).outcome
    assert outcome.detail == "the name could not be resolved: Name or service not known"
    assert not outcome.final


def test_threads_may_share_one(receiver: Sink) -> None:
    calls = outbound()
    threads = [threading.Thread(target=calls.post, args=(receiver.url, b"", {})) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receiver.got) == 8


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
class TestTls:
    """The certificate is checked for the name, although the address is called."""

    def test_a_name_that_the_certificate_has(self, tmp_path: Path) -> None:
        made = certificate(tmp_path, "hooks.test")
        with sink(made) as receiver:
            url = f"https://hooks.test:{receiver.port}/hook"
            call = outbound(ca_file=str(made[0])).post(url, b"", {})
            assert call.outcome.delivered, call.outcome.detail
            assert len(receiver.got) == 1

    def test_a_name_that_it_has_not(self, tmp_path: Path) -> None:
        made = certificate(tmp_path, "other.test")
        with sink(made) as receiver:
            url = f"https://hooks.test:{receiver.port}/hook"
            call = outbound(ca_file=str(made[0])).post(url, b"", {})
            assert "certificate verify failed" in call.outcome.detail
            assert receiver.got == []

    def test_an_authority_that_nobody_trusts(self, tmp_path: Path) -> None:
        with sink(certificate(tmp_path, "hooks.test")) as receiver:
            call = outbound().post(f"https://hooks.test:{receiver.port}/hook", b"", {})
            assert "certificate verify failed" in call.outcome.detail
            assert receiver.got == []
