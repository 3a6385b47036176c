"""Between password and code: a browser whose password was right, for five minutes."""

from __future__ import annotations

from llm_cost_ops.server.db.session import WriteSession, read, write_retrying
from llm_cost_ops.server.identity.links import (
    REFUSED,
    LinkRefused,
    look_at_link,
    make_link,
    use_link,
)
from llm_cost_ops.server.signin import store
from llm_cost_ops.server.signin.desk import SignInDesk

PURPOSE = "second_step"
LIVES_US = 5 * 60 * 1_000_000


def remember(desk: SignInDesk, account: store.Account) -> str:
    """The secret for the browser's cookie."""

    def work(session: WriteSession) -> str:
        return make_link(
            session,
            PURPOSE,
            now_us=desk.clock.micros(),
            lives_us=LIVES_US,
            account_id=account.id,
            detail={"token_version": account.token_version},
        )

    return write_retrying(desk.database, work)


def account_of(desk: SignInDesk, secret: str) -> store.Account:
    """Whose password was right. Raises LinkRefused when it is too long ago, or the password was
    changed since."""
    with read(desk.database) as session:
        link = look_at_link(session, secret, PURPOSE, now_us=desk.clock.micros())
        account = store.get_account(session, link.account_id or "")
    if (
        account is None
        or account.disabled_at is not None
        or account.token_version != link.detail.get("token_version")
    ):
        raise LinkRefused(REFUSED)
    return account


def end(desk: SignInDesk, secret: str) -> None:
    """The code was right, too. Raises LinkRefused when another request was quicker."""

    def work(session: WriteSession) -> None:
        use_link(session, secret, PURPOSE, now_us=desk.clock.micros())

    write_retrying(desk.database, work)
