"""People who sign in, and the browsers that they do it with."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html import unescape
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal
from pyotp.totp import TOTP
from sqlalchemy import insert, select

from llm_cost_ops.server.clock import Clock, FixedClock
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.identity.tables import accounts, user_roles, users
from llm_cost_ops.server.settings import DatabaseSettings, Settings, SignInSettings
from llm_cost_ops.server.signin.passwords import Passwords
from tests.support.application import Application, running

CHEAP = SignInSettings(argon2_time_cost=1, argon2_memory_kib=8, argon2_parallelism=1)
"""A hash that costs nothing; what it costs is the matter of one test alone."""
PASSWORD = "correct horse battery staple"
HOME = "https://costs.example.com"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Person:
    """Somebody with an account, a user of the application's organization."""

    account_id: str
    user_id: str
    email: str
    password: str


def make_person(
    application: Application,
    *roles: str,
    email: str | None = None,
    password: str | None = PASSWORD,
    settings: SignInSettings = CHEAP,
) -> Person:
    """A new person with these roles."""
    number = next(_numbers)
    email = email or f"person{number}@example.com"
    now_us = application.clock.micros()
    account_id, user_id = f"acc_{number:026}", f"usr_{number:026}"
    hashed = None if password is None else Passwords(settings).hash(password)
    with write(application.database) as session:
        session.execute(
            insert(accounts),
            {
                "id": account_id,
                "email": email,
                "name": f"Person {number}",
                "password_hash": hashed,
                "token_version": 0,
                "created_at": now_us,
            },
        )
    person = Person(account_id, user_id, email, password or "")
    add_to(application, person, *roles)
    return person


def add_to(application: Application, person: Person, *roles: str) -> None:
    """Make the person a user of this application's organization."""
    now_us = application.clock.micros()
    own = {"organization_id": application.organization_id}
    with write(application.database) as session:
        session.execute(
            insert(users),
            {
                **own,
                "id": person.user_id,
                "name": person.email,
                "kind": "person",
                "account_id": person.account_id,
                "email": person.email,
                "created_at": now_us,
                "version": 1,
            },
        )
        for role in roles:
            session.execute(
                insert(user_roles),
                {**own, "user_id": person.user_id, "role": role, "created_at": now_us},
            )


def column(application: Application, name: str, person: Person) -> Any:
    """What the account of a person has in this column."""
    with read(application.database) as session:
        return session.scalar(select(accounts.c[name]).where(accounts.c.id == person.account_id))


@dataclass
class Browser:
    """A browser at the application's pages: it keeps cookies, and sends the token of the session
    with what it changes. Without `origin` it sends none."""

    portal: BlockingPortal
    client: httpx.AsyncClient
    origin: str | None = HOME
    csrf: str | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        if method not in ("GET", "HEAD") and self.origin:
            headers.setdefault("Origin", self.origin)
        if method not in ("GET", "HEAD") and self.csrf:
            headers.setdefault("X-CSRF-Token", self.csrf)
        return self.portal.call(
            lambda: self.client.request(method, path, headers=headers, **options)
        )

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> httpx.Response:
        return self.request("POST", f"/api/v1/auth{path}", json=json or {}, **options)

    def me(self) -> httpx.Response:
        return self.get("/api/v1/auth/me")

    def login(self, person: Person, **more: Any) -> httpx.Response:
        body = {"email": person.email, "password": person.password, **more}
        answer = self.post("/login", body)
        if answer.status_code == 200:
            self.csrf = answer.json()["csrf_token"]
        return answer

    def cookie(self, name: str = "__Host-cost_ops_session") -> str | None:
        return self.client.cookies.get(name)

    def keep(self, cookies: Mapping[str, str]) -> None:
        """Have these cookies, as if they were copied from elsewhere."""
        for name, value in cookies.items():
            self.client.cookies.set(name, value, domain="costs.example.com", path="/")

    def open(self, path: str) -> Page:
        return Page(self, self.get(path))


@dataclass
class Page:
    """A page that a browser shows."""

    browser: Browser
    answer: httpx.Response

    @property
    def text(self) -> str:
        """What a reader sees, tags left out."""
        bare = re.sub(r"<style.*?</style>|<[^>]*>", " ", self.answer.text, flags=re.DOTALL)
        return unescape(re.sub(r"\s+", " ", bare))

    def form(self, action: str) -> dict[str, str]:
        """The hidden fields of the form that goes to this path."""
        pattern = rf'<form[^>]*action="{re.escape(action)}"[^>]*>(.*?)</form>'
        found = re.search(pattern, self.answer.text, re.DOTALL)
        assert found, self.answer.text
        inputs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', found[1])
        return {name: unescape(value) for name, value in inputs}

    def send(self, action: str, **fields: str) -> Page:
        """Fill in the form and send it; redirects are followed as a browser does."""
        answer = self.browser.request("POST", action, data={**self.form(action), **fields})
        while answer.is_redirect:
            answer = self.browser.get(answer.headers["location"])
        return Page(self.browser, answer)


@dataclass
class Doors(Application):
    """An application that people sign in to."""

    def browser(self, base: str = HOME, address: str = "203.0.113.9", **more: Any) -> Browser:
        transport = httpx.ASGITransport(
            self.app, raise_app_exceptions=False, client=(address, 40000)
        )
        client = httpx.AsyncClient(transport=transport, base_url=base)
        return Browser(self.portal, client, **{"origin": base, **more})

    @property
    def time(self) -> FixedClock:
        assert isinstance(self.clock, FixedClock)
        return self.clock

    def other(self) -> Doors:
        """The same app as a second organization sees it."""
        made = self.another()
        return replace(self, organization_id=made.organization_id, key=made.key)


def totp(secret: str, clock: Clock, steps: int = 0) -> str:
    """The code of this moment, or of some steps of 30 s later."""
    return TOTP(secret).at(clock.now(), counter_offset=steps)


@contextmanager
def doors_of(settings: Settings) -> Iterator[Doors]:
    with running(settings, clock=FixedClock(NOW)) as made:
        yield Doors(**vars(made))


@pytest.fixture
def sqlite_doors(sqlite_settings: DatabaseSettings) -> Iterator[Doors]:
    """An app on SQLite whose clock stands still."""
    with doors_of(Settings(database=sqlite_settings, sign_in=CHEAP)) as made:
        yield made


@pytest.fixture
def doors(database_settings: DatabaseSettings) -> Iterator[Doors]:
    """The same on each kind of database."""
    patient = replace(database_settings, lock_timeout_ms=20_000, statement_timeout_ms=30_000)
    with doors_of(Settings(database=patient, sign_in=CHEAP)) as made:
        yield made
