"""Sign in: the password, the second factor where there is one, then a session.

What is wrong is told alike for an unknown address, a wrong password, an account that has none, one
that is disabled and one that is in no organization any more, and takes as long.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import partial

from llm_cost_ops.core.ids import single_id
from llm_cost_ops.server.access.tokens.pairs import TokenPair
from llm_cost_ops.server.audit.record import INSTALLATION, record
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read, write_retrying
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.identity.accounts import Membership, memberships
from llm_cost_ops.server.identity.fields import PersonError, clean_email
from llm_cost_ops.server.identity.grants import grants_of
from llm_cost_ops.server.identity.last_admin import ADMIN
from llm_cost_ops.server.signin import second_factor, session_tokens, store
from llm_cost_ops.server.signin.desk import SignInDesk
from llm_cost_ops.server.signin.passwords import digest
from llm_cost_ops.server.signin.throttle import (
    Subject,
    TooManyAttempts,
    count_attempt,
    forgive,
    subject,
    take_back,
)
from llm_cost_ops.server.signin.visitor import Visitor

SECRET_BYTES = 32
DEVICE_DAYS = 180
_DAY_US = 24 * 3_600 * 1_000_000
_MAX_AGENT = 255


class SignInFailed(Problem):
    """401 that does not tell what was wrong."""

    def __init__(self) -> None:
        super().__init__(401, "SIGN_IN_FAILED", "The e-mail address or the password is wrong.")


class SecondFactorRequired(Problem):
    """401: the password was right, a code is missing."""

    def __init__(self) -> None:
        super().__init__(
            401,
            "SECOND_FACTOR_REQUIRED",
            "A code of the second factor is required: totp or recovery_code.",
        )


class SecondFactorFailed(Problem):
    """401: the password was right, the code was not, or was used before."""

    def __init__(self) -> None:
        super().__init__(401, "SECOND_FACTOR_FAILED", "The code is wrong or was used before.")


class SsoRequired(Problem):
    """403: the password was right, and the organization takes none."""

    def __init__(self) -> None:
        super().__init__(
            403,
            "SSO_REQUIRED",
            "This organization is signed in to by its identity provider, not with a password.",
        )


@dataclass(frozen=True, slots=True)
class Code:
    """One of both, or neither."""

    totp: str | None = None
    recovery_code: str | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session and its secret; `device` is the secret for a browser that had none, `pair` are
    the tokens of a program."""

    session: store.Session
    secret: str = field(repr=False)
    account: store.Account
    member: Membership
    device: str | None = field(repr=False)
    roles: tuple[str, ...] = ()
    pair: TokenPair | None = None


def clean(email: str) -> str:
    """An address as accounts have it; what is none is nobody's."""
    try:
        return clean_email(email)
    except PersonError:
        return email.strip().lower()


def prove_password(desk: SignInDesk, email: str, password: str, visitor: Visitor) -> store.Account:
    """The account that the password is right for. Raises SignInFailed, TooManyAttempts."""
    email = clean(email)
    now_us = desk.clock.micros()
    chosen = desk.settings.sign_in
    by_address = subject("ip", visitor.address or "", chosen.free_attempts_per_address)

    def begin(session: WriteSession) -> tuple[int, store.Account | None, list[Subject]]:
        found = store.find_account(session, email)
        subjects = [subject("email", email, chosen.free_attempts), by_address]
        if visitor.device is not None and found is not None:
            device = digest(visitor.device)
            if store.is_known_device(session, device, found.id, now_us):
                subjects = [subject("device", device, chosen.free_attempts)]
        wait_us = count_attempt(
            session, subjects, now_us=now_us, longest_s=chosen.longest_wait_seconds
        )
        return wait_us, found, subjects

    wait_us, account, subjects = write_retrying(desk.database, begin)
    if wait_us:
        raise TooManyAttempts(wait_us)
    right = desk.passwords.fits(account.password_hash if account else None, password)
    if not right or account is None or account.disabled_at is not None:
        write_retrying(desk.database, partial(_failed, account, "password", visitor, now_us))
        raise SignInFailed
    rehashed = None
    if account.password_hash is not None and desk.passwords.outdated(account.password_hash):
        rehashed = desk.passwords.hash(password)

    def proven(session: WriteSession) -> None:
        forgive(session, [each for each in subjects if each != by_address])
        if by_address in subjects:
            take_back(session, by_address)
        if rehashed is not None and account.password_hash is not None:
            store.set_hash(session, account.id, account.password_hash, rehashed)

    write_retrying(desk.database, proven)
    return account


