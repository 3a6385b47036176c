"""The API that a command talks to: a server, or the app in this process over the local database."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

from llm_cost_ops.cli.failure import AUTH, CommandError
from llm_cost_ops.cli.output import Row
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.client.caller import segment
from llm_cost_ops.client.credentials import Auth
from llm_cost_ops.client.policy import Into, Send, exchange
from llm_cost_ops.client.response import Response
from llm_cost_ops.client.settings import VARIABLES
from llm_cost_ops.client.sync_client import CostOpsClient
from llm_cost_ops.client.walks import SERVER_PAGE_LIMIT

LONG_SECONDS = 300.0
"""How long an answer of a server may take: a re-rating or an undo is no quick query."""
PATIENT_RETRIES = 8
"""How often a long import tries again before it gives up; about two minutes."""


class Api(CostOpsClient):
    """The SDK's client with answers as they come: plain mappings, exact amounts.

    `place` names what it talks to; `local` is true for the app of this process.
    """

    place = ""
    local = False

    def read(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """A GET below /api/v1."""
        return self._driver.run(self._caller.get(path, params))

    def download(self, path: str, params: Mapping[str, Any], into: Into) -> None:
        """A file below /api/v1, piece by piece."""
        self._driver.run(self._caller.file(path, params, into=into))

    def change(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Any:
        """A call that changes something, under one idempotency key for all its attempts."""
        return self._driver.run(self._caller.write(method, path, body, params=params))

    def report(self, body: Mapping[str, Any]) -> Any:
        """A report once it is made."""
        from llm_cost_ops.client.resources.reports import asked_for

        return self._driver.run(asked_for(self._caller, body))

    def settled(self, period: str, verb: str, body: Mapping[str, Any]) -> Any:
        """A month once it is closed, or open again. The app of this process does it in the request,
        because it has no worker."""
        from llm_cost_ops.client.resources.periods import settled

        asked = {**body, "wait": True} if self.local else {**body}
        return self._driver.run(settled(self._caller, period, verb, asked, math.inf))

    def repeatable(self, path: str, body: bytes, params: Mapping[str, Any]) -> Any:
        """A POST of records that carry event ids, by which the ledger knows a repetition.

        Without an idempotency key: the server would keep an answer as large as the batch for it.
        """
        return self._driver.run(self._caller.ask(path, body, params=params))

    def ask(self, path: str, body: Mapping[str, Any]) -> Any:
        """A POST that stores nothing."""
        return self._driver.run(self._caller.ask(path, body))

    def outside(self, path: str) -> Response:
        """A GET beside /api/v1 (`/health`), tried once."""
        root = self.settings.api_root.removesuffix("/api/v1")
        send = Send("GET", root + path, {"Accept": "application/json"})
        return self._driver.run(exchange(send, replace(self._caller.policy, max_retries=0)))

    def walk(self, path: str, params: Mapping[str, Any], limit: int | None) -> Walk:
        """The rows of a list, `limit` of them or all, a page in memory at a time."""
        return Walk(self, path, params, limit)


class Walk:
    """Rows page by page; afterwards `has_more` and `next_cursor` tell what lies beyond."""

    def __init__(self, api: Api, path: str, params: Mapping[str, Any], limit: int | None) -> None:
        self._api = api
        self._path = path
        self._params = dict(params)
        self._left = limit
        self.has_more = False
        self.next_cursor: str | None = None

    def __iter__(self) -> Iterator[Row]:
        while self._left is None or self._left > 0:
            size = SERVER_PAGE_LIMIT if self._left is None else min(self._left, SERVER_PAGE_LIMIT)
            answer = self._api.read(self._path, {**self._params, "limit": size})
            rows = cast("list[Row]", answer["data"])
            self.has_more = bool(answer.get("has_more"))
            self.next_cursor = answer.get("next_cursor")
            yield from rows
            if not self.has_more or self.next_cursor is None:
                return
            self._params["cursor"] = self.next_cursor
            if self._left is not None:
                self._left -= len(rows)


@contextmanager
def connected(profile: Profile, *, patient: bool = False, scoped: bool = True) -> Generator[Api]:
    """The API of the profile; a `patient` one outlasts a server that is busy or restarts.

    One that is not `scoped` answers for no organization, only what anybody may ask (`/health`).
    Raises CommandError, SettingsError and the SDK's errors.
    """
    retries = PATIENT_RETRIES if patient else None
    if profile.remote:
        with _server(profile, retries) as api:
            _check_organization(api, profile)
            yield api
        return
    from llm_cost_ops.cli.local import local_api

    with local_api(profile, retries, scoped=scoped) as api:
        yield api


@contextmanager
def _server(profile: Profile, retries: int | None) -> Generator[Api]:
    given = any(os.environ.get(name) for name in VARIABLES["timeout"])
    timeout = None if given else LONG_SECONDS
    address = profile.api_url or profile.server
    auth = _stored(profile, address)
    with Api(profile.api_key, address, auth=auth, timeout=timeout, max_retries=retries) as api:
        api.place = api.base_url
        profile.detail(f"Server {api.place}")
        yield api


def _stored(profile: Profile, address: str | None) -> Auth | None:
    """The login at this server, unless the flag or the environment has a key."""
    if profile.api_key or address is None or any(map(os.environ.get, VARIABLES["api_key"])):
        return None
    from llm_cost_ops.cli.logins import StoredToken, login_at, now_s

    login = login_at(address)
    return None if login is None else StoredToken(login, now=now_s)


def _check_organization(api: Api, profile: Profile) -> None:
    """A server serves the organization of the key; another one that is named is refused."""
    wanted = profile.organization
    if wanted is None:
        return
    found = cast("Mapping[str, Any]", api.read("/organizations/current"))
    if wanted not in (found["id"], found["slug"], found["name"]):
        raise CommandError(
            f"the key belongs to the organization {found['name']} ({found['id']}), not to {wanted}",
            code="ORGANIZATION_MISMATCH",
            exit_code=AUTH,
        )


def path_of(*parts: str) -> str:
    """A path of segments, of which those that are ids may hold anything."""
    return "".join(f"/{segment(part)}" for part in parts)
