"""Tokens that renew themselves: by one request however many wait, and no refresh token is lost."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from llm_cost_ops.auth import OAuth2, Tokens, UserToken, request_code
from llm_cost_ops.exceptions import AuthenticationError, ConfigurationError, NetworkError
from llm_cost_ops.testing import FakeServer
from llm_cost_ops.testing.server import ADDRESS, Answer, LostConnection

REFRESH = f"{ADDRESS}/api/v1/auth/refresh"
TOKEN = f"{ADDRESS}/oauth/token"


class Issuer:
    """A fake's tokens as the server gives them: a refresh token works once, but one whose answer
    was lost gives the same successor again. `lose` answers get lost on their way."""

    def __init__(self, fake: FakeServer) -> None:
        self.good = "at_0"
        self.spent: dict[str, str] = {}
        self.refresh = "rt_0"
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.lose = 0
        self.began, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        self._lock = threading.Lock()
        self._api = fake.handle
        fake.handle = self.handle  # type: ignore[method-assign]

    def handle(self, method: str, url: str, headers: Any, body: bytes) -> Answer:
        if url in (REFRESH, TOKEN):
            return self._issue(url, body)
        lower = {name.lower(): value for name, value in headers.items()}
        if lower.get("authorization") != f"Bearer {self.good}":
            return Answer(401, {}, b'{"error": {"code": "AUTH_001", "message": "Invalid"}}')
        return self._api(method, url, headers, body)

    def _issue(self, url: str, body: bytes) -> Answer:
        self.began.set()
        assert self.go_on.wait(10)
        with self._lock:
            form = (
                json.loads(body)
                if url == REFRESH
                else {name: values[0] for name, values in parse_qs(body.decode()).items()}
            )
            self.asked.append((url, form))
            given = form.get("refresh_token") or form.get("code", "")
            if given == self.refresh:
                self.refresh = self.spent[given] = f"rt_{len(self.spent) + 1}"
            elif self.spent.get(given) != self.refresh:
                return Answer(400, {}, b'{"error": "invalid_grant"}')
            self.good = f"at_{len(self.asked)}"
            if self.lose:
                self.lose -= 1
                raise LostConnection
        pair = {
            "access_token": self.good,
            "refresh_token": self.refresh,
            "token_type": "Bearer",
            "expires_in": 3600,
        }
        return Answer(200, {}, json.dumps(pair).encode())


@pytest.fixture
def issuer(fake: FakeServer) -> Issuer:
    return Issuer(fake)


def test_a_refused_token_is_renewed_by_the_refresh_token(
    drive: Any, fake: FakeServer, issuer: Issuer
) -> None:
    api = drive(fake, jwt_token="at_0", refresh_token="rt_0")
    api(api.costs.list)
    assert issuer.asked == []
    issuer.good = "other"
    api(api.costs.list)
    issuer.good = "another"
    api(api.costs.list)
    assert issuer.asked == [(REFRESH, {"refresh_token": f"rt_{n}"}) for n in range(2)]


def test_a_refresh_token_alone_is_enough(drive: Any, fake: FakeServer, issuer: Issuer) -> None:
    api = drive(fake, refresh_token="rt_0")
    api(api.costs.list)
    assert len(issuer.asked) == 1


def test_a_token_of_another_kind_besides_is_refused(drive: Any, fake: FakeServer) -> None:
    with pytest.raises(ConfigurationError, match="give one of"):
        drive(fake, api_key="sk_1", refresh_token="rt_0")


def test_a_stored_token_is_renewed_before_its_end_and_the_pair_is_told(
    drive: Any, fake: FakeServer, issuer: Issuer
) -> None:
    told: list[Tokens] = []
    auth = UserToken("at_0", "rt_0", REFRESH, expires_in=0, renewed=told.append)
    api = drive(fake, auth=auth)
    api(api.costs.list)
    api(api.costs.list)
    assert told == [Tokens("at_1", "rt_1", 3600.0)]
    assert len(issuer.asked) == 1
    assert "at_1" not in repr(told) + repr(auth)


def test_a_lost_answer_is_asked_for_again(drive: Any, fake: FakeServer, issuer: Issuer) -> None:
    api = drive(fake, jwt_token="gone", refresh_token="rt_0")
    issuer.lose = 2
    api(api.costs.list)
    assert [form["refresh_token"] for _, form in issuer.asked] == ["rt_0"] * 3
    issuer.good = "other"
    api(api.costs.list)
    assert issuer.asked[-1][1] == {"refresh_token": "rt_1"}


def test_a_refused_refresh_token_says_to_sign_in(
    drive: Any, fake: FakeServer, issuer: Issuer
) -> None:
    api = drive(fake, jwt_token="gone", refresh_token="rt_stolen")
    with pytest.raises(AuthenticationError, match="sign in again"):
        api(api.costs.list)
    assert len(issuer.asked) == 1


def test_threads_with_one_refused_token_renew_it_once(fake: FakeServer, issuer: Issuer) -> None:
    client = fake.client(jwt_token="gone", refresh_token="rt_0")
    together = threading.Barrier(8)

    def call(_: int) -> None:
        together.wait()
        client.costs.list()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(8)))
    assert len(issuer.asked) == 1


def test_tasks_with_one_refused_token_renew_it_once(fake: FakeServer, issuer: Issuer) -> None:
    async def run() -> None:
        async with fake.async_client(jwt_token="gone", refresh_token="rt_0") as client:
            await asyncio.gather(*(client.costs.list() for _ in range(8)))

    asyncio.run(run())
    assert len(issuer.asked) == 1


def test_a_cancelled_call_does_not_take_the_next_refresh_token_along(
    fake: FakeServer, issuer: Issuer
) -> None:
    issuer.go_on.clear()

    async def run(url: str) -> None:
        auth = UserToken("gone", "rt_0", f"{url}/api/v1/auth/refresh")
        async with fake.async_client(auth=auth) as client:
            call = asyncio.create_task(client.costs.list())
            assert await asyncio.to_thread(issuer.began.wait, 10)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            issuer.go_on.set()
            await client.costs.list()

    slow = _Elsewhere(fake)
    asyncio.run(run(ADDRESS))
    assert slow.calls == 1
    assert [form for _, form in issuer.asked] == [{"refresh_token": "rt_0"}]


class _Elsewhere:
    """Has the fake answer renewals in a thread, so that the event loop goes on meanwhile."""

    def __init__(self, fake: FakeServer) -> None:
        self.calls = 0
        made = fake.transport

        def transport() -> Any:
            inner = made()
            answer = inner.handle_async_request

            async def handle(request: Any) -> Any:
                if str(request.url) != REFRESH:
                    return await answer(request)
                self.calls += 1
                body = await request.aread()
                given = await asyncio.to_thread(
                    fake.handle, request.method, str(request.url), request.headers, body
                )
                import httpx

                return httpx.Response(given.status, content=given.body)

            inner.handle_async_request = handle
            return inner

        fake.transport = transport  # type: ignore[method-assign]


def test_oauth_goes_on_with_a_refresh_token(drive: Any, fake: FakeServer, issuer: Issuer) -> None:
    api = drive(fake, auth=OAuth2("app", None, TOKEN, refresh_token="rt_0"))
    api(api.costs.list)
    assert issuer.asked == [
        (TOKEN, {"grant_type": "refresh_token", "refresh_token": "rt_0", "client_id": "app"})
    ]


def test_a_code_gives_tokens_that_renew_themselves(
    drive: Any, fake: FakeServer, issuer: Issuer
) -> None:
    asked = request_code(f"{ADDRESS}/oauth/authorize", "app", "http://127.0.0.1:1/", scope="a b")
    query = {name: values[0] for name, values in parse_qs(urlsplit(asked.url).query).items()}
    assert (query["state"], query["scope"]) == (asked.state, "a b")
    assert query["code_challenge_method"] == "S256"
    issuer.refresh = "code"
    auth = OAuth2.from_code(
        "app",
        "s3cret",
        TOKEN,
        code="code",
        redirect_uri=asked.redirect_uri,
        code_verifier=asked.code_verifier,
        auth_method="post",
    )
    api = drive(fake, auth=auth)
    api(api.costs.list)
    issuer.good = "other"
    api(api.costs.list)
    first, second = (form for _, form in issuer.asked)
    assert first["grant_type"] == "authorization_code"
    assert first["code_verifier"] == asked.code_verifier
    assert (second["grant_type"], second["refresh_token"]) == ("refresh_token", "rt_1")


def test_a_code_is_never_sent_twice(drive: Any, fake: FakeServer, issuer: Issuer) -> None:
    issuer.refresh, issuer.lose = "code", 1
    auth = OAuth2.from_code(
        "app", None, TOKEN, code="code", redirect_uri="http://127.0.0.1:1/", code_verifier="v"
    )
    api = drive(fake, auth=auth)
    with pytest.raises(NetworkError):
        api(api.costs.list)
    with pytest.raises(AuthenticationError, match="sign in again"):
        api(api.costs.list)
    assert len(issuer.asked) == 1
