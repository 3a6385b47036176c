"""A fake of the LLM Cost Ops API, for tests of code that uses the SDK."""

from __future__ import annotations

import gzip
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from llm_cost_ops.client import clock
from llm_cost_ops.core import ids, jsontext
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import to_micros
from llm_cost_ops.testing import control
from llm_cost_ops.testing.alerts import FakeAlerts
from llm_cost_ops.testing.budgets import FakeBudgets
from llm_cost_ops.testing.ledger import FakeLedger
from llm_cost_ops.testing.prices import FakePrices
from llm_cost_ops.testing.refusal import Refusal
from llm_cost_ops.testing.routes import ROUTES, Request
from llm_cost_ops.testing.webhooks import FakeWebhooks

if TYPE_CHECKING:
    import httpx
    import requests

    from llm_cost_ops.client.async_client import AsyncCostOpsClient
    from llm_cost_ops.client.sync_client import CostOpsClient
    from llm_cost_ops.core.pricing.book import PriceBook

ADDRESS = "http://fake.llm-cost-ops.test"
MAX_KEPT_REQUESTS = 10_000


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and JSON body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""


class LostConnection(Exception):
    """The fake was told to drop this connection."""


@dataclass(slots=True)
class _Fault:
    answer: Answer | None
    after_work: bool


_CREDENTIALS = frozenset({"auth", "jwt_token", "refresh_token"})