def prove_second_factor(
    desk: SignInDesk, account: store.Account, code: Code, visitor: Visitor
) -> None:
    """Nothing when the account has none. Raises SecondFactorRequired, SecondFactorFailed,
    TooManyAttempts."""
    with read(desk.database) as session:
        if not second_factor.is_on(session, account.id):
            return
    if code.totp is None and code.recovery_code is None:
        raise SecondFactorRequired
    now_us, chosen = desk.clock.micros(), desk.settings.sign_in
    own = subject("code", account.id, chosen.free_attempts)

    def work(session: WriteSession) -> tuple[int, bool]:
        wait_us = count_attempt(
            session, [own], now_us=now_us, longest_s=chosen.longest_wait_seconds
        )
        if wait_us:
            return wait_us, False
        if code.totp is not None:
            good = second_factor.accept_code(
                session, desk.vault, account.id, code.totp, now_us=now_us
            )
        else:
            good = second_factor.use_recovery_code(
                session, account.id, code.recovery_code or "", now_us=now_us
            )
        if good:
            forgive(session, [own])
        else:
            _failed(account, "second factor", visitor, now_us, session)
        return 0, good

    wait_us, good = write_retrying(desk.database, work)
    if wait_us:
        raise TooManyAttempts(wait_us)
    if not good:
        raise SecondFactorFailed


def _failed(
    account: store.Account | None,
    what: str,
    visitor: Visitor,
    now_us: int,
    session: WriteSession,
) -> None:
    """Record a failed attempt where administrators of the account's organization find it, or in
    the log of the installation. What was typed as address may be a password: it is not kept."""
    # Asked of nobody, too: the time must not tell whether there is an account.
    members = memberships(session, account.id if account is not None else "")
    member = members[0] if members else None
    record(
        session,
        organization_id=member.organization_id if member else INSTALLATION,
        actor_id=None,
        action="auth.login_failed",
        resource_type="user",
        resource_id=member.user_id if member else "unknown",
        after={"wrong": what, "address": visitor.address},
        request_id=visitor.request_id,
        now_us=now_us,
    )


def enter(
    desk: SignInDesk,
    account: store.Account,
    visitor: Visitor,
    organization: str | None = None,
    *,
    method: str = "password",
    with_tokens: bool = False,
    provider_id: str | None = None,
) -> SignedIn:
    """A session for somebody who has proven to be the account, in the organization that is named by
    id or slug, or else the first one that takes a password, if no provider vouched for the person.
    Raises SignInFailed when there is none, SsoRequired when none of them takes one, Problem 401
    when the account was signed out everywhere meanwhile."""
    now_us = desk.clock.micros()
    secret = secrets.token_urlsafe(SECRET_BYTES)

    def work(session: WriteSession) -> SignedIn | None:
        members = _named(memberships(session, account.id), organization)
        if not members:
            return None
        if provider_id is None:
            members = [each for each in members if takes_password(session, each)]
        if not members:
            raise SsoRequired
        member = members[0]
        made = store.Session(
            id=single_id("ses", now_us // 1_000, secrets.randbits(80)),
            account_id=account.id,
            organization_id=member.organization_id,
            user_id=member.user_id,
            created_at=now_us,
            last_seen_at=now_us,
            expires_at=now_us + desk.lives_us,
            address=visitor.address,
            agent=visitor.agent[:_MAX_AGENT] if visitor.agent else None,
            provider_id=provider_id,
        )
        store.insert_session(session, made, digest(secret), token_version=account.token_version)
        # A browser is known to the account, of which a confined person has proven nothing.
        device = None if made.confined else _known(session, account, visitor, now_us)
        record(
            session,
            organization_id=member.organization_id,
            actor_id=made.id,
            action="auth.login",
            resource_type="user",
            resource_id=member.user_id,
            after={"method": method, "address": visitor.address, **_by(provider_id)},
            request_id=visitor.request_id,
            now_us=now_us,
        )
        pair = session_tokens.issue(desk, session, made, account, visitor) if with_tokens else None
        roles = grants_of(session, member.organization_id, member.user_id).role_names
        return SignedIn(made, secret, account, member, device, roles, pair)

    signed_in = write_retrying(desk.database, work)
    if signed_in is None:
        raise SignInFailed
    return signed_in


def _known(
    session: WriteSession, account: store.Account, visitor: Visitor, now_us: int
) -> str | None:
    """The secret for a browser that is not known yet."""
    if visitor.device is not None:
        known = store.is_known_device(session, digest(visitor.device), account.id, now_us)
        if known:
            return None
    device = secrets.token_urlsafe(SECRET_BYTES)
    lives_us = DEVICE_DAYS * _DAY_US
    store.insert_device(session, digest(device), account.id, now_us=now_us, lives_us=lives_us)
    return device


def _by(provider_id: str | None) -> dict[str, str]:
    return {} if provider_id is None else {"provider_id": provider_id}


def _named(members: list[Membership], organization: str | None) -> list[Membership]:
    if organization is None:
        return members
    return [each for each in members if organization in (each.organization_id, each.slug)][:1]


def takes_password(session: ReadSession, member: Membership) -> bool:
    """Whether the user may be there after a password: administrators always may, so that a
    provider that fails, or is set up wrongly, locks nobody out for good."""
    if not store.sso_required(session, member.organization_id):
        return True
    return ADMIN in grants_of(session, member.organization_id, member.user_id).role_names
