"""What a provider signs is read with distrust."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt as pyjwt
import pytest

from tests.support.idp import CLIENT_ID, Idp, Reply, ec_key, forged_token, jwk_of, pem_of, rsa_key
from tests.support.people import make_person
from tests.support.sso import EMAIL, House, forget_attempts

Token = Callable[[dict[str, Any]], str]
pytestmark = [pytest.mark.check(36), pytest.mark.check(37)]


def why(house: House) -> str:
    """What the log says of the last failure."""
    answer = house.doors.get("/api/v1/audit", params={"action": "auth.login_failed"})
    return str(answer.json()["data"][0]["after"]["wrong"])


def refused(house: House, provider: str) -> str:
    browser, answer = house.sign_in(provider)
    assert answer.status_code == 401, answer.text
    assert "cannot be accepted" in answer.text
    assert browser.me().status_code == 401
    return why(house)


def test_what_a_token_must_say(house: House) -> None:
    make_person(house.doors, "viewer", email=EMAIL)
    provider, idp = house.provider()["id"], house.idp
    now_s = int(idp.clock())
    odd: list[tuple[str, dict[str, Any]]] = [
        ("iss", {"iss": "https://evil.example"}),
        ("iss", {"iss": f"{idp.issuer}/"}),
        ("iss", {"iss": None}),
        ("aud", {"aud": "another"}),
        ("aud", {"aud": []}),
        ("aud", {"aud": None}),
        ("azp", {"aud": [CLIENT_ID, "another"]}),
        ("azp", {"aud": [CLIENT_ID, "another"], "azp": "another"}),
        ("azp", {"azp": "another"}),
        ("nonce", {"nonce": "another"}),
        ("nonce", {"nonce": None}),
        ("nonce", {"nonce": "\ud7ff"}),
        ("exp", {"exp": now_s - 60}),
        ("exp", {"exp": None}),
        ("exp", {"exp": str(now_s + 60)}),
        ("exp", {"exp": True}),
        ("iat", {"iat": now_s + 61}),
        ("iat", {"iat": None}),
        ("iat", {"nbf": now_s + 61}),
        ("sub", {"sub": None}),
        ("sub", {"sub": ""}),
        ("sub", {"sub": " x"}),
        ("sub", {"sub": "x" * 256}),
        ("sub", {"sub": 7}),
    ]
    for claim, change in odd:
        idp.change = change
        assert refused(house, provider) == f"id_token: {claim}", change
        forget_attempts(house.doors)
    for change in (
        {"exp": now_s - 59},
        {"iat": now_s + 60},
        {"aud": [CLIENT_ID]},
        {"aud": [CLIENT_ID, "another"], "azp": CLIENT_ID},
        {"exp": now_s + 0.5},
    ):
        idp.change = change
        house.entered(provider)


def _forged(idp: Idp) -> dict[str, Token]:
    own, kid = rsa_key(), idp.kid
    other, curve = rsa_key(1), ec_key()
    public = pem_of(own)

    def unsigned(algorithm: str) -> Token:
        return lambda claims: forged_token({"alg": algorithm, "kid": kid}, claims, lambda _: b"")

    def by_public_key(secret: bytes) -> Token:
        return lambda claims: forged_token(
            {"alg": "HS256", "kid": kid},
            claims,
            lambda text: hmac.digest(secret, text, hashlib.sha256),
        )

    def signed(key: Any, algorithm: str = "RS256", **header: Any) -> Token:
        return lambda claims: pyjwt.encode(claims, key, algorithm, headers={"kid": kid, **header})

    def cut(claims: dict[str, Any]) -> str:
        return signed(own)(claims).rpartition(".")[0] + "."

    def altered(claims: dict[str, Any]) -> str:
        head, _, sign = signed(own)(claims).split(".")
        return ".".join((head, signed(other)({**claims, "sub": "x"}).split(".")[1], sign))

    return {
        "none": unsigned("none"),
        "None": unsigned("None"),
        "NONE": unsigned("NONE"),
        "no algorithm": lambda claims: forged_token({"kid": kid}, claims, lambda _: b"x"),
        "HS256 with the public key": by_public_key(public),
        "HS256 with the JWK": by_public_key(json.dumps(jwk_of(own, kid)).encode()),
        "HS256 with the client secret": by_public_key(b"s3cret/+of the client"),
        "another key": signed(other),
        "another key in the header": signed(other, jwk=jwk_of(other, kid)),
        "keys elsewhere": signed(other, jku="https://evil.example/jwks"),
        "an unknown key": signed(own, kid="unknown"),
        "a key id that is none": signed(own, kid="../../k1"),
        "another algorithm": signed(curve, "ES256"),
        "an extension": signed(own, crit=["exp"]),
        "no signature": cut,
        "altered": altered,
        "two parts": lambda claims: signed(own)(claims).rpartition(".")[0],
        "five parts": lambda claims: signed(own)(claims) + ".x.x",
        "huge": lambda claims: signed(own)({**claims, "x": "y" * 40_000}),
        "no JSON": lambda _: "eyJ.eyJ.eyJ",
    }


def test_forged_tokens(house: House) -> None:
    make_person(house.doors, "viewer", email=EMAIL)
    provider = house.provider()["id"]
    for name, token in _forged(house.idp).items():
        house.idp.token = token
        assert refused(house, provider).startswith("id_token: "), name
        forget_attempts(house.doors)
    house.idp.token = None
    house.entered(provider)


def test_keys_that_change(house: House) -> None:
    make_person(house.doors, "viewer", email=EMAIL)
    provider, idp = house.provider()["id"], house.idp
    house.entered(provider)
    assert idp.calls("/jwks") == 1
    house.later(10)
    idp.keys, idp.kid = {"k2": rsa_key(1)}, "k2"
    house.entered(provider)
    assert idp.calls("/jwks") == 2
    idp.keys, idp.kid = {"k3": rsa_key()}, "k3"
    assert refused(house, provider) == "id_token: signature"
    assert idp.calls("/jwks") == 2, "who makes up key ids does not make us call"
    house.later(10)
    house.entered(provider)
    idp.keys, idp.kid = {"k4": ec_key()}, "k4"
    idp.algorithm = "ES256"
    house.later(10)
    house.entered(provider)


def test_keys_that_are_none(house: House) -> None:
    make_person(house.doors, "viewer", email=EMAIL)
    provider, idp = house.provider()["id"], house.idp
    good = jwk_of(rsa_key(), "k1")
    for spoilt in (
        {**good, "use": "enc"},
        {**good, "alg": "RS512"},
        {**good, "kty": "oct", "k": good["n"]},
        {**good, "n": "AQAB"},
        {**good, "n": 7},
        {"kid": "k1"},
        "k1",
    ):
        idp.answers["/jwks"] = Reply(body=json.dumps({"keys": [spoilt]}).encode())
        house.later(3_601)
        assert refused(house, provider) == "id_token: signature", spoilt
        forget_attempts(house.doors)
    idp.answers.clear()
    house.later(3_601)
    house.entered(provider)
