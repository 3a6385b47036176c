"""`app.state.tokens`: access tokens as credentials, and the tokens that signing in gives."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from starlette.requests import Request

from llm_cost_ops.server.access.memory import Memory
from llm_cost_ops.server.access.principal import Principal, acting_for
from llm_cost_ops.server.access.secret import digest
from llm_cost_ops.server.access.tokens import claims as jwt
from llm_cost_ops.server.access.tokens import store
from llm_cost_ops.server.access.tokens.pairs import Mint, Refused, TokenPair
from llm_cost_ops.server.access.tokens.signing import SigningKeys
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read, write_retrying
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.identity.grants import grants_of
from llm_cost_ops.server.identity.organizations import get_organization
from llm_cost_ops.server.settings import Settings

_MICROS = 1_000_000


def invalid_token() -> Problem:
    """One answer for every token that is not accepted: why is not told."""
    return Problem(
        401,
        "AUTH_001",
        "Invalid access token",
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )


def sender_of(request: Request) -> str:
    """Who sends a refresh token, as far as can be seen: its address and its User-Agent, hashed."""
    address = request.client.host if request.client else ""
    agent = request.headers.get("user-agent", "")
    return hashlib.sha256(f"{address}\n{agent}".encode()).hexdigest()


class Tokens:
    """The tokens of one server process. Lookups are used from its event loop, the rest from
    threads."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.keys = SigningKeys(database, settings, clock)
        self.mint = Mint(settings, clock, self.keys)
        self._memory = Memory(self._find, clock)

    async def principal(self, request: Request, secret: str | None) -> Principal | None:  # noqa: ARG002
        """Who an access token stands for; None for what is no JWT. Raises Problem 401."""
        if secret is None or secret.count(".") != 2:
            return None
        name = digest(secret)
        found = self._memory.remembered(name, secret) or await self._memory.principal(name, secret)
        if found is None:
            raise invalid_token()
        return found

    def issue_pair(
        self,
        session: WriteSession,
        *,
        organization_id: str,
        user_id: str,
        account_id: str | None = None,
        client_id: str | None = None,
        scopes: frozenset[str] | None = None,
        request_id: str | None = None,
        family_id: str | None = None,
        token_version: int | None = None,
    ) -> TokenPair:
        """The tokens of a user who has just signed in, in the caller's transaction. `scopes` None
        gives whatever the user's roles give. Raises Problem 401 for a disabled user, and for one
        whose account was signed out everywhere since it had this `token_version`."""
        made = self.mint.start(
            session,
            organization_id=organization_id,
            user_id=user_id,
            account_id=account_id,
            client_id=client_id,
            scopes=scopes,
            renewable=True,
            request_id=request_id,
            family_id=family_id,
            token_version=token_version,
        )
        if isinstance(made, Refused):
            raise invalid_token()
        return made

    def refresh(
        self,
        secret: str,
        *,
        used_from: str,
        client_id: str | None = None,
        scopes: frozenset[str] | None = None,
        request_id: str | None = None,
    ) -> TokenPair | Refused:
        """The tokens that follow a refresh token. `used_from` is the `sender_of` the request."""
        return write_retrying(
            self._database,
            lambda session: self.mint.renew(
                session,
                secret,
                client_id=client_id,
                used_from=used_from,
                scopes=scopes,
                request_id=request_id,
            ),
        )

    def family_of(self, session: ReadSession, token: str) -> store.Family | None:
        """The family of an access or refresh token that is in force; None for any other text."""
        if token.count(".") == 2:
            try:
                claims = self._read(token)
            except jwt.TokenRefused:
                return None
            family = store.get_family(session, claims.family_id)
        else:
            row = store.find_refresh(session, digest(token))
            if row is None or row.used_at is not None or row.expires_at <= self._clock.micros():
                return None
            family = store.get_family(session, row.family_id)
        return None if family is None or family.revoked_at is not None else family

    def introspected(
        self, session: ReadSession, token: str, organization_id: str
    ) -> dict[str, object]:
        """What RFC 7662 says of a token to a client of this organization."""
        inactive: dict[str, object] = {"active": False}
        if token.count(".") != 2:
            family = self.family_of(session, token)
            if family is None or family.organization_id != organization_id:
                return inactive
            return {"active": True, "client_id": family.client_id, "org": organization_id}
        try:
            claims = self._read(token)
        except jwt.TokenRefused:
            return inactive
        found = self._looked_up(session, claims)
        if found is None or found.organization_id != organization_id:
            return inactive
        return {
            "active": True,
            "scope": " ".join(sorted(found.scopes)),
            "client_id": found.client_id,
            "token_type": "Bearer",
            "exp": claims.expires_at,
            "iat": claims.issued_at,
            "nbf": claims.issued_at,
            "sub": claims.subject,
            "aud": self.mint.terms.audience,
            "iss": self.mint.terms.issuer,
            "jti": claims.token_id,
            "org": organization_id,
        }

    def forget_family(self, family_id: str) -> None:
        """Look the access tokens of a family up again at their next use. For the process that
        ended it, in its event loop."""
        self._memory.forget(lambda principal: principal.key_id == family_id)

    def forget_account(self, account_id: str) -> None:
        """The same for all access tokens of an account."""
        self._memory.forget(lambda principal: principal.account_id == account_id)

    def forget_user(self, organization_id: str, user_id: str) -> None:
        """The same for all access tokens of a user of an organization."""
        self._memory.forget(
            lambda principal: (
                principal.organization_id == organization_id and principal.user_id == user_id
            )
        )

    def forget_client(self, client_id: str) -> None:
        """The same for all access tokens of an OAuth client."""
        self._memory.forget(lambda principal: principal.client_id == client_id)

    def _read(self, token: str) -> jwt.Claims:
        now_s = self._clock.micros() / _MICROS
        return jwt.read(token, self.keys.find, self.mint.terms, now_s)

    def _find(self, token: str) -> Principal | None:
        """Looked up again at every use that is not remembered: a revoked family, a disabled user or
        a raised token version end a token that is still signed and in time."""
        try:
            claims = self._read(token)
        except jwt.TokenRefused:
            return None
        with read(self._database) as session:
            return self._looked_up(session, claims)

    def _looked_up(self, session: ReadSession, claims: jwt.Claims) -> Principal | None:
        family = store.get_family(session, claims.family_id)
        if family is None or family.revoked_at is not None:
            return None
        if family.organization_id != claims.organization_id:
            return None  # it went on in another organization
        if family.account_id is not None and claims.version != store.token_version(
            session, family.account_id
        ):
            return None
        return self._standing_for(session, family, claims)

    def _standing_for(
        self, session: ReadSession, family: store.Family, claims: jwt.Claims
    ) -> Principal | None:
        owner = get_organization(session, family.organization_id)
        slug = owner.slug if owner else None
        expires_at = (claims.expires_at + self.mint.terms.leeway_seconds) * _MICROS
        if family.user_id is None:
            return Principal(
                family.id,
                family.organization_id,
                claims.scopes,
                expires_at,
                slug,
                client_id=family.client_id,
            )
        grants = grants_of(session, family.organization_id, family.user_id)
        if not grants.enabled:
            return None
        found = acting_for(
            grants,
            key_id=family.id,
            organization_id=family.organization_id,
            user_id=family.user_id,
            scopes=claims.scopes,
            expires_at=expires_at,
            organization_slug=slug,
            account_id=family.account_id,
        )
        return replace(found, client_id=family.client_id)
