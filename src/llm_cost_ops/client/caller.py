"""One logical call to the API: credentials, idempotency key, attempts, and the decoded answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode
from uuid import uuid4

from llm_cost_ops.client import wire
from llm_cost_ops.client.cache import ResponseCache
from llm_cost_ops.client.credentials import Auth
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow, Into, Resumed, RetryPolicy, Send, exchange
from llm_cost_ops.client.response import Response
from llm_cost_ops.client.rows import Row
from llm_cost_ops.client.settings import Settings
from llm_cost_ops.client.version import version
from llm_cost_ops.exceptions import APIError, AuthenticationError, CostOpsError, NetworkError

RowT = TypeVar("RowT", bound=Row)

LOG = logging.getLogger("llm_cost_ops.client")
COMPRESS_ABOVE_BYTES = 1024


class Caller:
    """What both clients share: it prepares calls and reads answers, and performs nothing itself."""

    def __init__(
        self,
        settings: Settings,
        auth: Auth,
        policy: RetryPolicy,
        *,
        clock: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.policy = policy
        self._auth = auth
        self._cache = ResponseCache(settings.cache_ttl, clock) if settings.enable_caching else None

    def now(self) -> datetime:
        return self.policy.now()

    def get(
        self, path: str, params: Mapping[str, Any] | None = None, *, fresh: bool = False
    ) -> Flow[Any]:
        """The decoded answer of a GET, `fresh` rather than one that is remembered."""
        url = self._url(path, params)
        request = Send("GET", url, self._headers())
        if self._cache is None or fresh:
            return _decoded((yield from self._exchange(request)))
        generation = self._cache.generation
        response = self._cache.get(url)
        if response is None:
            response = yield from self._exchange(request)
            self._cache.put(url, response, generation)
        return _decoded(response)

    def file(
        self, path: str, params: Mapping[str, Any] | None = None, *, into: Into | None = None
    ) -> Flow[bytes]:
        """A file as it came, whole in memory, or piece by piece `into` something."""
        headers = {**self._headers(), "Accept": "*/*"}
        send = Send("GET", self._url(path, params), headers, into=into)
        return (yield from self._exchange(send)).content

    def rest(self, path: str, into: Resumed) -> Flow[None]:
        """A file piece by piece, as often as something of it comes: what was lost is asked for from
        where it broke."""
        headers = {**self._headers(), "Accept": "*/*"}
        send = Send("GET", self._url(path, None), headers, into=into, resume=into.lacking)
        while True:
            had = into.size
            try:
                yield from self._exchange(send)
                return
            except NetworkError as lost:
                if not lost.retryable or into.size <= had:
                    raise

    def ask(self, path: str, body: Any, *, params: Mapping[str, Any] | None = None) -> Flow[Any]:
        """The decoded answer of a POST that needs no idempotency key: it stores nothing, or only
        records with event ids, by which the server knows them. `body` may be encoded already."""
        request = self._with_body(
            Send("POST", self._url(path, params), self._headers()),
            body if isinstance(body, bytes) else wire.encode(body),
        )
        return _decoded((yield from self._exchange(request)))

    def write(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Flow[Any]:
        """The decoded answer of a call that changes something; None for an empty answer.

        One Idempotency-Key covers all attempts, so that a repetition after a lost answer does
        nothing twice. `body` may be encoded already (bytes).
        """
        headers = self._headers() | {"Idempotency-Key": idempotency_key or str(uuid4())}
        request = Send(method, self._url(path, params), headers)
        if body is not None:
            request = self._with_body(
                request, body if isinstance(body, bytes) else wire.encode(body)
            )
        try:
            response = yield from self._exchange(request)
        finally:
            if self._cache:
                self._cache.clear()
        return _decoded(response)

    def _exchange(self, request: Send) -> Flow[Response]:
        allowed = yield from self._auth.headers(self.policy)
        LOG.debug("%s %s", request.method, request.url)
        try:
            response = yield from exchange(request.with_headers(allowed), self.policy)
        except AuthenticationError:
            if not self._auth.rejected(allowed):
                raise
            renewed = yield from self._auth.headers(self.policy)
            response = yield from exchange(request.with_headers(renewed), self.policy)
        except CostOpsError as error:
            LOG.debug("%s %s: %s %s", request.method, request.url, error.status_code, error.message)
            raise
        LOG.debug("%s %s: %s", request.method, request.url, response.status_code)
        return response

    @cached_property
    def _user_agent(self) -> str:
        return f"llm-cost-ops-python/{version()}"

    def _headers(self) -> dict[str, str]:
        return {"Accept": "application/json", "User-Agent": self._user_agent}

    def _url(self, path: str, params: Mapping[str, Any] | None) -> str:
        url = self.settings.api_root + path
        pairs = wire.query(params) if params else []
        return f"{url}?{urlencode(pairs)}" if pairs else url

    def _with_body(self, request: Send, body: bytes) -> Send:
        headers = {"Content-Type": "application/json"}
        if self.settings.enable_compression and len(body) > COMPRESS_ABOVE_BYTES:
            import gzip

            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, compresslevel=5, mtime=0)
        return Send(request.method, request.url, {**request.headers, **headers}, body)


def segment(value: str) -> str:
    """An id as one path segment."""
    return quote(str(value), safe="")


def one(body: Any, kind: type[RowT]) -> RowT:
    """A single object; `{"data": {..}}` is unwrapped when `data` is all there is."""
    if isinstance(body, dict):
        fields = cast("dict[str, Any]", body)
        inner = fields.get("data")
        if len(fields) == 1 and isinstance(inner, dict):
            fields = cast("dict[str, Any]", inner)
        return kind(fields)
    raise APIError(f"the answer is {_named(body)} where an object was expected", status_code=200)


def many(body: Any, kind: type[RowT]) -> Page[RowT]:
    """A list answer: `{"data": [..], "has_more", "next_cursor", "pagination"}` or a bare array."""
    if isinstance(body, list):
        return Page(kind(row) for row in cast("list[dict[str, Any]]", body))
    if isinstance(body, dict):
        fields = cast("dict[str, Any]", body)
        rows = fields.get("data")
        if isinstance(rows, list):
            return Page(
                (kind(row) for row in cast("list[dict[str, Any]]", rows)),
                has_more=bool(fields.get("has_more")),
                next_cursor=fields.get("next_cursor"),
                pagination=fields.get("pagination"),
                total_cost=fields.get("total_cost"),
            )
    raise APIError(f"the answer is {_named(body)} where a list was expected", status_code=200)


def is_list(body: Any) -> bool:
    """Whether an answer is a list of rows rather than one object."""
    rows = cast("dict[str, Any]", body).get("data") if isinstance(body, dict) else body
    return isinstance(rows, list)


def _named(body: Any) -> str:
    return "empty" if body is None else f"of type {type(body).__name__}"


def _decoded(response: Response) -> Any:
    if response.status_code == 204 or not response.content.strip():
        return None
    try:
        return response.json()
    except ValueError:
        raise APIError(
            f"HTTP {response.status_code} with a body that is not JSON: is this address the API?",
            status_code=response.status_code,
            response=response,
        ) from None
