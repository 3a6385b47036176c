"""The app in this process, over the local database: what `--api-url` would be, without a socket.

The app runs in an event loop of its own thread. Requests reach it through a transport adapter of
`requests`, so that the client above is the same as for a server, retries and errors included.
"""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Generator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from llm_cost_ops.cli.coming import Coming
from llm_cost_ops.cli.connect import Api
from llm_cost_ops.cli.handover import Handover
from llm_cost_ops.cli.ledger_home import chosen_organization, open_ledger
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.app import create_app
from llm_cost_ops.server.http.edge import Edge
from llm_cost_ops.server.identity.organizations import Organization
from llm_cost_ops.server.settings import RateLimitSettings, Settings

OPERATOR = "operator"
"""Who is recorded as the author of what the command line does."""
NOBODY = ""
"""No organization's id."""
BASE_URL = "http://cost-ops.localhost"
UNHURRIED_SECONDS = 3600.0
LAST_ANSWERS_SECONDS = 1.0

Message = MutableMapping[str, Any]
Answer = tuple[int, list[tuple[bytes, bytes]], Coming]


@contextmanager
def local_api(
    profile: Profile, retries: int | None = None, *, scoped: bool = True
) -> Generator[Api]:
    """The API over the profile's database, for its one or named organization, or for none.

    Raises SettingsError, DatabaseUnavailable, DatabaseConfiguration, CommandError.
    """
    settings = profile.settings()
    with open_ledger(profile, settings) as database:
        organization = chosen_organization(database, profile.organization) if scoped else None
        app = create_app(_unhurried(settings), database=database)
        operator = _operator(organization)
        secret = app.state.keys.trust(operator)
        with running(app) as session:
            api = Api(
                secret, BASE_URL, session=session, timeout=UNHURRIED_SECONDS, max_retries=retries
            )
            api.local = True
            api.place = f"organization {operator.organization_id}"
            yield api


def _operator(organization: Organization | None) -> Principal:
    """Who may do everything in an organization, or nothing in none."""
    if organization is None:
        return Principal(OPERATOR, NOBODY, frozenset())
    return Principal(
        OPERATOR, organization.id, frozenset({"*"}), organization_slug=organization.slug
    )


def _unhurried(settings: Settings) -> Settings:
    """Settings of an app that nobody else can call: no limits, any host."""
    server = replace(
        settings.server, request_timeout_seconds=UNHURRIED_SECONDS, allowed_hosts=("*",)
    )
    return replace(settings, server=server, rate_limit=RateLimitSettings(enabled=False))


@contextmanager
def running(app: Edge) -> Generator[requests.Session]:
    """A session whose every request goes to the app, which runs meanwhile."""
    host = _Host(app)
    host.start()
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", _Adapter(host))
    try:
        yield session
    finally:
        session.close()
        host.stop()


class _Host:
    """The app's event loop in a thread of its own, from its startup to its shutdown."""

    def __init__(self, app: Edge) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="local-app", daemon=True)
        self._started: Handover[None] = Handover()
        self._stopping = asyncio.Event()
        self._failed: BaseException | None = None

    def start(self) -> None:
        """Raises what the app's startup raises."""
        self._thread.start()
        try:
            self._started.take()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Let the app finish what it has accepted, then end its thread."""
        with suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        if self._failed is not None:
            raise self._failed

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._live())
        except BaseException as error:
            if self._started.given:
                self._failed = error
            else:
                self._started.fail(error)
        finally:
            self._loop.run_until_complete(self._end())
            self._loop.close()

    async def _end(self) -> None:
        """Let answers out; whoever still waits is told that there will be none."""
        exchanges = asyncio.all_tasks() - {asyncio.current_task()}
        if exchanges:
            _, late = await asyncio.wait(exchanges, timeout=LAST_ANSWERS_SECONDS)
            for exchange in late:
                exchange.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._loop.shutdown_default_executor()

    async def _live(self) -> None:
        begun = False

        async def receive() -> Message:
            nonlocal begun
            if not begun:
                begun = True
                return {"type": "lifespan.startup"}
            await self._stopping.wait()
            return {"type": "lifespan.shutdown"}

        async def send(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._started.give(None)

        await self._app(
            {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send
        )

    def answer(self, scope: Message, body: bytes, timeout: float | None) -> Answer:
        """Status, headers and a body that is still coming. Raises TimeoutError."""
        handover: Handover[Answer] = Handover()
        coming = Coming(timeout)
        tasks: list[asyncio.Task[None]] = []

        def start() -> None:
            tasks.append(self._loop.create_task(self._exchange(scope, body, handover, coming)))
            tasks[0].add_done_callback(finish)

        def finish(task: asyncio.Task[None]) -> None:
            error = TimeoutError() if task.cancelled() else task.exception()
            if error is not None and not handover.given:
                handover.fail(error)
            coming.end(error)

        self._loop.call_soon_threadsafe(start)
        try:
            return handover.take(timeout)
        except BaseException:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(lambda: tasks[0].cancel())
            raise

    async def _exchange(
        self, scope: Message, body: bytes, handover: Handover[Answer], coming: Coming
    ) -> None:
        given = False

        async def receive() -> Message:
            nonlocal given
            if given:
                await self._stopping.wait()  # this caller never goes away
                return {"type": "http.disconnect"}
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = cast("list[tuple[bytes, bytes]]", list(message["headers"]))
                handover.give((message["status"], headers, coming))
            else:
                await coming.put(message.get("body", b""))

        await self._app(scope, receive, send)


class _Adapter(BaseAdapter):
    """The transport of `requests` to an app in this process."""

    def __init__(self, host: _Host) -> None:
        super().__init__()
        self._host = host

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,  # noqa: ARG002
        cert: Any = None,  # noqa: ARG002
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> requests.Response:
        body = request.body or b""
        content = body if isinstance(body, bytes) else str(body).encode()
        try:
            status, headers, coming = self._host.answer(
                _scope_of(request, content), content, cast("float | None", timeout)
            )
            found = _Body(coming) if stream else io.BytesIO(coming.read())
        except TimeoutError as error:
            raise requests.exceptions.ReadTimeout(request=request) from error
        return _response(request, status, headers, found)

    def close(self) -> None:
        pass


class _Body:
    """A body for `requests`, whose errors are those of a connection."""

    def __init__(self, coming: Coming) -> None:
        self._coming = coming

    def read(self, size: int = -1) -> bytes:
        try:
            return self._coming.read(size)
        except TimeoutError as error:
            raise requests.exceptions.ReadTimeout from error

    def close(self) -> None:
        self._coming.close()


def _scope_of(request: requests.PreparedRequest, body: bytes) -> Message:
    url = urlsplit(request.url or "")
    headers = [
        (name.lower().encode("latin-1"), str(value).encode("latin-1"))
        for name, value in request.headers.items()
        if name.lower() != "content-length"
    ]
    headers += [(b"host", url.netloc.encode()), (b"content-length", str(len(body)).encode())]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote(url.path),
        "raw_path": url.path.encode(),
        "query_string": url.query.encode(),
        "root_path": "",
        "headers": headers,
        "client": None,
        "server": None,
        "state": {},
    }


def _response(
    request: requests.PreparedRequest,
    status: int,
    headers: list[tuple[bytes, bytes]],
    body: io.BytesIO | _Body,
) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers = CaseInsensitiveDict(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in headers
    )
    response.raw = body
    response.url = request.url or ""
    response.request = request
    return response
