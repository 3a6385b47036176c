"""Check 36: a token that anybody could have written is refused, however it is dressed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from llm_cost_ops.server.settings import DatabaseSettings, Settings
from llm_cost_ops.server.settings.tokens import JwtSettings
from tests.support.application import Application, running
from tests.support.forged import encoded, hs256, parts_of
from tests.support.tokens import add_person, sign_in

pytestmark = pytest.mark.check(36)
WHO = "/api/v1/auth/validate"


def status(application: Application, token: str) -> int:
    return application.get(WHO, key=token).status_code


def key_of(application: Application, token: str) -> bytes:
    kid = parts_of(token)[0]["kid"]
    found = application.app.state.tokens.keys.find(kid)
    return found.key.raw_value


@pytest.fixture
def token(sqlite_application: Application) -> str:
    return sign_in(sqlite_application, add_person(sqlite_application, "analyst")).access_token


def test_the_true_token_is_accepted(sqlite_application: Application, token: str) -> None:
    header, claims = parts_of(token)
    key = key_of(sqlite_application, token)
    assert status(sqlite_application, token) == 200
    assert status(sqlite_application, hs256(header, claims, key)) == 200


@pytest.mark.parametrize("none", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("signature", ["", "AA"])
def test_no_algorithm(
    sqlite_application: Application, token: str, none: str, signature: str
) -> None:
    header, claims = parts_of(token)
    forged = f"{encoded({**header, 'alg': none})}.{encoded(claims)}.{signature}"
    answer = sqlite_application.get(WHO, key=forged)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "AUTH_001"


def test_no_signature(sqlite_application: Application, token: str) -> None:
    head, _, signature = token.rpartition(".")
    assert status(sqlite_application, f"{head}.") == 401
    assert status(sqlite_application, head) == 401
    assert status(sqlite_application, f"{head}.{signature[:-2]}") == 401
    assert status(sqlite_application, f"{token}.{signature}") == 401
    assert status(sqlite_application, f".{token}") == 401


@pytest.mark.parametrize(
    "kid",
    [
        "../../dev/null",
        "/dev/null",
        "' OR 1=1 --",
        "A" * 22,
        "",
        None,
        0,
        ["A"],
        {"a": 1},
        "é" * 22,
        "A" * 300,
    ],
)
def test_a_key_that_is_none_of_ours(sqlite_application: Application, token: str, kid: Any) -> None:
    header, claims = parts_of(token)
    for key in (key_of(sqlite_application, token), b"", b"\x00" * 32):
        assert status(sqlite_application, hs256({**header, "kid": kid}, claims, key)) == 401


@pytest.mark.parametrize(
    "more",
    [
        {"jku": "https://evil.example.com/jwks.json"},
        {"x5u": "https://evil.example.com/cert.pem"},
        {"jwk": {"kty": "oct", "k": "AA"}},
        {"x5c": ["AA"]},
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False},
        {"zip": "DEF"},
        {"typ": "JWT"},
        {"typ": "at+JWT"},
        {"cty": "JWT"},
    ],
)
def test_a_header_that_says_more(
    sqlite_application: Application, token: str, more: dict[str, Any]
) -> None:
    header, claims = parts_of(token)
    key = key_of(sqlite_application, token)
    assert status(sqlite_application, hs256({**header, **more}, claims, key)) == 401


def test_a_header_without_something(sqlite_application: Application, token: str) -> None:
    header, claims = parts_of(token)
    key = key_of(sqlite_application, token)
    for name in header:
        less = {other: value for other, value in header.items() if other != name}
        assert status(sqlite_application, hs256(less, claims, key)) == 401


def test_a_name_that_comes_twice(sqlite_application: Application, token: str) -> None:
    header, claims = parts_of(token)
    key = key_of(sqlite_application, token)
    forged = hs256(header, claims, key)
    twice = b'{"alg":"HS256","alg":"none","typ":"at+jwt","kid":"' + header["kid"].encode() + b'"}'
    assert status(sqlite_application, f"{encoded(twice)}.{forged.split('.', 1)[1]}") == 401


@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "RS256", "EdDSA", "hs256", "", None, 1])
def test_another_algorithm_than_that_of_the_key(
    sqlite_application: Application, token: str, algorithm: Any
) -> None:
    header, claims = parts_of(token)
    key = key_of(sqlite_application, token)
    assert status(sqlite_application, hs256({**header, "alg": algorithm}, claims, key)) == 401


@pytest.fixture
def rsa(tmp_path: Path, sqlite_settings: DatabaseSettings) -> Iterator[tuple[Application, bytes]]:
    """An app that signs with RS256, and its public key as everybody can read it."""
    pair = generate_private_key(65_537, 2_048)
    file = tmp_path / "key.pem"
    file.write_bytes(pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    jwt = JwtSettings(algorithm="RS256", private_key_file=str(file))
    settings = replace(Settings(database=sqlite_settings), jwt=jwt)
    public = pair.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with running(settings) as application:
        yield application, public


def test_the_public_key_as_a_secret(rsa: tuple[Application, bytes]) -> None:
    application, public = rsa
    token = sign_in(application, add_person(application, "analyst")).access_token
    assert status(application, token) == 200
    header, claims = parts_of(token)
    for key in (public, public.strip()):
        for algorithm in ("HS256", "RS256"):
            forged = hs256({**header, "alg": algorithm}, claims, key)
            assert status(application, forged) == 401
