"""Check 38: signing keys follow each other without a valid token failing, and then end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from llm_cost_ops.server.access.tokens.desk import Tokens
from llm_cost_ops.server.access.tokens.signing import NoSigningKey, SigningKeys
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from llm_cost_ops.server.settings.serving import AppSettings, SecuritySettings
from llm_cost_ops.server.settings.tokens import JwtSettings
from tests.support.application import Application, running
from tests.support.forged import parts_of
from tests.support.tokens import add_person, sign_in

pytestmark = pytest.mark.check(38)
WHO = "/api/v1/auth/validate"
DRAINED = 2 + 3_600 + 30
ASKED = 1_000


def status(application: Application, token: str) -> int:
    return application.get(WHO, key=token).status_code


def later(application: Application, seconds: float) -> None:
    clock = application.clock
    assert isinstance(clock, FixedClock)
    clock.current += timedelta(seconds=seconds)
    clock.elapsed_s += seconds


def kid_of(token: str) -> str:
    return parts_of(token)[0]["kid"]


@pytest.fixture
def application(sqlite_settings: DatabaseSettings) -> Iterator[Application]:
    clock = FixedClock(datetime(2026, 3, 15, 12, 0, tzinfo=UTC))
    with running(Settings(database=sqlite_settings), clock=clock) as made:
        yield made


def test_an_old_key_is_accepted_until_it_is_drained(application: Application) -> None:
    person = add_person(application, "analyst")
    old = sign_in(application, person).access_token
    keys: SigningKeys = application.app.state.tokens.keys
    kid = keys.rotate()
    later(application, 2)
    new = sign_in(application, person).access_token
    assert kid_of(new) == kid != kid_of(old)
    assert status(application, old) == status(application, new) == 200
    later(application, 3_500)
    assert status(application, old) == 200
    again = sign_in(application, person).access_token
    later(application, DRAINED - 3_502)
    assert status(application, old) == 401
    assert status(application, again) == 200
    assert [row.kid for row in keys.listed()] == [kid]


def test_a_key_is_retired_at_once(application: Application) -> None:
    person = add_person(application, "analyst")
    old = sign_in(application, person).access_token
    assert status(application, old) == 200
    keys: SigningKeys = application.app.state.tokens.keys
    keys.rotate()
    kid = keys.rotate(at_once=True)
    later(application, 1)
    assert status(application, old) == 401
    assert [row.kid for row in keys.listed()] == [kid]
    assert kid_of(sign_in(application, person).access_token) == kid


def test_another_process_learns_of_a_key_in_time(application: Application) -> None:
    person = add_person(application, "analyst")
    sign_in(application, person)
    other = Tokens(application.database, application.app.state.settings, application.clock)
    assert other.keys.find("A" * 22) is None
    kid = application.app.state.tokens.keys.rotate()
    token = sign_in(application, person).access_token
    assert kid_of(token) != kid
    later(application, 0.05)
    assert other.keys.find(kid_of(token)) is not None
    later(application, 0.9)
    assert other.keys.find(kid) is not None


def test_no_valid_request_fails_while_keys_rotate(application_of_now: Application) -> None:
    """Fault row 38: another process begins one key after the other while four clients ask without a
    pause, with tokens of old keys and of new ones."""
    application = application_of_now
    state = application.app.state
    elsewhere = SigningKeys(application.database, state.settings, application.clock)
    person = add_person(application, "analyst")
    tokens = [sign_in(application, person).access_token]
    seen: list[int] = []
    ended = threading.Event()

    def ask(client: int) -> None:
        number = client
        while not ended.is_set():
            number += 1
            token = tokens[0] if number % 4 == 0 else tokens[-1 - number % min(len(tokens), 8)]
            seen.append(status(application, token))

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, client) for client in range(4)]
        until_s = time.monotonic() + 60
        try:
            while len(seen) < ASKED or len({kid_of(token) for token in tokens}) < 3:
                elsewhere.rotate()
                tokens.append(sign_in(application, person).access_token)
                assert time.monotonic() < until_s, len(seen)
                ended.wait(0.2)
        finally:
            ended.set()
        for each in asking:
            each.result()
    assert set(seen) == {200}


@pytest.fixture
def application_of_now(sqlite_settings: DatabaseSettings) -> Iterator[Application]:
    with running(Settings(database=sqlite_settings)) as made:
        yield made


def pem(key: Any) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def signed_by(sqlite_settings: DatabaseSettings, algorithm: str, file: Path) -> Settings:
    jwt = JwtSettings(algorithm=algorithm, private_key_file=str(file))
    return replace(Settings(database=sqlite_settings), jwt=jwt)


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
def test_only_public_keys_are_published(
    sqlite_settings: DatabaseSettings, tmp_path: Path, algorithm: str
) -> None:
    file = tmp_path / "key.pem"
    new = Ed25519PrivateKey.generate if algorithm == "EdDSA" else rsa
    file.write_bytes(pem(new()))
    settings = signed_by(sqlite_settings, algorithm, file)
    with running(settings) as application:
        person = add_person(application, "analyst")
        old = sign_in(application, person).access_token
        keys = application.app.state.tokens.keys
        [published] = keys.public()
        assert published["kid"] == kid_of(old)
        assert (published["alg"], published["use"]) == (algorithm, "sig")
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(published)
        key = pyjwt.PyJWK(published)
        claims = pyjwt.decode(old, key, algorithms=[algorithm], audience="llm-cost-ops")
        assert claims["sub"] == person.account_id
        with pytest.raises(NoSigningKey):
            keys.rotate()
        file.write_bytes(pem(new()))
        swapped = Tokens(application.database, settings, application.clock)
        application.app.state.tokens = swapped
        state = application.app.state
        state.credentials = tuple(
            swapped if isinstance(each, Tokens) else each for each in state.credentials
        )
        fresh = sign_in(application, person).access_token
        assert kid_of(fresh) != kid_of(old)
        assert status(application, old) == status(application, fresh) == 200
        assert {jwk["kid"] for jwk in swapped.keys.public()} == {kid_of(old), kid_of(fresh)}


def rsa() -> Any:
    return generate_private_key(65_537, 2_048)


def test_a_shared_secret_is_never_published(application: Application) -> None:
    sign_in(application, add_person(application))
    assert application.app.state.tokens.keys.public() == []


def test_a_key_is_derived_from_the_secret_and_stored_nowhere(
    sqlite_settings: DatabaseSettings,
) -> None:
    security = SecuritySettings(secret_key="s" * 32)
    settings = replace(Settings(database=sqlite_settings), security=security)
    with running(settings) as application:
        token = sign_in(application, add_person(application, "analyst")).access_token
        [row] = application.app.state.tokens.keys.listed()
        assert (row.secret, row.public_key) == (None, None)
        changed = replace(settings, jwt=JwtSettings(secret="t" * 32))
        other = Tokens(application.database, changed, application.clock)
        assert other.keys.find(kid_of(token)) is None
        same = Tokens(application.database, settings, application.clock)
        assert same.keys.find(kid_of(token)) is not None


def test_production_signs_with_nothing_but_a_secret(sqlite_settings: DatabaseSettings) -> None:
    with running(Settings(database=sqlite_settings)) as application:
        settings = replace(
            Settings(database=sqlite_settings), app=AppSettings(environment="production")
        )
        keys = SigningKeys(application.database, settings, application.clock)
        with pytest.raises(NoSigningKey):
            keys.rotate()


@pytest.mark.parametrize("content", [None, b"", b"nonsense", "rsa 1024", "other kind"])
def test_a_key_file_that_holds_no_key(
    sqlite_settings: DatabaseSettings, tmp_path: Path, content: Any
) -> None:
    file = tmp_path / "key.pem"
    if content == "rsa 1024":
        content = pem(generate_private_key(65_537, 1_024))  # noqa: S505 - to be refused
    if content == "other kind":
        content = pem(Ed25519PrivateKey.generate())
    if content is not None:
        file.write_bytes(content)
    settings = signed_by(sqlite_settings, "RS256", file)
    with running(Settings(database=sqlite_settings)) as application:
        found = partial(SigningKeys, application.database, settings, application.clock)
        with pytest.raises(NoSigningKey):
            found()
