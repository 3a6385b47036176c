"""Make, renew and end pairs of tokens: a signed access token and a refresh token that works once.

A refresh token that comes a second time was stolen from whoever came first or second, which of them
nobody knows: the whole family ends. Only an answer that was lost on its way is forgiven: the same
client may send the same token again for some seconds and gets the same successor. The successor is
sealed under the token that it replaced, so that the database alone does not tell it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace

from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.permissions import holds
from llm_cost_ops.server.access.secret import digest, new_secret, well_formed
from llm_cost_ops.server.access.tokens import claims as jwt
from llm_cost_ops.server.access.tokens import store
from llm_cost_ops.server.access.tokens.signing import SigningKeys
from llm_cost_ops.server.audit import record as audit
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.delivery.sealing import SecretUnreadable, Vault
from llm_cost_ops.server.identity.grants import grants_of
from llm_cost_ops.server.settings import Settings

REFRESH_PREFIX = "rt_"
SUCCESSOR = "llm-cost-ops successor of a refresh token"
KEPT_SECONDS = 86_400
"""How long a family is kept after its end, for the audit of what came late."""
REMOVED_AT_ONCE = 20
_MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client gets. Lives in seconds; without a refresh token it cannot renew itself."""

    access_token: str = field(repr=False)
    expires_in: int
    scope: str
    family_id: str
    refresh_token: str | None = field(default=None, repr=False)
    refresh_expires_in: int | None = None

    def wire(self) -> dict[str, object]:
        """The answer of RFC 6749."""
        answer: dict[str, object] = {
            "access_token": self.access_token,
            "token_type": "Bearer",
            "expires_in": self.expires_in,
            "scope": self.scope,
        }
        if self.refresh_token is not None:
            answer["refresh_token"] = self.refresh_token
            answer["refresh_expires_in"] = self.refresh_expires_in
        return answer


@dataclass(frozen=True, slots=True)
class Refused:
    """Why no tokens are given; for the log, not for who asked."""

    reason: str


