"""The app of the server in this process, its lifespan running, spoken to without sockets.

application         an `Application` on each kind of database
sqlite_application  the same on SQLite alone, for what no database can change
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from llm_cost_ops.server.access.issue import issue_key
from llm_cost_ops.server.app import create_app
from llm_cost_ops.server.clock import Clock, SystemClock
from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.http.edge import Edge
from llm_cost_ops.server.identity.organizations import create_organization
from llm_cost_ops.server.settings import DatabaseSettings, Settings

_numbers = itertools.count(1)


def make_organization(database: Database, clock: Clock, name: str | None = None) -> str:
    """A new organization; its id."""
    with write(database) as session:
        made = create_organization(
            session, name=name or f"Organization {next(_numbers)}", now_us=clock.micros()
        )
    return made.id


def make_key(
    database: Database,
    clock: Clock,
    organization_id: str,
    scopes: Sequence[str] = ("*",),
    expires_at: int | None = None,
) -> tuple[str, str]:
    """A new API key of an organization: its id and its secret."""
    with write(database) as session:
        issued = issue_key(
            session,
            organization_id=organization_id,
            name="test",
            scopes=scopes,
            prefix="sk_test_",
            now_us=clock.micros(),
            expires_at=expires_at,
        )
    return issued.key.id, issued.secret


@dataclass
class Application:
    """A running app, one organization of it and a key that may do everything there."""

    app: Edge
    organization_id: str
    key: str
    database: Database
    clock: Clock
    portal: BlockingPortal
    client: httpx.AsyncClient

    def request(
        self,
        method: str,
        path: str,
        *,
        key: str | None = "",
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """A request with this organization's key, another `key`, or (None) without one."""
        sent = dict(headers or {})
        if key is not None:
            sent.setdefault("Authorization", f"Bearer {key or self.key}")
        return self.portal.call(lambda: self.client.request(method, path, headers=sent, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.request("DELETE", path, **options)

    def new_key(self, *scopes: str, expires_at: int | None = None) -> str:
        """The secret of a new key of this organization."""
        return self.new_key_with_id(*scopes, expires_at=expires_at)[1]

    def new_key_with_id(self, *scopes: str, expires_at: int | None = None) -> tuple[str, str]:
        return make_key(
            self.database, self.clock, self.organization_id, scopes or ("*",), expires_at
        )

    def another(self) -> Application:
        """The same app as a second organization sees it."""
        organization_id = make_organization(self.database, self.clock)
        _, key = make_key(self.database, self.clock, organization_id)
        return replace(self, organization_id=organization_id, key=key)


@asynccontextmanager
async def lifespan(app: Edge) -> AsyncIterator[None]:
    """The app between its startup and its shutdown."""
    said: asyncio.Queue[Any] = asyncio.Queue()
    heard: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.get_running_loop().create_task(app(scope, said.get, heard.put))
    await said.put({"type": "lifespan.startup"})
    started = await heard.get()
    if started["type"] != "lifespan.startup.complete":
        await task
    try:
        yield
    finally:
        await said.put({"type": "lifespan.shutdown"})
        ended = await heard.get()
        await task
        assert ended["type"] == "lifespan.shutdown.complete"


@contextmanager
def running(
    settings: Settings, *, clock: Clock | None = None, database: Database | None = None
) -> Iterator[Application]:
    """An app on a migrated database, with one organization and key."""
    time = clock or SystemClock()
    opened = database or open_database(settings.database)
    organization_id = make_organization(opened, time)
    _, key = make_key(opened, time, organization_id)
    app = create_app(settings, clock=clock, database=opened)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://testserver")
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(lifespan(app)):
        yield Application(app, organization_id, key, opened, time, portal, client)
        portal.call(client.aclose)
    if database is None:
        opened.dispose()


@pytest.fixture
def application(database_settings: DatabaseSettings) -> Iterator[Application]:
    # Other tests create and drop databases on the same server, which holds it up for seconds.
    patient = replace(database_settings, lock_timeout_ms=20_000, statement_timeout_ms=30_000)
    with running(Settings(database=patient)) as made:
        yield made


@pytest.fixture
def sqlite_application(sqlite_settings: DatabaseSettings) -> Iterator[Application]:
    with running(Settings(database=sqlite_settings)) as made:
        yield made
