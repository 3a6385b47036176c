"""The work of people for the worker: mails that welcome and invite."""

from __future__ import annotations

from llm_cost_ops.server.admin import letters
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.delivery.letter import Letter, send_letter
from llm_cost_ops.server.queue.work import Again, GiveUp, Running, Work
from llm_cost_ops.server.settings import Settings


def work(settings: Settings, clock: Clock) -> Work:
    """Everything that administration does beside the requests."""

    def mail(running: Running) -> None:
        if (lack := letters.lacking(settings)) is not None:
            raise GiveUp(f"mail cannot be sent: {lack}")
        payload, organization_id = running.job.payload, running.job.organization_id or ""
        written = letters.welcome if payload["about"] == "welcome" else letters.invitation
        public_url = (settings.server.public_url or "").rstrip("/")

        def write(session: WriteSession) -> Letter | None:
            now_us = clock.micros()
            return written(session, organization_id, str(payload["id"]), public_url, now_us)

        letter = running.write(write)
        if letter is None:
            return
        outcome = send_letter(letter, settings.email, clock.now())
        if outcome.delivered:
            return
        if outcome.final:
            raise GiveUp(outcome.detail)
        raise Again(outcome.detail)

    return Work(handlers={letters.MAIL: mail})
