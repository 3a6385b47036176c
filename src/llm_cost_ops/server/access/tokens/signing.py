"""The keys that sign access tokens: one algorithm per key, found by a random id (`kid`).

HS256 keys are derived from `jwt.secret` or `security.secret_key`, with the kid as salt, so that a
new key needs no new secret and none is stored. EdDSA and RS256 take the configured key pair; when
the file holds another one, a new key begins. A key that no longer signs is accepted until the
tokens that it signed have ended.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc.errors import JoseError
from joserfc.jwk import OctKey, OKPKey, RSAKey

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.access.tokens import store
from llm_cost_ops.server.audit import record as audit
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, read, write_retrying
from llm_cost_ops.server.settings import Settings

Key = OctKey | OKPKey | RSAKey

KID_BYTES = 16
REMEMBER_SECONDS = 0.9
LOOK_AGAIN_SECONDS = 0.05
"""How soon an unknown kid may make us look again: invented ones cost no more than that."""
PUBLISHED_SECONDS = 2
"""A key signs when every process has had the time to learn of it."""
MIN_RSA_BITS = 2_048
_INFO = b"llm-cost-ops access tokens HS256"
_FINGERPRINT = b"llm-cost-ops fingerprint of the secret of access tokens"
_MICROS = 1_000_000


class NoSigningKey(DomainError):
    """Nothing to sign with: no secret in production, or a key file that is none."""

    code = "CONFLICT"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key with its one algorithm. `accepted_until` in microseconds."""

    kid: str
    algorithm: str
    key: Key
    created_at: int
    accepted_until: int | None