class FakeServer:
    """The API in memory: exact money, the same shapes, idempotent, and it fails when it is told to.

        fake = FakeServer()
        with fake.client() as client:
            client.usage.create(
                provider="openai", model="gpt-4o", prompt_tokens=9, completion_tokens=3
            )
        assert len(fake.rows) == 1

    Use `client()` and `async_client()`, or `mount(session)` and `transport()` for clients of your
    own (they reach it under `fake.address`), or `serve()` for a real local socket. Any API key is
    welcome unless `api_keys` names them. Calls are priced by the packaged price book and by what
    `POST /pricing` adds. Budgets count them, refuse what does not fit, and alert; webhooks list
    what they would deliver. `requests` holds what was asked, faults included.
    """

    address = ADDRESS

    def __init__(
        self,
        *,
        api_keys: tuple[str, ...] | None = None,
        organization_id: str | None = None,
        now: Callable[[], datetime] = clock.utc_now,
        book: PriceBook | None = None,
    ) -> None:
        self.organization_id = organization_id
        self.now = now
        self.prices = FakePrices(book)
        self.ledger = FakeLedger(self.new_id)
        self.budgets = FakeBudgets(self.ledger, self.new_id, now)
        self.alerts = FakeAlerts(self.new_id, now)
        self.webhooks = FakeWebhooks(self.new_id, now)
        self.requests: deque[Request] = deque(maxlen=MAX_KEPT_REQUESTS)
        self._api_keys = api_keys
        self._recorded: list[dict[str, Any]] = []
        self._numbers = count(1)
        self._faults: deque[_Fault] = deque()
        self._replies: dict[str, tuple[bytes, Answer]] = {}
        self._lock = RLock()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All calls that count, as the API shows them."""
        with self._lock:
            return [dict(row) for row in self.ledger.rows]

    def raise_alert(self, kind: str, title: str, **fields: Any) -> dict[str, Any]:
        """Make an alert such as `raise_alert("anomaly", "Unusual cost", severity="critical")`."""
        with self._lock:
            return dict(self.alerts.make(kind, title, **fields))

    def recorded(self, row: dict[str, Any]) -> None:
        """Note a new call, which is told of when its request has succeeded."""
        self._recorded.append(row)

    def fail_next(
        self,
        status: int = 503,
        *,
        times: int = 1,
        retry_after: str | float | None = None,
        code: str = "INJECTED",
        after_work: bool = False,
    ) -> None:
        """Fail the next `times` requests; `after_work` does what was asked before it fails."""
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        answer = _refused(Refusal(status, code, f"injected {status}", headers=headers), "fault")
        self._faults.extend(_Fault(answer, after_work) for _ in range(times))

    def drop_next(self, *, times: int = 1, after_work: bool = False) -> None:
        """Break the connection of the next `times` requests; `after_work` does the work first."""
        self._faults.extend(_Fault(None, after_work) for _ in range(times))

    def client(self, **options: Any) -> CostOpsClient:
        """A CostOpsClient on this fake that does not wait between attempts."""
        import requests

        from llm_cost_ops.client.sync_client import CostOpsClient

        session = requests.Session()
        self.mount(session)
        defaults: dict[str, Any] = {
            "api_key": None if options.keys() & _CREDENTIALS else "sk_test_fake",
            "base_url": ADDRESS,
            "session": session,
            "sleep": _no_wait,
        }
        return CostOpsClient(**{**defaults, **options})

    def async_client(self, **options: Any) -> AsyncCostOpsClient:
        """An AsyncCostOpsClient on this fake that does not wait between attempts."""
        import httpx

        from llm_cost_ops.client.async_client import AsyncCostOpsClient

        defaults: dict[str, Any] = {
            "api_key": None if options.keys() & _CREDENTIALS else "sk_test_fake",
            "base_url": ADDRESS,
            "http_client": httpx.AsyncClient(transport=self.transport()),
            "sleep": _no_wait_async,
        }
        return AsyncCostOpsClient(**{**defaults, **options})

    def mount(self, session: requests.Session, address: str = ADDRESS) -> None:
        """Answer a requests Session's calls to `address`."""
        from llm_cost_ops.testing.transports import requests_adapter

        session.mount(address, requests_adapter(self))

    def transport(self) -> httpx.AsyncBaseTransport:
        """An httpx transport, for httpx.AsyncClient and httpx.Client alike."""
        from llm_cost_ops.testing.transports import httpx_transport

        return httpx_transport(self)

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> AbstractContextManager[str]:
        """`with fake.serve() as url:` answers on a real local socket, from a thread."""
        from llm_cost_ops.testing.transports import serving

        return serving(self, host, port)

    def handle(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One exchange. Raises LostConnection when told to."""
        request = _request(method, url, headers, body)
        with self._lock:
            self.requests.append(request)
            fault = self._faults.popleft() if self._faults else None
            if fault is None:
                return self._answer(request)
            if fault.after_work:
                self._answer(request)
            if fault.answer is None:
                raise LostConnection
            return fault.answer

    def new_id(self, prefix: str) -> str:
        return ids.single_id(prefix, to_micros(self.now()) // 1000, next(self._numbers))

    def _answer(self, request: Request) -> Answer:
        key = request.headers.get("idempotency-key")
        scope = f"{request.method} {request.path} {key}"
        if key is not None and scope in self._replies:
            sent, saved = self._replies[scope]
            if sent != request.body:
                return _refused(
                    Refusal(422, "IDEMPOTENCY_KEY_REUSED", "this key came with another body"), key
                )
            return Answer(
                saved.status, {**saved.headers, "Idempotency-Replayed": "true"}, saved.body
            )
        answer = self._run(request)
        if key is not None and answer.status < 500:
            self._replies[scope] = (request.body, answer)
        return answer

    def _run(self, request: Request) -> Answer:
        request_id = f"req_{next(self._numbers)}"
        try:
            self._authorize(request)
            self._recorded.clear()
            status, body = self._route(request)
            if request.method != "GET":
                control.tell(self, self._recorded)
        except Refusal as refusal:
            return _refused(refusal, request_id)
        except DomainError as error:
            named = f"{error.field} {error.message}" if error.field else error.message
            return _refused(Refusal(422, "VALIDATION_ERROR", named, error.field_errors), request_id)
        headers = {"Content-Type": "application/json", "X-Request-ID": request_id}
        if body is None:
            return Answer(status, headers)
        return Answer(status, headers, jsontext.dumps(body).encode())

    def _authorize(self, request: Request) -> None:
        if self._api_keys is None or request.path == "/oauth/token":
            return
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or key not in self._api_keys:
            raise Refusal(401, "AUTH_001", "Invalid API key")

    def _route(self, request: Request) -> tuple[int, Any]:
        found = False
        for method, pattern, handler in (*ROUTES, *control.CONTROL):
            match = pattern.fullmatch(request.path)
            if match is None:
                continue
            found = True
            if method == request.method:
                return handler(self, request, *map(unquote, match.groups()))
        if found:
            raise Refusal(405, "METHOD_NOT_ALLOWED", "method not allowed")
        raise Refusal(404, "NOT_FOUND", f"no such path: {request.path}")


def _request(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Request:
    parts = urlsplit(url)
    lower = {name.lower(): value for name, value in headers.items()}
    if lower.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    return Request(method, parts.path, parse_qs(parts.query, keep_blank_values=True), lower, body)


def _refused(refusal: Refusal, request_id: str) -> Answer:
    body = {"error": {**refusal.error(), "request_id": request_id}}
    headers = {"Content-Type": "application/json", **refusal.headers}
    return Answer(refusal.status, headers, jsontext.dumps(body).encode())


def _no_wait(seconds: float) -> None:  # noqa: ARG001
    return None


async def _no_wait_async(seconds: float) -> None:  # noqa: ARG001
    return None


__all__ = ["ADDRESS", "Answer", "FakeServer", "LostConnection"]
