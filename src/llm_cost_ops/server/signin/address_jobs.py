"""The mails about another e-mail address: a link to the new one, notices to the old one."""

from __future__ import annotations

from collections.abc import Mapping

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.identity import addresses, links
from llm_cost_ops.server.queue.work import Again, Handler, Kind, Running
from llm_cost_ops.server.settings import Settings
from llm_cost_ops.server.signin import mail, store
from llm_cost_ops.server.signin.ask import ADDRESS_MAIL, NOTICE_MAIL

_MINUTE_US = 60 * 1_000_000


def address_handlers(
    settings: Settings, database: Database, clock: Clock
) -> Mapping[Kind, Handler]:
    """What sends them."""

    def address(running: Running) -> None:
        told = running.job.payload
        account_id, old, new = str(told["account_id"]), str(told["old"]), str(told["new"])
        with read(database) as session:
            account = store.get_account(session, account_id)
            taken = addresses.is_taken(session, account_id, new)
        if account is None or account.disabled_at is not None or taken:
            return  # who asked cannot tell
        if (account.email, account.token_version) != (old, told["version"]):
            return
        if (lack := mail.lacking(settings)) is not None:
            logger("signin").warning("no mail for a new address", reason=lack)
            return

        def make(session: WriteSession) -> str:
            now_us = clock.micros()
            links.cancel_links(session, "verify", account_id=account.id, now_us=now_us)
            return links.make_link(
                session,
                "verify",
                now_us=now_us,
                lives_us=settings.sign_in.reset_link_minutes * _MINUTE_US,
                account_id=account.id,
                detail={"from": old, "email": new, "token_version": account.token_version},
            )

        outcome = mail.send_address_link(settings, old, new, running.write(make), clock.now())
        if not outcome.delivered and not outcome.final:
            raise Again(outcome.detail)

    def notice(running: Running) -> None:
        told = running.job.payload
        if (lack := mail.lacking(settings)) is not None:
            logger("signin").warning("no mail about a new address", reason=lack)
            return
        changed = told["what"] == "changed"
        outcome = mail.send_address_notice(
            settings, str(told["old"]), str(told["new"]), clock.now(), changed=changed
        )
        if not outcome.delivered and not outcome.final:
            raise Again(outcome.detail)

    return {ADDRESS_MAIL: address, NOTICE_MAIL: notice}
