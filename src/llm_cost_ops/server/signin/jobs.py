"""The work of signing in for the worker: links are mailed, what has ended is removed."""

from __future__ import annotations

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.identity import links
from llm_cost_ops.server.identity.accounts import memberships
from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.work import Again, Effect, Kind, Running, SystemSchedule, Work
from llm_cost_ops.server.settings import Settings
from llm_cost_ops.server.signin import mail, store
from llm_cost_ops.server.signin.address_jobs import address_handlers
from llm_cost_ops.server.signin.ask import RESET_MAIL
from llm_cost_ops.server.signin.throttle import forget_old

TIDY = Kind("signin.tidy", max_attempts=5, retry=exponential(first_s=10, most_s=300))
KEEP_US = 7 * 24 * 3_600 * 1_000_000
_MINUTE_US = 60 * 1_000_000


def work(settings: Settings, database: Database, clock: Clock) -> Work:
    """Everything that signing in does beside the requests."""

    def reset(running: Running) -> None:
        email = str(running.job.payload["email"])
        with read(database) as session:
            account = store.find_account(session, email)
            known = account is not None and bool(memberships(session, account.id))
        if account is None or account.disabled_at is not None or not known:
            return  # who asked cannot tell
        if (lack := mail.lacking(settings)) is not None:
            logger("signin").warning("no mail for a new password", reason=lack)
            return

        def make(session: WriteSession) -> str:
            now_us = clock.micros()
            links.cancel_links(session, "reset", account_id=account.id, now_us=now_us)
            return links.make_link(
                session,
                "reset",
                now_us=now_us,
                lives_us=settings.sign_in.reset_link_minutes * _MINUTE_US,
                account_id=account.id,
            )

        # The secret is made for this attempt and kept nowhere: another attempt makes another one.
        outcome = mail.send_reset(settings, email, running.write(make), clock.now())
        if not outcome.delivered and not outcome.final:
            raise Again(outcome.detail)

    def tidy(_running: Running) -> Effect:
        now_us = clock.micros()

        def remove(session: WriteSession) -> None:
            store.remove_ended(session, now_us - KEEP_US)
            links.remove_ended_links(session, now_us - KEEP_US)
            forget_old(session, now_us=now_us)

        return remove

    return Work(
        handlers={
            RESET_MAIL: reset,
            TIDY: tidy,
            **address_handlers(settings, database, clock),
        },
        schedules=[SystemSchedule("signin.tidy", "43 * * * *", TIDY)],
    )
