from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import pytest

from llm_cost_ops import AsyncCostOpsClient
from llm_cost_ops.auth import ApiKey, BearerToken, OAuth2
from llm_cost_ops.exceptions import (
    AuthenticationError,
    ConfigurationError,
    NetworkError,
    ServerError,
)
from llm_cost_ops.testing import FakeServer
from llm_cost_ops.testing.server import Answer

TOKEN_URL = "http://fake.llm-cost-ops.test/oauth/token"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def oauth(clock: Clock) -> OAuth2:
    return OAuth2("client id", "s3cret:/", TOKEN_URL, scope="write:costs", clock=clock)


def paths(fake: FakeServer) -> list[str]:
    return [request.path.rpartition("/")[2] for request in fake.requests]


def bearers(fake: FakeServer) -> list[str]:
    return [r.headers["authorization"] for r in fake.requests if r.path != "/oauth/token"]


def test_keys_and_tokens(drive: Any, fake: FakeServer) -> None:
    for options in (
        {"api_key": "sk_1"},
        {"jwt_token": "sk_1"},
        {"auth": ApiKey("sk_1")},
        {"auth": BearerToken("sk_1")},
        {"auth": BearerToken(lambda: "sk_1")},
    ):
        api = drive(fake, **options)
        api(api.costs.list)
    assert bearers(fake) == ["Bearer sk_1"] * 5


def test_without_credentials_the_server_decides(drive: Any) -> None:
    fake = FakeServer(api_keys=("sk_good",))
    api = drive(fake, api_key=None)
    with pytest.raises(AuthenticationError) as caught:
        api(api.costs.list)
    assert (caught.value.status_code, caught.value.code) == (401, "AUTH_001")
    assert "authorization" not in fake.requests[0].headers
    api = drive(fake, api_key="sk_good")
    assert api(api.costs.list) == []


def test_a_token_is_fetched_once_and_kept(drive: Any, fake: FakeServer, oauth: OAuth2) -> None:
    api = drive(fake, auth=oauth)
    for _ in range(3):
        api(api.costs.list)
    assert paths(fake) == ["token", "costs", "costs", "costs"]
    assert len(set(bearers(fake))) == 1
    asked = fake.requests[0]
    assert asked.method == "POST"
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.headers["authorization"] == "Basic Y2xpZW50K2lkOnMzY3JldCUzQSUyRg=="
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["write:costs"],
    }


def test_the_secret_may_go_in_the_body(drive: Any, fake: FakeServer) -> None:
    api = drive(fake, auth=OAuth2("id", "s&c", TOKEN_URL, auth_method="post"))
    api(api.costs.list)
    assert "authorization" not in fake.requests[0].headers
    assert parse_qs(fake.requests[0].body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["id"],
        "client_secret": ["s&c"],
    }


@pytest.mark.parametrize(("life", "renewed_at"), [(3600, 3540.0), (100, 50.0), (60, 30.0)])
def test_a_token_is_renewed_before_it_expires(
    drive: Any,
    fake: FakeServer,
    oauth: OAuth2,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    life: int,
    renewed_at: float,
) -> None:
    answered = fake.handle

    def handle(method: str, url: str, headers: Any, body: bytes) -> Answer:
        answer = answered(method, url, headers, body)
        if url == TOKEN_URL:
            token = {**json.loads(answer.body), "expires_in": life}
            return Answer(200, {}, json.dumps(token).encode())
        return answer

    monkeypatch.setattr(fake, "handle", handle)
    api = drive(fake, auth=oauth)
    for now in (0.0, renewed_at - 0.001, renewed_at):
        clock.now = now
        api(api.costs.list)
    assert paths(fake) == ["token", "costs", "costs", "token", "costs"]


