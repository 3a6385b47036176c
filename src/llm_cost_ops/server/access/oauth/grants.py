"""The token endpoint's grants: code with PKCE, refresh, client credentials. No others exist."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping

from llm_cost_ops.server.access.oauth import store
from llm_cost_ops.server.access.oauth.asking import (
    Asked,
    OAuthError,
    verifier_fits,
    wanted_scopes,
)
from llm_cost_ops.server.access.oauth.clients import CODE, CREDENTIALS, REFRESH
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.access.secret import digest
from llm_cost_ops.server.access.tokens.desk import Tokens
from llm_cost_ops.server.access.tokens.pairs import Refused, TokenPair
from llm_cost_ops.server.access.tokens.store import get_family
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession

CODE_SECONDS = 60
CODE_BYTES = 32
KEPT_SECONDS = 86_400
"""How long a code is kept after its end, so that one that comes late again is known."""
_MICROS = 1_000_000
Given = TokenPair | OAuthError
"""Refusals are given back instead of raised: what they revoke must be committed."""


def new_code(session: WriteSession, actor: Actor, person: Principal, asked: Asked) -> str:
    """The code of a consent: it works once, within a minute, for this client, address and
    challenge."""
    code = secrets.token_urlsafe(CODE_BYTES)
    store.remove_ended_codes(session, actor.now_us - KEPT_SECONDS * _MICROS)
    store.insert_code(
        session,
        store.Code(
            digest=digest(code),
            organization_id=person.organization_id,
            client_id=asked.client.id,
            # Tokens for a confined person stand for the user, not for the account.
            account_id=None if person.confined else person.account_id,
            user_id=person.user_id or "",
            redirect_uri=asked.redirect_uri,
            challenge=asked.challenge,
            scopes=asked.scopes,
            created_at=actor.now_us,
            expires_at=actor.now_us + CODE_SECONDS * _MICROS,
        ),
    )
    after: dict[str, object] = {"user_id": person.user_id, "scopes": sorted(asked.scopes)}
    actor.record(session, "auth.oauth.consented", "oauth_client", asked.client.id, None, after)
    return code


def grant(
    session: WriteSession,
    tokens: Tokens,
    client: store.Client,
    form: Mapping[str, str],
    *,
    now_us: int,
    used_from: str,
    request_id: str | None,
) -> Given:
    """The tokens that a client asks for."""
    kind = form.get("grant_type", "")
    ways: Mapping[str, Callable[[], Given]] = {
        CODE: lambda: _by_code(session, tokens, client, form, now_us, request_id),
        REFRESH: lambda: _by_refresh(session, tokens, client, form, used_from, request_id),
        CREDENTIALS: lambda: _by_credentials(session, tokens, client, form, request_id),
    }
    if kind not in ways:
        return OAuthError("unsupported_grant_type", "There is no such grant.")
    if kind not in client.grant_types:
        return OAuthError("unauthorized_client", "The client may not use this grant.")
    try:
        return ways[kind]()
    except OAuthError as error:
        return error


def _by_code(
    session: WriteSession,
    tokens: Tokens,
    client: store.Client,
    form: Mapping[str, str],
    now_us: int,
    request_id: str | None,
) -> Given:
    refused = OAuthError("invalid_grant", "The code is not valid.")
    code = store.find_code(session, digest(form.get("code", "")))
    if code is None or code.client_id != client.id:
        return refused
    if code.used_at is not None:
        return _came_again(session, tokens, code, request_id)
    if now_us >= code.expires_at or form.get("redirect_uri") != code.redirect_uri:
        return refused
    if not verifier_fits(form.get("code_verifier"), code.challenge):
        return refused
    if not store.use_code(session, code.digest, now_us):
        code = store.find_code(session, code.digest) or code  # another request was faster
        return _came_again(session, tokens, code, request_id)
    pair = tokens.mint.start(
        session,
        organization_id=code.organization_id,
        user_id=code.user_id,
        account_id=code.account_id,
        client_id=client.id,
        scopes=code.scopes,
        renewable=REFRESH in client.grant_types,
        request_id=request_id,
    )
    if isinstance(pair, Refused):
        return refused
    store.note_family(session, code.digest, pair.family_id)
    return pair


def _came_again(
    session: WriteSession, tokens: Tokens, code: store.Code, request_id: str | None
) -> OAuthError:
    """A code that comes twice was stolen: what it gave is revoked (RFC 6749 section 4.1.2)."""
    family = None if code.family_id is None else get_family(session, code.family_id)
    if family is not None:
        tokens.mint.end(session, family, "code used twice", request_id)
    return OAuthError("invalid_grant", "The code was used before.")


def _by_refresh(
    session: WriteSession,
    tokens: Tokens,
    client: store.Client,
    form: Mapping[str, str],
    used_from: str,
    request_id: str | None,
) -> Given:
    text = form.get("scope")
    known = client.secret_digest is not None
    pair = tokens.mint.renew(
        session,
        form.get("refresh_token", ""),
        client_id=client.id,
        # A client that proves who it is may have moved when it repeats itself.
        used_from=hashlib.sha256(client.id.encode()).hexdigest() if known else used_from,
        scopes=None if text is None else wanted_scopes(text, client.scopes),
        request_id=request_id,
    )
    if isinstance(pair, Refused):
        return OAuthError("invalid_grant", "The refresh token is not valid.")
    return pair


def _by_credentials(
    session: WriteSession,
    tokens: Tokens,
    client: store.Client,
    form: Mapping[str, str],
    request_id: str | None,
) -> Given:
    pair = tokens.mint.start(
        session,
        organization_id=client.organization_id,
        user_id=None,
        account_id=None,
        client_id=client.id,
        scopes=wanted_scopes(form.get("scope"), client.scopes),
        renewable=False,
        request_id=request_id,
    )
    if isinstance(pair, Refused):
        return OAuthError("invalid_grant", "The client may not have tokens.")
    return pair