class Mint:
    """Makes tokens within transactions of others."""

    def __init__(self, settings: Settings, clock: Clock, keys: SigningKeys) -> None:
        self._jwt = settings.jwt
        self._clock = clock
        self._keys = keys
        self.terms = jwt.Terms(
            settings.jwt.issuer or settings.server.public_url or "llm-cost-ops",
            settings.jwt.audience,
            settings.jwt.leeway_seconds,
        )

    def start(
        self,
        session: WriteSession,
        *,
        organization_id: str,
        user_id: str | None,
        account_id: str | None,
        client_id: str | None,
        scopes: frozenset[str] | None,
        renewable: bool,
        request_id: str | None,
        family_id: str | None = None,
        token_version: int | None = None,
    ) -> TokenPair | Refused:
        """The first tokens of a new family. `token_version` is that of the account when it proved
        who it is: Refused when everything that it had was ended since."""
        now_us = self._clock.micros()
        version = 0
        if account_id is not None:
            current = store.token_version(session, account_id)
            if current is None:
                return Refused("the account is disabled")
            if token_version not in (None, current):
                return Refused("signed out everywhere meanwhile")
            version = current
        lives_s = self._jwt.refresh_total_seconds if renewable else self._jwt.access_seconds
        family = store.Family(
            id=family_id or single_id("fam", now_us // 1_000, secrets.randbits(80)),
            organization_id=organization_id,
            account_id=account_id,
            user_id=user_id,
            client_id=client_id,
            scopes=scopes,
            token_version=version,
            created_at=now_us,
            expires_at=now_us + lives_s * _MICROS,
        )
        held = self._held(session, family)
        if held is None:
            return Refused("the user is disabled")
        store.remove_ended(session, now_us - KEPT_SECONDS * _MICROS, REMOVED_AT_ONCE)
        store.insert_family(session, family)
        _record(session, family, "issued", now_us, request_id)
        pair = self._access(session, family, held, now_us)
        return self._with_refresh(session, pair, family, now_us) if renewable else pair

    def renew(
        self,
        session: WriteSession,
        secret: str,
        *,
        client_id: str | None,
        used_from: str,
        scopes: frozenset[str] | None,
        request_id: str | None,
    ) -> TokenPair | Refused:
        """The tokens that follow a refresh token. Ends the family of one that comes again."""
        found = self._presented(session, secret, client_id)
        if isinstance(found, Refused):
            return found
        row, family = found
        now_us = self._clock.micros()
        held = self._held(session, family)
        if held is None:
            store.end_family(session, family.id, now_us, "user disabled or changed")
            return Refused("the user is disabled, or signed out everywhere")
        if scopes is not None:
            held = frozenset(one for one in scopes if holds(held, (one,)))
            if held != scopes:
                return Refused("asks for more than was granted")
        if row.used_at is None and (min(row.expires_at, family.expires_at) > now_us):
            pair = self._access(session, family, held, now_us)
            pair = self._replaced(session, pair, row, family, secret, used_from, now_us)
            if pair is not None:
                _record(session, family, "refreshed", now_us, request_id)
                return pair
            row = store.find_refresh(session, row.digest) or row  # another one was faster
        if row.used_at is None:
            return Refused("expired")
        successor = self._forgiven(session, row, secret, used_from, now_us)
        if successor is None:
            if store.end_family(session, family.id, now_us, "refresh token used twice"):
                _record(session, family, "reuse_detected", now_us, request_id)
            return Refused("used before: all tokens of the family are revoked")
        pair = self._access(session, family, held, now_us)
        left_s = (successor[1] - now_us) // _MICROS
        return replace(pair, refresh_token=successor[0], refresh_expires_in=left_s)

    def move(
        self, session: WriteSession, family: store.Family, organization_id: str, user_id: str
    ) -> TokenPair | Refused:
        """An access token of the same person in another organization. The refresh token goes on
        there, so that nothing is lost with an answer; access tokens from before end."""
        store.move_family(session, family.id, organization_id=organization_id, user_id=user_id)
        moved = replace(family, organization_id=organization_id, user_id=user_id)
        held = self._held(session, moved)
        if held is None:
            return Refused("the user is disabled, or signed out everywhere")
        return self._access(session, moved, held, self._clock.micros())

    def end(
        self, session: WriteSession, family: store.Family, reason: str, request_id: str | None
    ) -> bool:
        """Revoke a family. Whether it was in force."""
        now_us = self._clock.micros()
        ended = store.end_family(session, family.id, now_us, reason)
        if ended:
            _record(session, family, "revoked", now_us, request_id)
        return ended

    def _presented(
        self, session: ReadSession, secret: str, client_id: str | None
    ) -> tuple[store.RefreshRow, store.Family] | Refused:
        row = store.find_refresh(session, digest(secret)) if well_formed(secret) else None
        family = None if row is None else store.get_family(session, row.family_id)
        if row is None or family is None:
            return Refused("unknown")
        if family.client_id != client_id:
            return Refused("belongs to another client")
        if family.revoked_at is not None:
            return Refused("revoked")
        return row, family

    def _held(self, session: ReadSession, family: store.Family) -> frozenset[str] | None:
        """What the family may do now; None when its user or account may no longer."""
        if family.account_id is not None:
            version = store.token_version(session, family.account_id)
            if version != family.token_version:
                return None
        if family.user_id is None:
            return family.scopes or frozenset()
        grants = grants_of(session, family.organization_id, family.user_id)
        if not grants.enabled:
            return None
        return grants.scopes if family.scopes is None else grants.limited(family.scopes).scopes

    def _access(
        self, session: WriteSession, family: store.Family, scopes: frozenset[str], now_us: int
    ) -> TokenPair:
        now_s = now_us // _MICROS
        claims = jwt.Claims(
            token_id=secrets.token_urlsafe(16),
            family_id=family.id,
            subject=family.account_id or family.user_id or family.client_id or "",
            organization_id=family.organization_id,
            scopes=scopes,
            version=family.token_version,
            issued_at=now_s,
            expires_at=now_s + self._jwt.access_seconds,
            client_id=family.client_id,
        )
        token = jwt.write(claims, self._keys.signing(session), self.terms)
        return TokenPair(token, self._jwt.access_seconds, " ".join(sorted(scopes)), family.id)

    def _with_refresh(
        self, session: WriteSession, pair: TokenPair, family: store.Family, now_us: int
    ) -> TokenPair:
        secret = new_secret(REFRESH_PREFIX)
        expires_at = min(now_us + self._jwt.refresh_seconds * _MICROS, family.expires_at)
        row = store.RefreshRow(digest(secret), family.id, now_us, expires_at)
        store.insert_refresh(session, row)
        left_s = (expires_at - now_us) // _MICROS
        return replace(pair, refresh_token=secret, refresh_expires_in=left_s)

    def _replaced(
        self,
        session: WriteSession,
        pair: TokenPair,
        row: store.RefreshRow,
        family: store.Family,
        secret: str,
        used_from: str,
        now_us: int,
    ) -> TokenPair | None:
        """The pair with the successor of an unused refresh token; None if it is used by now."""
        successor = new_secret(REFRESH_PREFIX)
        sealed = Vault(secret, SUCCESSOR).seal(successor, row.digest)
        if not store.use_refresh(
            session, row.digest, now_us=now_us, used_from=used_from, successor=sealed
        ):
            return None
        expires_at = min(now_us + self._jwt.refresh_seconds * _MICROS, family.expires_at)
        follows = store.RefreshRow(digest(successor), family.id, now_us, expires_at)
        store.insert_refresh(session, follows)
        left_s = (expires_at - now_us) // _MICROS
        return replace(pair, refresh_token=successor, refresh_expires_in=left_s)

    def _forgiven(
        self, session: ReadSession, row: store.RefreshRow, secret: str, used_from: str, now_us: int
    ) -> tuple[str, int] | None:
        """The successor of a used token and its end, if its answer may have been lost: it comes
        from where it came from, soon, and the successor was not used."""
        grace_us = self._jwt.refresh_grace_seconds * _MICROS
        if row.used_at is None or now_us - row.used_at >= grace_us or row.used_from != used_from:
            return None
        try:
            successor = Vault(secret, SUCCESSOR).open(row.successor or "", row.digest)
        except SecretUnreadable:
            return None
        follows = store.find_refresh(session, digest(successor))
        if follows is None or follows.used_at is not None:
            return None
        return successor, follows.expires_at


def _record(
    session: WriteSession, family: store.Family, verb: str, now_us: int, request_id: str | None
) -> None:
    after: dict[str, object] = {
        name: getattr(family, name)
        for name in ("account_id", "user_id", "client_id")
        if getattr(family, name) is not None
    }
    audit.record(
        session,
        organization_id=family.organization_id,
        actor_id=family.id,
        action=f"auth.token.{verb}",
        resource_type="token",
        resource_id=family.id,
        after=after,
        request_id=request_id,
        now_us=now_us,
    )
