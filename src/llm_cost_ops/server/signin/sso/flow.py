"""A sign-in by a provider: what the browser keeps while it is there, and what comes of its answer.

The browser's cookie has one secret of 256 bits. The state, the nonce and the PKCE verifier follow
from it (HMAC), so that an answer counts in the browser alone that began, and nothing is stored.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from llm_cost_ops.server.audit.record import FAILURE, record
from llm_cost_ops.server.db.session import WriteSession, read, write_retrying
from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.signin import second_factor, second_step
from llm_cost_ops.server.signin.desk import SignInDesk
from llm_cost_ops.server.signin.sign_in import (
    INSTALLATION,
    SignedIn,
    SignInFailed,
    Visitor,
    enter,
)
from llm_cost_ops.server.signin.sso import exchange, saml, store
from llm_cost_ops.server.signin.sso.desk import SsoDesk
from llm_cost_ops.server.signin.sso.exchange import Begun
from llm_cost_ops.server.signin.sso.failures import (
    IdpUnavailable,
    SsoFailed,
    stale,
    stranger,
)
from llm_cost_ops.server.signin.sso.person import Found, find_person
from llm_cost_ops.server.signin.sso.providers import SAML, Provider
from llm_cost_ops.server.signin.sso.vouched import Vouched
from llm_cost_ops.server.signin.throttle import (
    TooManyAttempts,
    count_attempt,
    subject,
    take_back,
)

LIVES_S = 600
MAX_ONWARD = 2_000
MAX_KEPT = 3_000  # of the 4,096 bytes that browsers keep
MAX_CODE = 2_048
METHOD = "single sign-on"
_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Kept:
    """What the cookie of a browser says that went to a provider. Times in seconds."""

    secret: str
    provider_id: str
    began_s: int
    onward: str

    def text(self) -> str:
        onward = self.onward if len(self.onward) <= MAX_ONWARD else ""
        where = base64.urlsafe_b64encode(onward.encode()).decode().rstrip("=")
        return f"{self.secret}.{self.began_s}.{self.provider_id}.{where}"

    def begun(self, redirect_uri: str) -> Begun:
        verifier = self._derived("verifier")
        challenge = hashlib.sha256(verifier.encode()).digest()
        return Begun(
            state=self._derived("state"),
            nonce=self._derived("nonce"),
            verifier=verifier,
            challenge=_base64(challenge),
            redirect_uri=redirect_uri,
        )

    def _derived(self, what: str) -> str:
        text = f"sso {what} {self.provider_id} {self.began_s}"
        return _base64(hmac.digest(self.secret.encode(), text.encode(), hashlib.sha256))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def new_kept(provider_id: str, onward: str, now_us: int) -> Kept:
    return Kept(secrets.token_urlsafe(32), provider_id, now_us // _US, onward)


def read_kept(text: str | None, provider_id: str, now_us: int) -> Kept:
    """The cookie of a sign-in by this provider that began not long ago. Raises SsoFailed."""
    parts = (text or "").split(".")
    if len(parts) != 4 or len(parts[0]) != 43 or parts[2] != provider_id:
        raise stale()
    try:
        began_s = int(parts[1][:20])
        onward = base64.urlsafe_b64decode(parts[3] + "=" * (-len(parts[3]) % 4)).decode()
    except (ValueError, binascii.Error, UnicodeDecodeError):
        raise stale() from None
    if not 0 <= now_us // _US - began_s <= LIVES_S:
        raise stale()
    return Kept(parts[0], provider_id, began_s, onward)


def provider_of(here: SignInDesk, desk: SsoDesk, provider_id: str) -> Provider | None:
    """The enabled provider of this id, of the installation or of an organization."""
    if provider_id in desk.installed:
        return desk.installed[provider_id]
    with read(here.database) as session:
        return store.find_provider(session, provider_id)


@dataclass(frozen=True, slots=True)
class Answered:
    """What a provider sent the browser back with; `response` is that of SAML."""

    state: str
    code: str | None = None
    error: str | None = None
    issuer: str | None = None
    response: str | None = None


def finish(
    here: SignInDesk,
    desk: SsoDesk,
    provider: Provider,
    kept: Kept,
    answered: Answered,
    visitor: Visitor,
    redirect_uri: str,
) -> SignedIn | str:
    """The session of who signs in, or the secret of the step in which a code of the second factor
    is asked for. Raises SsoFailed, IdpUnavailable, TooManyAttempts."""
    begun = kept.begun(redirect_uri)
    if not hmac.compare_digest(answered.state.encode(errors="replace"), begun.state.encode()):
        raise stale()
    by_address = subject(
        "ip", visitor.address or "", here.settings.sign_in.free_attempts_per_address
    )
    now_us, longest_s = here.clock.micros(), here.settings.sign_in.longest_wait_seconds
    wait_us = write_retrying(
        here.database,
        lambda session: count_attempt(session, [by_address], now_us=now_us, longest_s=longest_s),
    )
    if wait_us:
        raise TooManyAttempts(wait_us)
    try:
        vouched = _vouched(here, desk, provider, answered, begun)
        found = _found(here, desk, provider, vouched, visitor)
        made = _entered(here, desk, provider, found, visitor)
    except SsoFailed as failed:
        _record_failure(here, provider, failed.reason, visitor)
        raise
    except IdpUnavailable as failed:
        logger("signin").warning(
            "identity provider unavailable", provider=provider.id, reason=failed.reason
        )
        write_retrying(here.database, lambda session: take_back(session, by_address))
        raise
    write_retrying(here.database, lambda session: take_back(session, by_address))
    return made


def address_to_ask(here: SignInDesk, desk: SsoDesk, provider: Provider, begun: Begun) -> str:
    """Where the browser goes to be asked who it is. Raises IdpUnavailable, SamlMissing."""
    if provider.kind == SAML:
        return saml.address_to_ask(provider, begun, here.clock.micros())
    return exchange.address_to_ask(desk, provider, begun)


def _vouched(
    here: SignInDesk, desk: SsoDesk, provider: Provider, answered: Answered, begun: Begun
) -> Vouched:
    if (provider.kind == SAML) != (answered.response is not None):
        raise SsoFailed("another way of answering")
    if answered.response is not None:
        now_us = here.clock.micros()
        assertion = saml.assertion_of(provider, answered.response, begun, now_us)
        write_retrying(here.database, lambda session: saml.spend_once(session, assertion, now_us))
        return assertion.person
    exchange.check_issuer(desk, provider, answered.issuer)
    if answered.error is not None:
        raise SsoFailed("refused by the provider", "The identity provider did not sign you in.")
    if not answered.code or len(answered.code) > MAX_CODE:
        raise SsoFailed("no code")
    return exchange.person_of(desk, provider, answered.code, begun)


def _found(
    here: SignInDesk, desk: SsoDesk, provider: Provider, vouched: Vouched, visitor: Visitor
) -> Found:
    now_us = here.clock.micros()

    def work(session: WriteSession) -> Found:
        return find_person(
            session,
            provider,
            vouched,
            desk.settings,
            now_us=now_us,
            request_id=visitor.request_id,
        )

    return write_retrying(here.database, work)


def _entered(
    here: SignInDesk, desk: SsoDesk, provider: Provider, found: Found, visitor: Visitor
) -> SignedIn | str:
    if desk.settings.ask_second_factor:
        with read(here.database) as session:
            asked = second_factor.is_on(session, found.account.id)
        if asked:
            return second_step.remember(here, found.account, provider.id, found.organization_id)
    try:
        return enter(
            here,
            found.account,
            visitor,
            found.organization_id,
            method=METHOD,
            provider_id=provider.id,
        )
    except SignInFailed:
        raise stranger() from None


def _record_failure(here: SignInDesk, provider: Provider, reason: str, visitor: Visitor) -> None:
    """Who tried is not known: an address that nobody vouches for is not kept."""

    def work(session: WriteSession) -> None:
        record(
            session,
            organization_id=provider.organization_id or INSTALLATION,
            actor_id=None,
            action="auth.login_failed",
            resource_type="identity_provider",
            resource_id=provider.id,
            after={"method": METHOD, "wrong": reason, "address": visitor.address},
            request_id=visitor.request_id,
            now_us=here.clock.micros(),
            outcome=FAILURE,
        )

    write_retrying(here.database, work)
