"""Ask for a mail; the job that sends it is in `jobs`."""

from __future__ import annotations

from collections.abc import Mapping

from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.queue.enqueue import NewJob, Priority, enqueue
from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.work import Kind

RESET_MAIL = Kind(
    "signin.reset_mail", max_attempts=6, retry=exponential(first_s=5, most_s=300), waits=True
)


ADDRESS_MAIL = Kind(
    "signin.address_mail", max_attempts=6, retry=exponential(first_s=5, most_s=300), waits=True
)
NOTICE_MAIL = Kind(
    "signin.notice_mail", max_attempts=6, retry=exponential(first_s=5, most_s=300), waits=True
)


def ask_for_address_mails(
    session: WriteSession, account_id: str, old: str, new: str, version: int, *, now_us: int
) -> None:
    """The link to the new address, a notice to the old one. `version` is the account's
    `token_version`: what signs it out everywhere ends the link, too."""
    payload = {"account_id": account_id, "old": old, "new": new, "version": version}
    job = NewJob(ADDRESS_MAIL, payload, None, priority=Priority.HIGH)
    enqueue(session, job, now_us=now_us)
    _notice(session, {**payload, "what": "asked"}, now_us)


def ask_for_changed_mail(
    session: WriteSession, account_id: str, old: str, new: str, *, now_us: int
) -> None:
    """A notice to the old address that it is no longer that of the account."""
    payload = {"account_id": account_id, "old": old, "new": new, "what": "changed"}
    _notice(session, payload, now_us)


def _notice(session: WriteSession, payload: Mapping[str, object], now_us: int) -> None:
    job = NewJob(NOTICE_MAIL, payload, None, priority=Priority.HIGH)
    enqueue(session, job, now_us=now_us)


def ask_for_mail(session: WriteSession, email: str, *, now_us: int) -> None:
    """Whether somebody has this address is found out by the job, where nobody measures it."""
    job = NewJob(RESET_MAIL, {"email": email}, None, priority=Priority.HIGH)
    enqueue(session, job, now_us=now_us)
