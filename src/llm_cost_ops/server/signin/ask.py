"""Ask for a mail; the job that sends it is in `jobs`."""

from __future__ import annotations

from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.queue.enqueue import NewJob, Priority, enqueue
from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.work import Kind

RESET_MAIL = Kind(
    "signin.reset_mail", max_attempts=6, retry=exponential(first_s=5, most_s=300), waits=True
)


def ask_for_mail(session: WriteSession, email: str, *, now_us: int) -> None:
    """Whether somebody has this address is found out by the job, where nobody measures it."""
    job = NewJob(RESET_MAIL, {"email": email}, None, priority=Priority.HIGH)
    enqueue(session, job, now_us=now_us)
