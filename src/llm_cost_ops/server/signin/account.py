"""What people change of how they sign in: each change proves the password again, and ends what was
signed in before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from llm_cost_ops.server.audit.record import record
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read, write_retrying
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.identity.accounts import Membership, end_sessions, memberships
from llm_cost_ops.server.identity.links import (
    REFUSED,
    Link,
    LinkRefused,
    cancel_links,
    look_at_link,
    use_link,
)
from llm_cost_ops.server.signin import second_factor, session_tokens, store
from llm_cost_ops.server.signin.desk import SignInDesk
from llm_cost_ops.server.signin.policy import check_password
from llm_cost_ops.server.signin.sessions import Visit
from llm_cost_ops.server.signin.sign_in import (
    Code,
    SignInFailed,
    prove_password,
    prove_second_factor,
)
from llm_cost_ops.server.signin.throttle import TooManyAttempts, count_attempt, subject
from llm_cost_ops.server.signin.visitor import Visitor

T = TypeVar("T")
FRESH_US = 10 * 60 * 1_000_000
"""A session of somebody without a password vouches for a change so long after the sign-in."""
SETS_PASSWORD = ("welcome", "reset")
MAX_RESETS = 3


class ProveAgain(Problem):
    """403: a change of how one signs in needs the password, or a fresh session without one."""

    def __init__(self, message: str = "The current password is wrong.") -> None:
        super().__init__(403, "REAUTHENTICATION_REQUIRED", message)


def own_account(desk: SignInDesk, account_id: str) -> store.Account:
    """The account of a session that goes on."""
    with read(desk.database) as session:
        found = store.get_account(session, account_id)
    if found is None:
        raise SignInFailed
    return found


def refuse_confined(visit: Visit) -> None:
    """Raises ProveAgain for whom an organization lets in by its own provider: an account that may
    belong to several organizations is not for one of them to change."""
    if visit.session.confined:
        raise ProveAgain(
            "Your organization's identity provider signed you in: this needs your own password."
        )


def prove_again(
    desk: SignInDesk, visit: Visit, password: str | None, visitor: Visitor
) -> store.Account:
    """The account, once more by its password. Raises ProveAgain, TooManyAttempts."""
    refuse_confined(visit)
    account = own_account(desk, visit.session.account_id)
    if account.password_hash is None:
        if desk.clock.micros() - visit.session.created_at > FRESH_US:
            raise ProveAgain("Sign in again first.")
        return account
    if password is None:
        raise ProveAgain("The current password is required.")
    try:
        return prove_password(desk, account.email, password, visitor)
    except SignInFailed:
        raise ProveAgain from None


def change_password(
    desk: SignInDesk, visit: Visit, current: str | None, new: str, visitor: Visitor
) -> store.Account:
    """Set another password and end all sessions and tokens, this one too; the account as it is
    then. Raises ProveAgain, PasswordRefused, TooManyAttempts."""
    account = prove_again(desk, visit, current, visitor)
    check_account_password(desk, account, new, field="new_password")
    hashed = desk.passwords.hash(new)

    def work(session: WriteSession) -> store.Account:
        return _set(desk, session, account, hashed, visitor, "auth.password_changed")

    return write_retrying(desk.database, work)


def _set(
    desk: SignInDesk,
    session: WriteSession,
    account: store.Account,
    hashed: str,
    visitor: Visitor,
    action: str,
    *,
    first: bool = False,
) -> store.Account:
    now_us = desk.clock.micros()
    if not store.set_password(session, account.id, hashed, now_us=now_us, first=first):
        raise LinkRefused(REFUSED)  # another welcome was used meanwhile
    end_everything(session, account.id, now_us=now_us)
    cancel_links(session, "reset", account_id=account.id, now_us=now_us)
    record_own(session, account.id, action, visitor, now_us)
    return replace(account, password_hash=hashed, token_version=account.token_version + 1)


def end_everything(session: WriteSession, account_id: str, *, now_us: int) -> None:
    """End sessions, access and refresh tokens, and forget the known browsers."""
    end_sessions(session, account_id, now_us=now_us)
    store.forget_devices(session, account_id)


def check_account_password(
    desk: SignInDesk, account: store.Account, password: str, *, field: str = "password"
) -> None:
    """Raises PasswordRefused."""
    with read(desk.database) as session:
        members = memberships(session, account.id)
    names = [account.email.partition("@")[0], account.email, account.name or ""]
    names += [each for member in members for each in _names(member)]
    check_password(password, names, field=field)


def _names(member: Membership) -> tuple[str, str]:
    return member.name, member.slug


def ask_for_reset(
    desk: SignInDesk,
    email: str,
    visitor: Visitor,
    send: Callable[[WriteSession], object],
) -> None:
    """Have a link sent, if somebody has this address; who asks cannot tell, and `send` does the
    same for both. Raises TooManyAttempts."""
    chosen, now_us = desk.settings.sign_in, desk.clock.micros()
    subjects = [
        subject("reset", email, MAX_RESETS),
        subject("reset-ip", visitor.address or "", chosen.free_attempts_per_address),
    ]

    def work(session: WriteSession) -> int:
        wait_us = count_attempt(
            session, subjects, now_us=now_us, longest_s=chosen.longest_wait_seconds
        )
        if not wait_us:
            send(session)
        return wait_us

    wait_us = write_retrying(desk.database, work)
    if wait_us:
        raise TooManyAttempts(wait_us)


def link_of(session: ReadSession, secret: str, *, now_us: int) -> Link:
    """The link that sets a password, of either purpose. Raises LinkRefused."""
    for purpose in SETS_PASSWORD[:-1]:
        try:
            return look_at_link(session, secret, purpose, now_us=now_us)
        except LinkRefused:
            continue
    return look_at_link(session, secret, SETS_PASSWORD[-1], now_us=now_us)


def account_of_link(desk: SignInDesk, secret: str) -> store.Account:
    """Whose password a link sets. Raises LinkRefused."""
    return _behind(desk, secret)[1]


def _behind(desk: SignInDesk, secret: str) -> tuple[Link, store.Account]:
    with read(desk.database) as session:
        link = link_of(session, secret, now_us=desk.clock.micros())
        account = store.get_account(session, link.account_id or "")
    unfit = account is None or account.disabled_at is not None
    # A welcome is for who has no password yet: the others own their account, not who made the user.
    if account is None or unfit or (link.purpose == "welcome" and account.password_hash):
        raise LinkRefused(REFUSED)
    return link, account


def set_by_link(desk: SignInDesk, secret: str, password: str, visitor: Visitor) -> store.Account:
    """Set the password by a link. Nobody is signed in by it: the second factor stays asked for. A
    link for a new password is only ever mailed, so it proves the address; a welcome may have been
    handed over by who made the user. Raises LinkRefused, PasswordRefused."""
    link, account = _behind(desk, secret)
    check_account_password(desk, account, password)
    hashed = desk.passwords.hash(password)

    def work(session: WriteSession) -> store.Account:
        now_us = desk.clock.micros()
        use_link(session, secret, link.purpose, now_us=now_us)
        if link.purpose == "reset":
            store.set_verified(session, account.id, now_us=now_us)
        first = link.purpose == "welcome"
        return _set(desk, session, account, hashed, visitor, "auth.password_reset", first=first)

    return write_retrying(desk.database, work)


def enrolment_of(desk: SignInDesk, visit: Visit) -> second_factor.Enrolment:
    """The secret that waits to be confirmed. Raises SecondFactorError when there is none."""
    refuse_confined(visit)
    account = own_account(desk, visit.session.account_id)
    with read(desk.database) as session:
        return second_factor.pending(session, desk.vault, account.id, account.email)


def begin_second_factor(
    desk: SignInDesk, visit: Visit, password: str | None, visitor: Visitor
) -> second_factor.Enrolment:
    """A secret to confirm. Raises ProveAgain, SecondFactorError, TooManyAttempts."""
    account = prove_again(desk, visit, password, visitor)

    def work(session: WriteSession) -> second_factor.Enrolment:
        return second_factor.enroll(
            session, desk.vault, account.id, account.email, now_us=desk.clock.micros()
        )

    return write_retrying(desk.database, work)


def confirm_second_factor(
    desk: SignInDesk, visit: Visit, code: str, visitor: Visitor
) -> list[str] | None:
    """The recovery codes; None for a wrong code. Raises SecondFactorError, TooManyAttempts."""
    refuse_confined(visit)
    account_id, chosen = visit.session.account_id, desk.settings.sign_in
    own = subject("confirm", account_id, chosen.free_attempts)

    def work(session: WriteSession) -> tuple[int, list[str] | None]:
        now_us = desk.clock.micros()
        wait_us = count_attempt(
            session, [own], now_us=now_us, longest_s=chosen.longest_wait_seconds
        )
        if wait_us:
            return wait_us, None
        codes = second_factor.confirm(session, desk.vault, account_id, code, now_us=now_us)
        if codes is not None:
            record_own(session, account_id, "auth.second_factor_on", visitor, now_us, visit)
        return 0, codes

    wait_us, codes = write_retrying(desk.database, work)
    if wait_us:
        raise TooManyAttempts(wait_us)
    return codes


def end_second_factor(
    desk: SignInDesk, visit: Visit, password: str | None, code: Code, visitor: Visitor
) -> None:
    """Turn it off, by the password and a code of it. Raises ProveAgain, SecondFactorRequired,
    SecondFactorFailed, TooManyAttempts."""
    account = prove_again(desk, visit, password, visitor)
    prove_second_factor(desk, account, code, visitor)

    def work(session: WriteSession) -> None:
        if second_factor.turn_off(session, account.id):
            now_us = desk.clock.micros()
            record_own(session, account.id, "auth.second_factor_off", visitor, now_us, visit)

    write_retrying(desk.database, work)


def renew_recovery_codes(
    desk: SignInDesk, visit: Visit, password: str | None, code: Code, visitor: Visitor
) -> list[str]:
    """New recovery codes instead of the old ones. Raises what `end_second_factor` does, and
    SecondFactorError when there is no second factor."""
    account = prove_again(desk, visit, password, visitor)
    prove_second_factor(desk, account, code, visitor)

    def work(session: WriteSession) -> list[str]:
        if not second_factor.is_on(session, account.id):
            raise second_factor.SecondFactorError("The second factor is not on.")
        now_us = desk.clock.micros()
        record_own(session, account.id, "auth.recovery_codes_renewed", visitor, now_us, visit)
        return second_factor.new_recovery_codes(session, account.id, now_us=now_us)

    return write_retrying(desk.database, work)


def sessions_seen(desk: SignInDesk, session: ReadSession, visit: Visit) -> list[store.Session]:
    """Where the account is signed in, by browsers and by programs, as far as this session may know:
    a confined one knows of those sessions that the same provider vouched for."""
    account_id, now_us = visit.session.account_id, desk.clock.micros()
    found = store.live_sessions(session, account_id, now_us=now_us, idle_us=desk.idle_us)
    if visit.session.confined:
        return [each for each in found if each.provider_id == visit.session.provider_id]
    beside = {session_tokens.family_of(each.id) for each in found}
    programs = session_tokens.programs_of(session, account_id, now_us)
    return [*found, *(each for each in programs if each.id not in beside)]


def record_own(
    session: WriteSession,
    account_id: str,
    action: str,
    visitor: Visitor,
    now_us: int,
    visit: Visit | None = None,
    by: str | None = None,
    emails: tuple[str, str] | None = None,
) -> None:
    """Record what an account did to itself in each of its organizations: by a session, or `by` the
    credential with this id. `emails` are the address before and after."""
    before, after = emails or (None, None)
    for member in memberships(session, account_id):
        record(
            session,
            organization_id=member.organization_id,
            actor_id=visit.session.id if visit else by,
            action=action,
            resource_type="user",
            resource_id=member.user_id,
            before=None if before is None else {"email": before},
            after={"address": visitor.address, **({} if after is None else {"email": after})},
            request_id=visitor.request_id,
            now_us=now_us,
        )
