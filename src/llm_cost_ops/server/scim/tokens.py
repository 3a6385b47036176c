"""Make and withdraw SCIM tokens, and know them again.

A SCIM token is what an identity provider is given: it opens `/scim/v2` of one organization and
nothing else. Its secret is an API key's in form, with a prefix of its own.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from anyio import to_thread
from starlette.requests import Request

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.permissions import EVERYTHING
from llm_cost_ops.server.access.keys import invalid_key
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.access.secret import digest, new_secret, well_formed
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import PASSING
from llm_cost_ops.server.db.session import WriteSession, read, write_retrying
from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.identity.organizations import get_organization
from llm_cost_ops.server.scim import token_store as store
from llm_cost_ops.server.scim.errors import ROOT

PREFIX = "scim_"
ID_PREFIX = "sct_"
MAX_NAME = 255
USED_APART_US = 60 * 1_000_000
SCOPES = frozenset({"read:scim_users", "write:scim_users", "read:scim_groups", "write:scim_groups"})
ROLES_SCOPE = "write:scim_roles"


class TokenRequestError(DomainError):
    """A token that cannot be made as it was asked for."""


class TokenPermissionError(DomainError):
    """A token that would be able to do more than its maker."""

    code = "INSUFFICIENT_PERMISSIONS"


class TokenUnknown(DomainError):
    """No such token in this organization."""

    code = "NOT_FOUND"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token and its secret, which is shown once and stored nowhere."""

    secret: str
    token: store.ScimToken


def issue_token(
    session: WriteSession,
    actor: Actor,
    *,
    name: str,
    assigns_roles: bool = False,
    expires_at: int | None = None,
    maker: Principal | None = None,
) -> IssuedToken:
    """Make a token. Without a `maker` it is the operator's doing. `expires_at` in microseconds.

    Who may assign roles may make an administrator, so that only one makes such a token. Raises
    TokenRequestError, TokenPermissionError.
    """
    name = name.strip()
    if not name or len(name) > MAX_NAME:
        raise TokenRequestError(f"must have 1 to {MAX_NAME} characters", field="name")
    if expires_at is not None and expires_at <= actor.now_us:
        raise TokenRequestError("must lie in the future", field="expires_at")
    if maker is not None:
        expires_at = _within(maker, assigns_roles=assigns_roles, expires_at=expires_at)
    secret = new_secret(PREFIX)
    token = store.ScimToken(
        id=single_id("sct", actor.now_us // 1_000, secrets.randbits(80)),
        organization_id=actor.organization_id,
        name=name,
        last_four=secret[-4:],
        assigns_roles=assigns_roles,
        created_by=actor.actor_id,
        created_at=actor.now_us,
        expires_at=expires_at,
    )
    store.insert_token(session, token, digest(secret))
    actor.record(session, "auth.scim_token.created", "scim_token", token.id, None, _told(token))
    return IssuedToken(secret, token)


def _within(maker: Principal, *, assigns_roles: bool, expires_at: int | None) -> int | None:
    """The expiry of a token made by `maker`. Raises when it would outdo its maker."""
    if assigns_roles and not maker.holds(EVERYTHING):
        raise TokenPermissionError(
            "may be set only by who may do everything", field="assigns_roles"
        )
    if maker.expires_at is None:
        return expires_at
    if expires_at is not None and expires_at > maker.expires_at:
        raise TokenPermissionError(
            "must not lie after the expiry of the key that makes it", field="expires_at"
        )
    return maker.expires_at if expires_at is None else expires_at


def withdraw_token(session: WriteSession, actor: Actor, token_id: str) -> store.ScimToken:
    """Revoke a token; a second time changes nothing. Raises TokenUnknown."""
    token = store.get_token(session, actor.organization_id, token_id)
    if token is None:
        raise TokenUnknown("SCIM token not found")
    if token.revoked_at is None:
        store.set_revoked(session, actor.organization_id, token_id, actor.now_us)
        actor.record(session, "auth.scim_token.revoked", "scim_token", token_id, _told(token), None)
    return token


def _told(token: store.ScimToken) -> dict[str, object]:
    return {
        "name": token.name,
        "assigns_roles": token.assigns_roles,
        "expires_at": token.expires_at,
    }


class ScimTokens:
    """SCIM tokens as credentials. Identity providers ask seldom, so that each request looks its
    token up: a revoked one is refused at once."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._log = logger("scim")

    async def principal(self, request: Request, secret: str | None) -> Principal | None:
        """Who a SCIM token stands for; None for what is none. Raises Problem 401, also for a route
        that is none of SCIM's, and DatabaseUnavailable."""
        if secret is None or not secret.startswith(PREFIX):
            return None
        if not well_formed(secret) or not request.scope["path"].startswith(f"{ROOT}/"):
            raise invalid_key()
        found = await to_thread.run_sync(self._find, digest(secret))
        if found is None:
            raise invalid_key()
        return found

    def _find(self, key: str) -> Principal | None:
        now_us = self._clock.micros()
        with read(self._database) as session:
            token = store.find_by_digest(session, key)
            if token is None or not token.active(now_us):
                return None
            owner = get_organization(session, token.organization_id)
        if token.last_used_at is None or token.last_used_at <= now_us - USED_APART_US:
            self._touch(token, now_us)
        return Principal(
            token.id,
            token.organization_id,
            SCOPES | {ROLES_SCOPE} if token.assigns_roles else SCOPES,
            token.expires_at,
            owner.slug if owner else None,
        )

    def _touch(self, token: store.ScimToken, now_us: int) -> None:
        try:
            write_retrying(
                self._database,
                lambda session: store.touch(
                    session, token.organization_id, token.id, now_us, USED_APART_US
                ),
            )
        except PASSING as error:
            self._log.warning("last use of a SCIM token not written", reason=error.message)
