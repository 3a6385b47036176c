"""Counts that several processes share, and what happens when the store is gone."""

from __future__ import annotations

import asyncio
import contextlib
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from prometheus_client import CollectorRegistry

from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.http.ratelimit.meters import Limit, Meters
from llm_cost_ops.server.http.ratelimit.metrics import RateLimitMetrics
from llm_cost_ops.server.http.ratelimit.shared import Sharing, StoreMissing, sharing_of, store_of
from llm_cost_ops.server.http.ratelimit.standing import take
from llm_cost_ops.server.settings import RateLimitSettings, RedisSettings, Settings
from tests.support.server_process import free_port
from tests.support.services import REDIS, service_url


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    yield
    while Process.all:
        Process.all.pop().sharing.close()


HOUR = (Limit(100, 3600),)


def settings(**chosen: Any) -> Settings:
    return Settings(rate_limit=RateLimitSettings(**{"enabled": True, **chosen}))


class Process:
    """One of several that share. `ended` is called at the end of a test."""

    all: ClassVar[list[Process]] = []

    def __init__(self, given: Settings) -> None:
        self.all.append(self)
        self.clock = SystemClock()
        self.registry = CollectorRegistry()
        self.meters = Meters(self.clock.micros)
        metrics = RateLimitMetrics(self.registry)
        found = sharing_of(given, self.meters, metrics)
        assert found is not None
        self.sharing: Sharing = found

    def admitted(self, times: int, name: str) -> int:
        meters = self.meters.of(name, HOUR)
        standings = [take(meters, 1, self.clock.micros()) for _ in range(times)]
        return sum(standing is not None and not standing.wait_s for standing in standings)

    def share(self) -> bool:
        return asyncio.run(self.sharing.share())

    @property
    def up(self) -> float | None:
        return self.registry.get_sample_value("llm_cost_ops_rate_limit_store_up")


class Memcached(socketserver.StreamRequestHandler):
    """As much of Memcached as the counters use: add, set, incr, get, delete."""

    kept: ClassVar[dict[bytes, bytes]] = {}  # of the one server of a test

    def handle(self) -> None:
        for line in self.rfile:
            verb, *words = line.split()
            if verb in (b"add", b"set"):
                data = self.rfile.readline().strip()
                if verb == b"add" and words[0] in self.kept:
                    self.wfile.write(b"NOT_STORED\r\n")
                else:
                    self.kept[words[0]] = data
                    self.wfile.write(b"STORED\r\n")
            elif verb == b"incr" and words[0] in self.kept:
                self.kept[words[0]] = b"%d" % (int(self.kept[words[0]]) + int(words[1]))
                self.wfile.write(self.kept[words[0]] + b"\r\n")
            else:
                self.wfile.write(b"NOT_FOUND\r\n")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextlib.contextmanager
def memcached(port: int) -> Iterator[str]:
    Memcached.kept.clear()
    with _Server(("127.0.0.1", port), Memcached) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"memcached://127.0.0.1:{port}"
        server.shutdown()
        thread.join()


def check_sharing(given: Settings, name: str) -> None:
    one, two = Process(given), Process(given)
    assert one.admitted(70, name) == 70
    assert one.share()
    assert two.admitted(1, name) == 1  # it knows nothing yet
    assert two.share()
    assert two.admitted(100, name) == 29
    assert two.share()
    one.admitted(1, name)
    assert one.share()
    assert one.admitted(100, name) == 0
    assert one.up == 1
    assert one.sharing.warnings() == ()


def test_processes_share_a_limit_through_redis() -> None:
    given = replace(settings(), redis=RedisSettings(url=service_url(REDIS)))
    check_sharing(given, f"redis-{free_port()}-{SystemClock().micros()}")


def test_processes_share_a_limit_through_memcached() -> None:
    with memcached(free_port()) as url:
        check_sharing(settings(storage="memcached", memcached_url=url), "some")


def test_a_store_that_is_gone_leaves_each_process_its_limit() -> None:
    port = free_port()
    given = settings(
        storage="memcached", memcached_url=f"memcached://127.0.0.1:{port}", timeout_seconds=0.2
    )
    one = Process(given)
    assert one.admitted(70, "some") == 70
    assert not one.share()
    assert one.admitted(70, "some") == 30
    assert not one.share()
    assert one.up == 0
    assert "each process" in one.sharing.warnings()[0]
    with memcached(port):
        assert one.share(), "what was counted meanwhile is told"
        assert b"100" in Memcached.kept.values()
        assert one.up == 1
        assert one.sharing.warnings() == ()


def test_a_store_that_came_back_is_noticed_without_requests() -> None:
    port = free_port()
    one = Process(settings(storage="memcached", memcached_url=f"memcached://127.0.0.1:{port}"))
    one.admitted(1, "some")
    assert not one.share()
    one.meters.of("some", HOUR)[0].unshared = 0
    assert not one.share()
    with memcached(port):
        assert one.share()
    assert not one.sharing.gone


def test_a_store_that_hangs_costs_requests_nothing() -> None:
    with _Server(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        url = f"redis://127.0.0.1:{server.server_address[1]}"
        given = replace(settings(timeout_seconds=0.05), redis=RedisSettings(url=url))
        one = Process(given)
        assert one.admitted(150, "some") == 100
        assert not one.share()
        assert one.up == 0


@pytest.mark.parametrize("chosen", [{}, {"storage": "memory"}, {"enabled": False}])
def test_without_a_store_nothing_is_shared(chosen: dict[str, Any]) -> None:
    assert store_of(settings(**chosen)) is None


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import limits.storage
    from limits.errors import ConfigurationError

    def missing(*_: object, **__: object) -> None:
        raise ConfigurationError("no redis")

    monkeypatch.setattr(limits.storage, "RedisStorage", missing)
    given = replace(settings(), redis=RedisSettings(url="redis://127.0.0.1:1"))
    with pytest.raises(StoreMissing, match="pip install"):
        store_of(given)