def test_a_token_without_an_end_is_kept(
    drive: Any, fake: FakeServer, oauth: OAuth2, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = fake.handle
    token = b'{"access_token": "t", "expires_in": null}'
    monkeypatch.setattr(
        fake,
        "handle",
        lambda m, u, h, b: Answer(200, {}, token) if u == TOKEN_URL else answered(m, u, h, b),
    )
    api = drive(fake, auth=oauth)
    api(api.costs.list)
    clock.now = 1e9
    api(api.costs.list)
    assert bearers(fake) == ["Bearer t"] * 2


def test_a_refused_token_is_renewed_once(drive: Any, fake: FakeServer, oauth: OAuth2) -> None:
    api = drive(fake, auth=oauth)
    api(api.costs.list)
    fake.requests.clear()
    fake.fail_next(401)
    api(api.costs.create, model="m", tokens_used=1, cost=1)
    assert paths(fake) == ["costs", "token", "costs"]
    first, second = bearers(fake)
    assert first != second
    fake.requests.clear()
    fake.fail_next(401)
    fake._faults.append(fake._faults[0])
    fake._faults.insert(1, _pass(fake))
    with pytest.raises(AuthenticationError):
        api(api.costs.list)
    assert paths(fake) == ["costs", "token", "costs"]


def _pass(fake: FakeServer) -> Any:
    """A fault that is none: the token request in between is answered as usual."""
    from llm_cost_ops.testing.server import _Fault

    body = b'{"access_token": "other", "expires_in": 3600}'
    return _Fault(Answer(200, {}, body), after_work=False)


def test_an_api_key_is_not_tried_again_after_a_401(drive: Any, fake: FakeServer) -> None:
    api = drive(fake)
    fake.fail_next(401)
    with pytest.raises(AuthenticationError):
        api(api.costs.list)
    assert len(fake.requests) == 1


def test_refused_client_credentials_are_told(drive: Any, fake: FakeServer, oauth: OAuth2) -> None:
    api = drive(fake, auth=oauth)
    fake.fail_next(400, code="invalid_client")
    with pytest.raises(AuthenticationError, match="refused the client credentials") as caught:
        api(api.costs.list)
    assert caught.value.status_code == 400
    assert paths(fake) == ["token"]


def test_the_token_endpoint_is_tried_again_like_the_api(
    drive: Any, fake: FakeServer, oauth: OAuth2
) -> None:
    api = drive(fake, auth=oauth)
    fake.fail_next(503)
    fake.drop_next()
    api(api.costs.list)
    assert paths(fake) == ["token", "token", "token", "costs"]


@pytest.mark.parametrize(("kind", "status"), [(ServerError, 503), (NetworkError, 0)])
def test_a_token_endpoint_that_is_down_is_told(
    drive: Any, fake: FakeServer, oauth: OAuth2, kind: type[Exception], status: int
) -> None:
    api = drive(fake, auth=oauth, max_retries=1)
    if status:
        fake.fail_next(status, times=2)
    else:
        fake.drop_next(times=2)
    with pytest.raises(kind):
        api(api.costs.list)
    api(api.costs.list)
    assert paths(fake) == ["token", "token", "token", "costs"]


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"<html>", b'{"access_token": ""}', b'{"access_token": 5}']
)
def test_an_answer_without_a_token_is_told(
    drive: Any, fake: FakeServer, oauth: OAuth2, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    api = drive(fake, auth=oauth)
    monkeypatch.setattr(fake, "handle", lambda *_: Answer(200, {}, body))
    with pytest.raises(AuthenticationError, match="without an access_token"):
        api(api.costs.list)


def test_threads_wait_for_one_token(
    fake: FakeServer, oauth: OAuth2, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = fake.handle

    def slowly(method: str, url: str, headers: Any, body: bytes) -> Answer:
        time.sleep(0.05 if url == TOKEN_URL else 0)
        return answered(method, url, headers, body)

    monkeypatch.setattr(fake, "handle", slowly)
    client = fake.client(auth=oauth)
    together = threading.Barrier(8)

    def call(_: int) -> None:
        together.wait()
        client.costs.list()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(8)))
    assert paths(fake).count("token") == 1


def test_tasks_wait_for_one_token(fake: FakeServer) -> None:
    async def run(url: str) -> None:
        oauth = OAuth2("id", "secret", f"{url}/oauth/token")
        async with AsyncCostOpsClient(base_url=url, auth=oauth) as client:
            await asyncio.gather(*(client.costs.list() for _ in range(8)))

    with fake.serve() as url:
        asyncio.run(run(url))
    assert paths(fake).count("token") == 1
    assert paths(fake).count("costs") == 8


@pytest.mark.parametrize("key", ["sk_1\nX-Evil: 1", "sk 1", "sk_\u00e9", "sk_\x00"])
def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(
    drive: Any, fake: FakeServer, key: str
) -> None:
    for options in ({"api_key": key}, {"jwt_token": key}, {"auth": BearerToken(lambda: key)}):
        api = drive(fake, **options)
        with pytest.raises(ConfigurationError) as caught:
            api(api.costs.list)
        assert "sk" not in str(caught.value)
    assert not fake.requests


def test_secrets_are_not_shown(oauth: OAuth2) -> None:
    assert "s3cret" not in repr(oauth)
    assert "sk_1" not in repr(ApiKey("sk_1"))


def test_the_token_url_is_checked() -> None:
    with pytest.raises(ConfigurationError, match="token_url must begin with"):
        OAuth2("id", "secret", "auth.example.org/token")
