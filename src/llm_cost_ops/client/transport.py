"""The two drivers: they perform the actions of a flow, synchronously over requests or
asynchronously over httpx, and translate lost connections. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from llm_cost_ops.client.policy import Flow, Guarded, Send, Sleep
from llm_cost_ops.client.response import Response
from llm_cost_ops.exceptions import NetworkError, TimeoutError

if TYPE_CHECKING:
    from asyncio import Task

    import httpx
    import requests

OK, PARTIAL = 200, 206
PIECE_BYTES = 64 * 1024

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Walk(Protocol[T_co]):
    """Pages to come: `step()` is the flow that fetches the next one, or None after the last."""

    def step(self) -> Flow[Iterable[T_co]] | None: ...


class SyncDriver:
    """Drives flows over a requests Session. Safe to use from several threads: the session's state
    (cookies, headers) is never changed by a call, and its connection pool is thread-safe."""

    def __init__(
        self,
        session: Callable[[], requests.Session],
        *,
        timeout: float,
        verify: bool,
        sleep: Callable[[float], object],
    ) -> None:
        self._session = session
        self._timeout = timeout
        # None leaves the session's own setting and REQUESTS_CA_BUNDLE in force.
        self._verify = None if verify else False
        self._sleep = sleep
        self._guard = Lock()

    def run(self, flow: Flow[T]) -> T:
        outcome: Response | None = None
        failure: NetworkError | None = None
        while True:
            try:
                action = flow.throw(failure) if failure else flow.send(outcome)
            except StopIteration as done:
                return done.value
            outcome = failure = None
            try:
                outcome = self._perform(action)
            except NetworkError as error:
                failure = error

    def iterate(self, walk: Walk[T]) -> Iterator[T]:
        while (flow := walk.step()) is not None:
            yield from self.run(flow)

    def _perform(self, action: Send | Sleep | Guarded) -> Any:
        if isinstance(action, Send):
            return self._send(action)
        if isinstance(action, Sleep):
            return self._sleep(action.seconds)
        with self._guard:
            return self.run(action.flow)

    def _send(self, request: Send) -> Response:
        import requests

        try:
            answer = self._session().request(
                request.method,
                request.url,
                data=request.body,
                headers=dict(request.headers),
                timeout=self._timeout,
                verify=self._verify,
                allow_redirects=False,
                auth=_keep_headers,
                stream=request.into is not None,
            )
            if request.into is not None and answer.status_code in (OK, PARTIAL):
                # Closed at once, also when it broke or nobody wants the rest.
                with answer:
                    if answer.status_code == OK:
                        request.into.restart()
                    for piece in answer.iter_content(PIECE_BYTES):
                        request.into.write(piece)
                return Response(answer.status_code, answer.headers, b"")
        except requests.exceptions.Timeout as error:
            raise TimeoutError(
                f"{request.method} {request.url}: no answer in {self._timeout:g} s"
            ) from error
        except requests.exceptions.RequestException as error:
            # A ValueError is a request that cannot be made: no later attempt makes it.
            fatal = isinstance(error, requests.exceptions.SSLError | ValueError)
            raise NetworkError(
                f"{request.method} {request.url}: {error}", retryable=not fatal
            ) from error
        return Response(answer.status_code, answer.headers, answer.content)


class AsyncDriver:
    """Drives flows over an httpx AsyncClient, within one event loop."""

    def __init__(
        self,
        http: Callable[[], httpx.AsyncClient],
        *,
        timeout: float,
        sleep: Callable[[float], Coroutine[Any, Any, object]] | None = None,
    ) -> None:
        import asyncio

        self._http = http
        self._timeout = timeout
        self._sleep = sleep or asyncio.sleep
        self._guard = asyncio.Lock()
        self._guarded: set[Task[Any]] = set()

    async def run(self, flow: Flow[T]) -> T:
        outcome: Response | None = None
        failure: NetworkError | None = None
        while True:
            try:
                action = flow.throw(failure) if failure else flow.send(outcome)
            except StopIteration as done:
                return done.value
            outcome = failure = None
            try:
                outcome = await self._perform(action)
            except NetworkError as error:
                failure = error

    async def iterate(self, walk: Walk[T]) -> AsyncIterator[T]:
        while (flow := walk.step()) is not None:
            for row in await self.run(flow):
                yield row

    async def _perform(self, action: Send | Sleep | Guarded) -> Any:
        if isinstance(action, Send):
            return await self._send(action)
        if isinstance(action, Sleep):
            return await self._sleep(action.seconds)
        import asyncio

        # A caller that is cancelled must not take along the answer with the next refresh token.
        task = asyncio.ensure_future(self._alone(action.flow))
        self._guarded.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def _alone(self, flow: Flow[T]) -> T:
        async with self._guard:
            return await self.run(flow)

    def _ended(self, task: Task[Any]) -> None:
        self._guarded.discard(task)
        if not task.cancelled():
            task.exception()  # told to who still waits

    async def _send(self, request: Send) -> Response:
        import httpx

        try:
            async with self._http().stream(
                request.method,
                request.url,
                content=request.body,
                headers=dict(request.headers),
                follow_redirects=False,
                auth=_keep_httpx_headers,
            ) as answer:
                if request.into is None or answer.status_code not in (OK, PARTIAL):
                    await answer.aread()
                    return Response(answer.status_code, answer.headers, answer.content)
                if answer.status_code == OK:
                    request.into.restart()
                async for piece in answer.aiter_bytes(PIECE_BYTES):
                    request.into.write(piece)
                return Response(answer.status_code, answer.headers, b"")
        except httpx.TimeoutException as error:
            raise TimeoutError(
                f"{request.method} {request.url}: no answer in {self._timeout:g} s"
            ) from error
        except httpx.RequestError as error:
            fatal = isinstance(error, httpx.LocalProtocolError) or _is_tls_refusal(error)
            raise NetworkError(
                f"{request.method} {request.url}: {error}", retryable=not fatal
            ) from error


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Given as `auth`, so that requests does not replace our Authorization by one from ~/.netrc."""
    return request


def _keep_httpx_headers(request: httpx.Request) -> httpx.Request:
    return request


def _is_tls_refusal(error: BaseException | None) -> bool:
    from ssl import SSLError

    while error is not None:
        if isinstance(error, SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
