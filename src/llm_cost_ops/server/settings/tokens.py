"""Settings of access and refresh tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llm_cost_ops.server.settings.spec import setting


def _secret(value: str) -> str | None:
    return None if len(value.encode()) >= 32 else "a secret of at least 32 bytes"


def _word(value: str) -> str | None:
    if re.fullmatch(r"[\x21-\x7e]{1,255}", value):
        return None
    return "1 to 255 printable characters without spaces"


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtSettings:
    """`[jwt]` (also `[security.jwt]`): tokens of people who signed in and of OAuth clients."""

    secret: str | None = setting(
        None,
        "Secret from which the keys of HS256 are derived; unless given, security.secret_key.",
        env=("JWT_SECRET",),
        files=("security.jwt.secret", "auth.jwt_secret"),
        secret=True,
        check=_secret,
    )
    algorithm: str = setting(
        "HS256",
        "How access tokens are signed. EdDSA and RS256 need jwt.private_key_file, and others can "
        "then check tokens by /oauth/jwks.",
        env=("JWT_ALGORITHM",),
        files=("security.jwt.algorithm", "auth.jwt_algorithm"),
        choices=("HS256", "EdDSA", "RS256"),
    )
    private_key_file: str | None = setting(
        None,
        "Private key (PEM) for EdDSA (Ed25519) or RS256 (2048 bits or more).",
        env=("JWT_PRIVATE_KEY_PATH",),
    )
    issuer: str | None = setting(
        None,
        "Who issues the tokens; unless given server.public_url, else llm-cost-ops.",
        files=("auth.jwt_issuer",),
        check=_word,
    )
    audience: str = setting(
        "llm-cost-ops",
        "Whom the tokens are for.",
        files=("auth.jwt_audience",),
        check=_word,
    )
    access_seconds: int = setting(
        3_600,
        "How long an access token is accepted.",
        env=("JWT_EXPIRATION",),
        files=("security.jwt.expiration", "auth.jwt_expiry_secs"),
        low=60,
        high=86_400,
    )
    refresh_seconds: int = setting(
        604_800,
        "How long a refresh token may lie unused.",
        env=("JWT_REFRESH_EXPIRATION",),
        files=("security.jwt.refresh_expiration", "auth.refresh_token_expiry_secs"),
        low=300,
        high=31_536_000,
    )
    refresh_total_seconds: int = setting(
        7_776_000,
        "How long after signing in refresh tokens may be renewed at all.",
        low=300,
        high=31_536_000,
    )
    refresh_grace_seconds: int = setting(
        20,
        "How long a refresh token may be sent again by the same client, whose answer was lost; it "
        "then gets the same successor.",
        low=0,
        high=60,
    )
    leeway_seconds: int = setting(
        30,
        "By how much the clocks of several servers may differ.",
        low=0,
        high=120,
    )
