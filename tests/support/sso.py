"""Browsers that sign in by an identity provider."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx

from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.settings import DatabaseSettings, DeliverySettings, Settings, SsoSettings
from llm_cost_ops.server.signin.tables import sign_in_attempts
from tests.support.application import Application
from tests.support.idp import CLIENT_ID, CLIENT_SECRET, Idp, identity_provider
from tests.support.people import CHEAP, Browser, Doors, doors_of

PROVIDERS = "/api/v1/sso/providers"
POLICY = "/api/v1/sso/policy"
INSIDE = DeliverySettings(allow_networks=("127.0.0.0/8",))
EMAIL = "ann@example.com"


def forget_attempts(app: Application) -> None:
    """So that the next one need not wait."""
    with write(app.database) as session:
        session.execute(sign_in_attempts.delete())


@dataclass
class House:
    """An app, an identity provider, and what the app knows of it."""

    doors: Doors
    idp: Idp

    def provider(self, app: Doors | None = None, /, **fields: Any) -> dict[str, Any]:
        """A new provider of an organization, the first one's unless another is named."""
        body = {
            "kind": "generic",
            "name": "Works",
            "issuer": self.idp.issuer,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "domains": ["example.com"],
            **fields,
        }
        answer = (app or self.doors).post(PROVIDERS, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def person(self, subject: str = "sub-1", email: str | None = EMAIL, **claims: Any) -> None:
        """Who is at the provider from now on."""
        self.idp.claims = {"sub": subject, "email": email, "email_verified": True, **claims}

    def later(self, seconds: int) -> None:
        self.doors.time.current += timedelta(seconds=seconds)
        self.doors.time.elapsed_s += seconds

    def go(self, browser: Browser, provider_id: str, onward: str = "") -> str:
        """Where the browser is sent to."""
        query = {"next": onward} if onward else {}
        answer = browser.get(f"/login/sso/{provider_id}", params=query)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def come_back(self, browser: Browser, provider_id: str, **fields: str) -> httpx.Response:
        return browser.get(f"/login/sso/{provider_id}/callback", params=fields)

    def sign_in(
        self, provider_id: str, browser: Browser | None = None, onward: str = "", **changed: str
    ) -> tuple[Browser, httpx.Response]:
        browser = browser or self.doors.browser()
        back = self.idp.authorize(self.go(browser, provider_id, onward), **changed)
        return browser, self.come_back(browser, provider_id, **back)

    def entered(self, provider_id: str, **options: Any) -> Browser:
        browser, answer = self.sign_in(provider_id, **options)
        assert answer.status_code == 303, answer.text
        assert urlsplit(answer.headers["location"]).path == "/account"
        me = browser.me()
        assert me.status_code == 200, me.text
        browser.csrf = me.json()["csrf_token"]
        return browser


@contextmanager
def house_of(database: DatabaseSettings, **sections: Any) -> Iterator[House]:
    chosen = {"sign_in": CHEAP, "delivery": INSIDE, **sections}
    with doors_of(Settings(database=database, **chosen)) as doors:
        with identity_provider(lambda: doors.clock.micros() / 1_000_000) as idp:
            made = House(doors, idp)
            made.person()
            yield made


@contextmanager
def installed_of(database: DatabaseSettings, **sso: Any) -> Iterator[House]:
    """The same with the provider in the settings of the installation, called `oidc`."""
    doors: list[Doors] = []

    def now_s() -> float:
        return doors[0].clock.micros() / 1_000_000

    with identity_provider(now_s) as idp:
        chosen = {
            "oidc_issuer": idp.issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": CLIENT_SECRET,
            "domains": ("example.com",),
            **sso,
        }
        settings = Settings(
            database=database, sign_in=CHEAP, delivery=INSIDE, sso=SsoSettings(**chosen)
        )
        with doors_of(settings) as made:
            doors.append(made)
            house = House(made, idp)
            house.person()
            yield house