class SigningKeys:
    """The signing keys as one process knows them."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._secret = settings.jwt.secret or settings.security.secret_key
        self._pair = _pair(settings)
        self._keys: Mapping[str, SigningKey] = {}
        self._loaded_s = float("-inf")
        self._lock = threading.Lock()

    def find(self, kid: str) -> SigningKey | None:
        """The key with this id while it is accepted. Asks the database now and then, in a thread.
        Raises DatabaseUnavailable."""
        with self._lock:
            age_s = self._clock.monotonic() - self._loaded_s
            if age_s >= REMEMBER_SECONDS or (kid not in self._keys and age_s >= LOOK_AGAIN_SECONDS):
                self._load()
            found = self._keys.get(kid)
        if found is None:
            return None
        until = found.accepted_until
        return found if until is None or self._clock.micros() < until else None

    def public(self) -> list[dict[str, Any]]:
        """The accepted public keys as JWKs. Keys of HS256 are nobody else's matter."""
        with self._lock:
            self._load()
            keys = list(self._keys.values())
        return [_jwk(key) for key in keys if key.algorithm != "HS256"]

    def signing(self, session: WriteSession) -> SigningKey:
        """The key that signs now; made if there is none. Raises NoSigningKey, NoSecretKey."""
        now_us = self._clock.micros()
        ours = [row for row in store.accepted_keys(session, now_us) if self._is_ours(row)]
        begun = [row for row in ours if row.accepted_until is None]
        if not begun:
            return self._opened(self._begin(session, now_us))
        ready = [row for row in begun if row.created_at <= now_us - PUBLISHED_SECONDS * _MICROS]
        if not ready:  # others may not know it yet: the one before signs for a moment longer
            ends_us = now_us + self._lives_seconds * _MICROS
            ready = [row for row in ours if (row.accepted_until or 0) >= ends_us]
        return self._opened(max(ready, key=_age) if ready else min(begun, key=_age))

    def rotate(self, *, at_once: bool = False) -> str:
        """Begin a new key; its kid. Tokens of the ones before are accepted until they end, or,
        with `at_once`, no longer. Raises NoSigningKey, NoSecretKey."""
        if self._pair is not None:
            raise NoSigningKey("Put another key pair into jwt.private_key_file to rotate it.")

        def work(session: WriteSession) -> str:
            now_us = self._clock.micros()
            before = [row.kid for row in store.accepted_keys(session, now_us)]
            kid = self._begin(session, now_us, at_once=at_once).kid
            audit.record(
                session,
                organization_id=audit.INSTALLATION,
                actor_id=None,
                action="auth.signing_key.rotated",
                resource_type="signing_key",
                resource_id=kid,
                before={"accepted": before},
                after={"algorithm": self._settings.jwt.algorithm, "at_once": at_once},
                now_us=now_us,
            )
            return kid

        return write_retrying(self._database, work)

    def listed(self) -> list[store.KeyRow]:
        """All keys that are still accepted, the newest first."""
        with read(self._database) as session:
            return store.accepted_keys(session, self._clock.micros())

    def _begin(self, session: WriteSession, now_us: int, *, at_once: bool = False) -> store.KeyRow:
        """A new key. The ones before are accepted for as long as what they sign may live."""
        jwt = self._settings.jwt
        row = store.KeyRow(
            kid=secrets.token_urlsafe(KID_BYTES),
            algorithm=jwt.algorithm,
            fingerprint=self._fingerprint(),
            secret=self._stored_secret(),
            public_key=None if self._pair is None else dumps(self._pair.as_dict(private=False)),
            created_at=now_us,
            accepted_until=None,
        )
        if at_once:
            store.close_keys(session, now_us, every=True)
        else:
            drained_s = PUBLISHED_SECONDS + self._lives_seconds
            store.close_keys(session, now_us + drained_s * _MICROS)
        store.insert_signing_key(session, row)
        return row

    @property
    def _lives_seconds(self) -> int:
        """How long what a key signs may be accepted."""
        return self._settings.jwt.access_seconds + self._settings.jwt.leeway_seconds

    def _is_ours(self, row: store.KeyRow) -> bool:
        """Whether a stored key is of the secret or key pair that is configured now."""
        jwt = self._settings.jwt
        return row.algorithm == jwt.algorithm and row.fingerprint == self._fingerprint()

    def _fingerprint(self) -> str:
        if self._pair is not None:
            return self._pair.thumbprint()
        return "stored" if self._secret is None else _derived(self._secret, b"", _FINGERPRINT).hex()

    def _stored_secret(self) -> str | None:
        """A secret of its own for a key where none is configured. Raises NoSigningKey."""
        if self._pair is not None or self._secret is not None:
            return None
        if self._settings.production:
            raise NoSigningKey("jwt.secret or security.secret_key must be set to sign tokens")
        return secrets.token_urlsafe(32)

    def _load(self) -> None:
        with read(self._database) as session:
            rows = store.accepted_keys(session, self._clock.micros())
        known = self._keys
        self._keys = {
            row.kid: self._opened(row, known.get(row.kid)) for row in rows if self._opens(row)
        }
        self._loaded_s = self._clock.monotonic()

    def _opens(self, row: store.KeyRow) -> bool:
        """Whether a stored key can be used here: HS256 needs the secret that it is derived from."""
        if row.algorithm != "HS256" or row.secret is not None:
            return True
        secret = self._secret
        return secret is not None and row.fingerprint == _derived(secret, b"", _FINGERPRINT).hex()

    def _opened(self, row: store.KeyRow, known: SigningKey | None = None) -> SigningKey:
        key = known.key if known else self._key(row)
        return SigningKey(row.kid, row.algorithm, key, row.created_at, row.accepted_until)

    def _key(self, row: store.KeyRow) -> Key:
        if row.algorithm == "HS256":
            base = row.secret or self._secret or ""
            return OctKey.import_key(_derived(base, row.kid.encode(), _INFO))
        if self._pair is not None and row.fingerprint == self._pair.thumbprint():
            return self._pair
        public = cast("dict[str, Any]", loads(row.public_key or "{}"))
        kind = OKPKey if row.algorithm == "EdDSA" else RSAKey
        return kind.import_key(public)


def _age(row: store.KeyRow) -> tuple[int, str]:
    return row.created_at, row.kid


def _derived(secret: str, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=salt, info=info).derive(secret.encode())


def _jwk(key: SigningKey) -> dict[str, Any]:
    return {**key.key.as_dict(private=False), "kid": key.kid, "alg": key.algorithm, "use": "sig"}


def _pair(settings: Settings) -> OKPKey | RSAKey | None:
    """The configured key pair. Raises NoSigningKey for a file that does not hold it."""
    jwt = settings.jwt
    if jwt.algorithm == "HS256":
        return None
    if jwt.private_key_file is None:
        raise NoSigningKey(f"jwt.private_key_file must be set for {jwt.algorithm}")
    try:
        pem = Path(jwt.private_key_file).read_bytes()
        if jwt.algorithm == "EdDSA":
            edwards = OKPKey.import_key(pem)
            if edwards.is_private and edwards.curve_name == "Ed25519":
                return edwards
        else:
            private = load_pem_private_key(pem, None)
            if isinstance(private, RSAPrivateKey) and private.key_size >= MIN_RSA_BITS:
                return RSAKey.import_key(pem)
    except (OSError, ValueError, TypeError, JoseError) as error:
        raise NoSigningKey(f"jwt.private_key_file cannot be read: {type(error).__name__}") from None
    raise NoSigningKey(f"jwt.private_key_file holds no private key for {jwt.algorithm}")
