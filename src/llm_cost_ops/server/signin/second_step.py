"""Between password and code: a browser whose password was right, for five minutes."""

from __future__ import annotations

from dataclasses import dataclass

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
SECONDS = 5 * 60
LIVES_US = SECONDS * 1_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """Who has proven one thing. `provider_id` vouched for it, None after a password;
    `organization_id` is where the person goes then, None for anywhere."""

    account: store.Account
    provider_id: str | None
    organization_id: str | None


def remember(
    desk: SignInDesk,
    account: store.Account,
    provider_id: str | None = None,
    organization_id: str | None = None,
) -> str:
    """The secret for the browser's cookie."""

    def work(session: WriteSession) -> str:
        return make_link(
            session,
            PURPOSE,
            now_us=desk.clock.micros(),
            lives_us=LIVES_US,
            account_id=account.id,
            detail={
                "token_version": account.token_version,
                "provider_id": provider_id,
                "organization_id": organization_id,
            },
        )

    return write_retrying(desk.database, work)


def step_of(desk: SignInDesk, secret: str) -> Step:
    """Whose password was right, or whom a provider vouched for. Raises LinkRefused when it is too
    long ago, the password was changed since, or the provider was removed."""
    with read(desk.database) as session:
        link = look_at_link(session, secret, PURPOSE, now_us=desk.clock.micros())
        account = store.get_account(session, link.account_id or "")
        vouched = store.still_vouches(session, link.detail.get("provider_id"))
    if (
        account is None
        or not vouched
        or account.disabled_at is not None
        or account.token_version != link.detail.get("token_version")
    ):
        raise LinkRefused(REFUSED)
    detail = link.detail
    return Step(account, detail.get("provider_id"), detail.get("organization_id"))


def end(desk: SignInDesk, secret: str) -> None:
    """The code was right, too. Raises LinkRefused when another request was quicker."""

    def work(session: WriteSession) -> None:
        use_link(session, secret, PURPOSE, now_us=desk.clock.micros())

    write_retrying(desk.database, work)
