"""Small doubles of what the snippets use beside us: other packages, a logger, a cache."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

MISSING = object()


def _module(name: str, **members: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(members)
    return module


def openai_module() -> ModuleType:
    """The old `openai.ChatCompletion.create`, answering 120 prompt and 30 completion tokens."""

    def create(*_: Any, **__: Any) -> Any:
        usage = SimpleNamespace(prompt_tokens=120, completion_tokens=30, total_tokens=150)
        message = SimpleNamespace(content="Hello!")
        return SimpleNamespace(choices=[SimpleNamespace(message=message)], usage=usage)

    return _module("openai", ChatCompletion=SimpleNamespace(create=create), api_key=None)


def _passing(*_: Any, **__: Any) -> Callable[[Any], Any]:
    """A decorator factory that leaves the function alone."""
    return lambda function: function


class FakeRedis:
    def __init__(self) -> None:
        self.data: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.data.get(key)

    def setex(self, key: str, ttl: int, value: Any) -> None:
        self.data[key] = value

    def scan_iter(self, pattern: str) -> Iterator[str]:
        yield from list(self.data)

    def delete(self, key: str) -> None:
        del self.data[key]


class Recorder:
    """Stands for a logger or a metrics client: notes every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        def note(*args: Any, **kwargs: Any) -> None:
            self.calls.append((name, args, kwargs))

        return note


class Histogram:
    def __init__(self, *_: Any) -> None:
        return None

    def labels(self, *_: Any) -> Histogram:
        return self

    @contextmanager
    def time(self) -> Iterator[None]:
        yield


def _cached(cache: dict[Any, Any]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        def wrapper(*args: Any) -> Any:
            if args not in cache:
                cache[args] = function(*args)
            return cache[args]

        return wrapper

    return decorate


class TTLCache(dict[Any, Any]):
    def __init__(self, maxsize: int, ttl: int) -> None:
        super().__init__()


class HttpUser:
    """Of locust: `client` is a session with the host in front of each path."""

    client: Any


def stub_modules() -> dict[str, ModuleType]:
    return {
        "openai": openai_module(),
        "tenacity": _module(
            "tenacity",
            retry=_passing,
            stop_after_attempt=lambda *_: None,
            wait_exponential=lambda **_: None,
        ),
        "cachetools": _module("cachetools", TTLCache=TTLCache, cached=_cached),
        "ratelimit": _module(
            "ratelimit", limits=_passing, sleep_and_retry=lambda function: function
        ),
        "redis": _module("redis", from_url=lambda _: FakeRedis()),
        "prometheus_client": _module("prometheus_client", Histogram=Histogram),
        "locust": _module("locust", HttpUser=HttpUser, task=_passing, between=lambda *_: None),
    }


@contextmanager
def stubbed() -> Iterator[None]:
    """These modules in place of what is or is not installed."""
    stubs = stub_modules()
    before = {name: sys.modules.get(name, MISSING) for name in stubs}
    sys.modules.update(stubs)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is MISSING:
                del sys.modules[name]
            else:
                sys.modules[name] = module  # type: ignore[assignment]
