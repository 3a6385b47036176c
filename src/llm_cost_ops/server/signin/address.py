"""Another e-mail address for one's own account: proven by a link to the new one, told to the old.

Whoever reads the mail of an address can have a new password set. So the link alone changes nothing:
it is confirmed by who is signed in as the account, and a mistyped address gives it to nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llm_cost_ops.server.db.session import WriteSession, read, write_retrying
from llm_cost_ops.server.identity import addresses
from llm_cost_ops.server.identity.fields import PersonError, clean_email
from llm_cost_ops.server.identity.links import (
    REFUSED,
    Link,
    LinkRefused,
    cancel_links,
    look_at_link,
    use_link,
)
from llm_cost_ops.server.signin import store
from llm_cost_ops.server.signin.account import (
    end_everything,
    own_account,
    prove_again,
    record_own,
    refuse_confined,
)
from llm_cost_ops.server.signin.ask import ask_for_address_mails, ask_for_changed_mail
from llm_cost_ops.server.signin.desk import SignInDesk
from llm_cost_ops.server.signin.sessions import Visit
from llm_cost_ops.server.signin.sign_in import Code, prove_second_factor
from llm_cost_ops.server.signin.throttle import TooManyAttempts, count_attempt, subject
from llm_cost_ops.server.signin.visitor import Visitor

PURPOSE = "verify"
MAX_ASKED = 3
"""Free requests for one account, and for one new address, before each further one has to wait."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change that a link proves; `version` is the account's `token_version` when it was asked."""

    account_id: str
    version: int
    old: str
    new: str


def ask(
    desk: SignInDesk,
    visit: Visit,
    email: str,
    password: str | None,
    code: Code,
    visitor: Visitor,
) -> None:
    """Have a link sent to the new address, and the old one told. Whether somebody else has the new
    one is not told. Raises ProveAgain, SecondFactorRequired, SecondFactorFailed, TooManyAttempts,
    PersonError, AddressManaged."""
    new = clean_email(email)
    account = prove_again(desk, visit, password, visitor)
    prove_second_factor(desk, account, code, visitor)
    if new == account.email:
        raise PersonError("is the address already", field="email")
    chosen, now_us = desk.settings.sign_in, desk.clock.micros()
    subjects = [
        subject("address-of", account.id, MAX_ASKED),
        subject("address-to", new, MAX_ASKED),
    ]

    def work(session: WriteSession) -> int:
        if addresses.is_managed(session, account.id):
            raise addresses.managed()
        wait_us = count_attempt(
            session, subjects, now_us=now_us, longest_s=chosen.longest_wait_seconds
        )
        if not wait_us:
            cancel_links(session, PURPOSE, account_id=account.id, now_us=now_us)
            ask_for_address_mails(
                session, account.id, account.email, new, account.token_version, now_us=now_us
            )
            record_own(session, account.id, "auth.email_change_requested", visitor, now_us, visit)
        return wait_us

    wait_us = write_retrying(desk.database, work)
    if wait_us:
        raise TooManyAttempts(wait_us)


def look_at(desk: SignInDesk, visit: Visit, secret: str) -> Change:
    """What a link would change. Raises LinkRefused, also for the account of somebody else, and
    ProveAgain for a confined session."""
    refuse_confined(visit)
    with read(desk.database) as session:
        link = look_at_link(session, secret, PURPOSE, now_us=desk.clock.micros())
    return _checked(desk, visit, link)


def confirm(desk: SignInDesk, visit: Visit, secret: str, visitor: Visitor) -> store.Account:
    """Change the address by the link; everything that was signed in ends. The account as it is
    then. Raises LinkRefused, ProveAgain, AddressTaken, AddressManaged."""
    change = look_at(desk, visit, secret)
    account = own_account(desk, change.account_id)

    def work(session: WriteSession) -> store.Account:
        now_us = desk.clock.micros()
        use_link(session, secret, PURPOSE, now_us=now_us)
        addresses.change_address(
            session,
            account.id,
            change.old,
            change.new,
            version=change.version,
            now_us=now_us,
        )
        end_everything(session, account.id, now_us=now_us)
        for purpose in ("reset", PURPOSE):
            cancel_links(session, purpose, account_id=account.id, now_us=now_us)
        ask_for_changed_mail(session, account.id, change.old, change.new, now_us=now_us)
        record_own(
            session,
            account.id,
            "auth.email_changed",
            visitor,
            now_us,
            visit,
            emails=(change.old, change.new),
        )
        return replace(account, email=change.new, token_version=change.version + 1)

    return write_retrying(desk.database, work)


def _checked(desk: SignInDesk, visit: Visit, link: Link) -> Change:
    """Raises LinkRefused unless it is about the account that is here, as it was when it asked."""
    detail = link.detail
    account = own_account(desk, visit.session.account_id)
    if (link.account_id, detail.get("from"), detail.get("token_version")) != (
        account.id,
        account.email,
        account.token_version,
    ):
        raise LinkRefused(REFUSED)
    return Change(account.id, account.token_version, account.email, str(detail["email"]))
