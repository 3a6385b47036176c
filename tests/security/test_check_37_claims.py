"""Check 37: a signed token is accepted for what it is, in its time, and for nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt as pyjwt
import pytest

from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from tests.support.application import Application, running
from tests.support.forged import hs256, parts_of, without
from tests.support.tokens import add_person, sign_in

pytestmark = pytest.mark.check(37)
WHO = "/api/v1/auth/validate"
LEEWAY = 30


@pytest.fixture
def application(sqlite_settings: DatabaseSettings) -> Iterator[Application]:
    clock = FixedClock(datetime(2026, 3, 15, 12, 0, tzinfo=UTC))
    with running(Settings(database=sqlite_settings), clock=clock) as made:
        yield made


@pytest.fixture
def token(application: Application) -> str:
    return sign_in(application, add_person(application, "analyst")).access_token


def status(application: Application, token: str) -> int:
    return application.get(WHO, key=token).status_code


def forged(application: Application, token: str, *names: str, **changed: Any) -> str:
    """The token with other claims and a right signature."""
    header, claims = parts_of(token)
    key = application.app.state.tokens.keys.find(header["kid"]).key.raw_value
    return hs256(header, without(claims, *names, **changed), key)


def later(application: Application, seconds: float) -> None:
    clock = application.clock
    assert isinstance(clock, FixedClock)
    clock.current += timedelta(seconds=seconds)
    clock.elapsed_s += seconds


def test_another_library_reads_the_same(application: Application, token: str) -> None:
    header, claims = parts_of(token)
    key = application.app.state.tokens.keys.find(header["kid"]).key.raw_value
    read = pyjwt.decode(
        token,
        key,
        algorithms=["HS256"],
        audience="llm-cost-ops",
        issuer="llm-cost-ops",
        options={"require": ["exp", "iat", "nbf", "jti", "sub"], "verify_exp": False},
    )
    assert read == claims
    assert header == {"alg": "HS256", "typ": "at+jwt", "kid": header["kid"]}
    assert set(claims) == {
        "iss", "aud", "typ", "sub", "org", "scope", "ver", "fam", "jti", "iat", "nbf", "exp",
    }  # fmt: skip
    assert claims["exp"] - claims["iat"] == 3_600
    own = pyjwt.encode(claims, key, algorithm="HS256", headers=header)
    assert status(application, own) == 200


@pytest.mark.parametrize(
    "name", ["iss", "aud", "typ", "exp", "nbf", "iat", "jti", "sub", "org", "ver", "scope", "fam"]
)
def test_every_claim_is_needed(application: Application, token: str, name: str) -> None:
    assert status(application, forged(application, token)) == 200
    assert status(application, forged(application, token, name)) == 401


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iss", "evil"), ("iss", ["llm-cost-ops"]), ("aud", "other"), ("aud", ["llm-cost-ops"]),
        ("typ", "refresh"), ("typ", "id"), ("typ", "webhook"), ("typ", None), ("exp", "2999"),
        ("exp", 1e300), ("exp", None), ("exp", True), ("iat", None), ("nbf", "now"), ("ver", 1),
        ("ver", -1), ("ver", True), ("ver", "0"), ("fam", "fam_x"), ("fam", 1), ("jti", ""),
        ("sub", ""), ("scope", None), ("scope", ["*"]), ("client_id", 1), ("org", ""),
    ],
)  # fmt: skip
def test_a_claim_that_says_something_else(
    application: Application, token: str, name: str, value: Any
) -> None:
    assert status(application, forged(application, token, **{name: value})) == 401


def test_a_token_ends_on_time(application: Application, token: str) -> None:
    later(application, 3_600 + LEEWAY - 1)
    assert status(application, token) == 200
    later(application, 0.999_999)
    assert status(application, token) == 200
    later(application, 0.000_001)
    assert status(application, token) == 401


def test_a_token_begins_on_time(application: Application, token: str) -> None:
    now_s = application.clock.micros() // 1_000_000
    for name in ("iat", "nbf"):
        assert status(application, forged(application, token, **{name: now_s + LEEWAY})) == 200
        assert status(application, forged(application, token, **{name: now_s + LEEWAY + 1})) == 401


def test_more_scope_than_the_roles_give_is_worth_nothing(
    application: Application, token: str
) -> None:
    claimed = forged(application, token, scope="*")
    answer = application.get(WHO, key=claimed)
    assert answer.status_code == 200
    assert "*" not in answer.json()["scopes"]
    assert "read:costs" in answer.json()["scopes"]
    assert (
        application.post("/api/v1/auth/api-keys", json={"name": "x"}, key=claimed).status_code
        == 403
    )


def test_a_refresh_token_is_no_access_token(application: Application) -> None:
    pair = sign_in(application, add_person(application, "analyst"))
    assert pair.refresh_token is not None
    assert status(application, pair.refresh_token) == 401
