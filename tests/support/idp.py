"""An identity provider that is really there: OpenID Connect, and OAuth 2 as GitHub has it, over
HTTP on 127.0.0.1, with its keys and with faults to choose from."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlsplit

import jwt as pyjwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.support.sink import Got, Reply, Sink, sink

CLIENT_ID, CLIENT_SECRET = "cost/ops&client+1", "s3cret/+of the client"
_RSA: list[rsa.RSAPrivateKey] = []


def rsa_key(number: int = 0) -> rsa.RSAPrivateKey:
    """One of a few keys that are made once: making one takes long."""
    while len(_RSA) <= number:
        _RSA.append(rsa.generate_private_key(65_537, 2_048))
    return _RSA[number]


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk_of(key: Any, kid: str) -> dict[str, Any]:
    """The public half of a key."""
    if isinstance(key, rsa.RSAPrivateKey):
        made = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        return {**made, "kid": kid, "use": "sig"}
    made = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": kid, "use": "sig"}


def pem_of(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def forged_token(
    header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]
) -> str:
    """A token with whatever header and signature."""
    parts = ".".join(b64(json.dumps(each).encode()) for each in (header, claims))
    return f"{parts}.{b64(sign(parts.encode()))}"


@dataclass
class Idp:
    """The provider. `claims` are of the person who is there now; `change` spoils the claims of the
    id_token, `token` makes another one of them; `down` answers 503, by the path's end."""

    sink: Sink
    clock: Callable[[], float]
    claims: dict[str, Any] = field(default_factory=dict[str, Any])
    userinfo: dict[str, Any] = field(default_factory=dict[str, Any])
    keys: dict[str, Any] = field(default_factory=dict[str, Any])
    kid: str = "k1"
    algorithm: str = "RS256"
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    change: dict[str, Any] = field(default_factory=dict[str, Any])
    token: Callable[[dict[str, Any]], str] | None = None
    answers: dict[str, Reply] = field(default_factory=dict[str, Reply])
    asked: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    emails: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    user: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.sink.port}"

    def document(self) -> dict[str, Any]:
        root = self.issuer
        return {
            "issuer": root,
            "authorization_endpoint": f"{root}/authorize",
            "token_endpoint": f"{root}/token",
            "jwks_uri": f"{root}/jwks",
            "userinfo_endpoint": f"{root}/userinfo",
            "id_token_signing_alg_values_supported": ["RS256"],
            **self.metadata,
        }

    def calls(self, path: str) -> int:
        return sum(1 for got in self.sink.got if got.path == path)

    def authorize(self, address: str, **changed: str) -> dict[str, str]:
        """What the person's browser brings back from the address that we sent it to."""
        fields = dict(parse_qsl(urlsplit(address).query, strict_parsing=True))
        assert fields["response_type"] == "code"
        assert fields["client_id"] == CLIENT_ID
        assert fields["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.asked[code] = fields
        return {"code": code, "state": fields["state"], **changed}

    def answer(self, got: Got) -> Reply:
        path = got.path.partition("?")[0]
        if path in self.answers:
            return self.answers[path]
        if path == "/.well-known/openid-configuration":
            return _json(self.document())
        if path == "/jwks":
            return _json({"keys": [jwk_of(key, kid) for kid, key in self.keys.items()]})
        if path in ("/token", "/login/oauth/access_token"):
            return self._redeem(got, github=path != "/token")
        if got.headers.get("authorization") != "Bearer the access token":
            return _json({"error": "invalid_token"}, 401)
        if path == "/userinfo":
            return _json({"sub": self.claims["sub"], **self.userinfo})
        if path == "/api/v3/user":
            return _json(self.user)
        if path == "/api/v3/user/emails":
            return _json(self.emails)
        return _json({}, 404)

    def _redeem(self, got: Got, *, github: bool) -> Reply:
        form = {name: values[0] for name, values in parse_qs(got.body.decode()).items()}
        if not self._is_client(got, form):
            return _json({"error": "invalid_client"}, 401)
        asked = self.asked.pop(form.get("code", ""), None)
        challenge = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (
            asked is None
            or asked["redirect_uri"] != form["redirect_uri"]
            or asked["code_challenge"] != challenge
        ):
            return (
                _json({"error": "bad_verification_code"})
                if github
                else _json({"error": "invalid_grant"}, 400)
            )
        body = {"access_token": "the access token", "token_type": "Bearer"}
        if not github:
            body["id_token"] = self.id_token(asked["nonce"])
        return _json(body)

    def _is_client(self, got: Got, form: dict[str, str]) -> bool:
        basic = got.headers.get("authorization", "")
        if basic.startswith("Basic "):
            name, _, secret = base64.b64decode(basic[6:]).decode().partition(":")
            return (unquote_plus(name), unquote_plus(secret)) == (CLIENT_ID, CLIENT_SECRET)
        return (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)

    def id_token(self, nonce: str) -> str:
        now_s = int(self.clock())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "nonce": nonce,
            "iat": now_s,
            "exp": now_s + 300,
            **self.claims,
            **self.change,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.token is not None:
            return self.token(claims)
        return pyjwt.encode(claims, self.keys[self.kid], self.algorithm, headers={"kid": self.kid})


def _json(value: Any, status: int = 200) -> Reply:
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(value).encode())


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@contextmanager
def identity_provider(clock: Callable[[], float]) -> Iterator[Idp]:
    """A provider that knows one person; `clock` tells its seconds since 1970."""
    with sink() as listener:
        made = Idp(listener, clock, keys={"k1": rsa_key()})
        listener.answer = made.answer
        yield made
