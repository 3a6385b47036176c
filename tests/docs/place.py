"""The place where snippets run: their documented addresses, keys and ids led to a local server.

Nothing of this is in the product: the client sends what the snippet says, and the last step before
the socket is changed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import requests
from requests.adapters import HTTPAdapter

DOCUMENTED_HOSTS = {
    "api.llm-cost-ops.example.com",
    "api.llmcostops.com",
    "api-test.llmcostops.com",
    "auth.llmcostops.com",
}


@dataclass
class Place:
    """A server for snippets. `ids` maps ids printed in the documents to real ones."""

    base_url: str
    api_key: str
    ids: dict[str, str] = field(default_factory=dict)
    broken: int = 0
    """How many of the next exchanges are lost on the way to the server."""
    asked: list[str] = field(default_factory=list)
    fresh: bool = True
    """Nobody else's rows are in the organization: totals must be exact, not only large enough."""

    def moved(self, url: str) -> str:
        parts = urlsplit(url)
        here = urlsplit(self.base_url)
        if parts.hostname in DOCUMENTED_HOSTS:
            parts = parts._replace(scheme=here.scheme, netloc=here.netloc)
        return self.renamed(parts.geturl())

    def renamed(self, text: str) -> str:
        for printed, real in self.ids.items():
            text = text.replace(printed, real)
        return text


@contextmanager
def redirected(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within this, requests and httpx reach `place` whatever the snippet's address and key."""
    send = HTTPAdapter.send
    handle = httpx.AsyncHTTPTransport.handle_async_request

    def take(method: str, url: str) -> bool:
        """Note the exchange; True when it is to be lost."""
        place.asked.append(f"{method} {urlsplit(url).path}")
        if not place.broken:
            return False
        place.broken -= 1
        return True

    def send_here(
        self: HTTPAdapter, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        moved = request.copy()
        moved.url = place.moved(request.url or "")
        if take(request.method or "", moved.url):
            raise requests.exceptions.ConnectionError("lost on the way")
        moved.headers["Authorization"] = f"Bearer {place.api_key}"
        if isinstance(moved.body, bytes):
            moved.body = place.renamed(moved.body.decode()).encode()
            moved.headers["Content-Length"] = str(len(moved.body))
        kwargs["proxies"] = {}
        return send(self, moved, *args, **kwargs)

    async def handle_here(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        url = place.moved(str(request.url))
        if take(request.method, url):
            raise httpx.ConnectError("lost on the way", request=request)
        headers = dict(request.headers) | {"authorization": f"Bearer {place.api_key}"}
        headers = {n: v for n, v in headers.items() if n not in ("host", "content-length")}
        content = place.renamed((await request.aread()).decode()).encode()
        moved = httpx.Request(
            request.method, url, headers=headers, content=content, extensions=request.extensions
        )
        return await handle(self, moved)

    with monkeypatch.context() as patch:
        patch.setattr(HTTPAdapter, "send", send_here)
        patch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle_here)
        patch.setenv("LLM_COST_OPS_BASE_URL", place.base_url)
        patch.setenv("LLM_COST_OPS_API_KEY", place.api_key)
        patch.setenv("COST_OPS_API_KEY", place.api_key)
        patch.setenv("LLM_COST_OPS_TEST_API_KEY", place.api_key)
        patch.setenv("LLM_COST_OPS_TEST_URL", place.base_url)
        patch.setenv("OPENAI_API_KEY", "sk-openai")
        patch.setenv("NO_PROXY", "*")
        yield
