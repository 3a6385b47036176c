"""The job of one delivery: send it unless it has become pointless, and record how that went."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from llm_cost_ops.server.alerts import channels, store
from llm_cost_ops.server.alerts.notify import (
    ESCALATION,
    HEAR_OF_ACKNOWLEDGEMENT,
    moment_of,
    notice_of,
    part_of,
)
from llm_cost_ops.server.alerts.store import (
    ACKNOWLEDGED,
    DELIVERED,
    FAILED,
    PENDING,
    RESOLVED,
    SKIPPED,
    SNOOZED,
    Row,
)
from llm_cost_ops.server.alerts.work import DELIVER
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read
from llm_cost_ops.server.delivery.channels import Channel
from llm_cost_ops.server.delivery.notice import Notice, Outcome
from llm_cost_ops.server.delivery.sealing import SecretUnreadable, Vault
from llm_cost_ops.server.identity.organizations import get_organization
from llm_cost_ops.server.queue.work import Again, Effect, GiveUp, Running

Send = Callable[[Channel, Notice, str], Outcome]
"""Tells a channel of a notice; the text is the id of the delivery, the same for every attempt."""
_WORDS = {DELIVERED: "notified", FAILED: "failed", SKIPPED: "skipped"}


class Sender:
    """Carries out deliveries. The send is outside any transaction: a worker that dies after it is
    replaced by one that sends again, under the same dedup key and delivery id."""

    def __init__(
        self, database: Database, clock: Clock, send: Send, seal: Vault, public_url: str | None
    ) -> None:
        self._database = database
        self._clock = clock
        self._send = send
        self._seal = seal
        self._public_url = public_url

    def deliver(self, running: Running) -> Effect | None:
        """The handler of a delivery's job. One that failed for good comes again only where somebody
        replays its dead letter, and then it is sent."""
        job = running.job
        organization_id = job.organization_id or ""
        with read(self._database) as session:
            row = store.delivery(session, organization_id, str(job.payload["delivery_id"]))
            if row is None or row["state"] not in (PENDING, FAILED):
                return None
            found = self._prepared(session, row)
        if isinstance(found, str):
            return partial(self._finish, row, SKIPPED, Outcome(False, found), row["attempts"])
        channel, notice = found
        outcome = self._send(channel, notice, row["id"])
        attempts = int(row["attempts"]) + 1
        if outcome.delivered:
            return partial(self._finish, row, DELIVERED, outcome, attempts)
        if outcome.final or job.attempt >= job.max_attempts:
            effect = partial(self._finish, row, FAILED, outcome, attempts)
            raise GiveUp(outcome.detail, effect=effect)
        effect = partial(self._attempted, row, outcome, attempts)
        wait_s = outcome.retry_after_s
        if wait_s is not None:  # not less than our own, or all attempts are over within a minute
            wait_s = max(wait_s, DELIVER.retry(job.attempt, 0.0))
        raise Again(outcome.detail, delay_s=wait_s, effect=effect)

    def _prepared(self, session: ReadSession, row: Row) -> tuple[Channel, Notice] | str:
        """What to send; or why nothing is. Raises GiveUp."""
        organization_id = row["organization_id"]
        alert = store.alert_row(session, organization_id, row["alert_id"])
        organization = get_organization(session, organization_id)
        if alert is None or organization is None:
            return "the alert is gone"
        pointless = _pointless(session, alert, row)
        if pointless is not None:
            return pointless
        try:
            stored = channels.row(session, organization_id, row["channel_id"])
            whole = channels.channel_of(stored, self._seal)
        except channels.ChannelUnknown:
            return "the channel was removed"
        except SecretUnreadable as error:
            reason = f"the channel's secrets cannot be read: {error}"
            outcome = Outcome(False, reason, final=True)
            effect = partial(self._finish, row, FAILED, outcome, int(row["attempts"]))
            raise GiveUp(reason, effect=effect) from None
        if not stored["enabled"]:
            return "the channel is switched off"
        channel = part_of(whole, int(row["part"]))
        if channel is None:
            return "the channel has this addressee no more"
        return channel, notice_of(alert, row, organization, self._public_url)

    def _finish(
        self, row: Row, state: str, outcome: Outcome, attempts: int, session: WriteSession
    ) -> None:
        now_us = self._clock.micros()
        store.change_delivery(
            session,
            row["organization_id"],
            row["id"],
            state=state,
            attempts=attempts,
            status=outcome.status,
            detail=outcome.detail,
            finished_at=now_us,
        )
        details: dict[str, object] = {
            "channel_id": row["channel_id"],
            "moment": row["moment"],
            "part": int(row["part"]),
            "attempts": attempts,
            "status": outcome.status,
        }
        store.note(
            session, row["organization_id"], row["alert_id"], _WORDS[state],
            f"{row['moment'].partition('-')[0]}: {outcome.detail}", now_us=now_us, details=details,
        )  # fmt: skip

    def _attempted(self, row: Row, outcome: Outcome, attempts: int, session: WriteSession) -> None:
        store.change_delivery(
            session,
            row["organization_id"],
            row["id"],
            attempts=attempts,
            status=outcome.status,
            detail=outcome.detail,
        )


def _pointless(session: ReadSession, alert: Row, row: Row) -> str | None:
    """Why a delivery would say what is not so any more."""
    kind = moment_of(row["moment"])
    if kind == "digest":
        return None
    if kind == "trigger":
        if alert["status"] == RESOLVED:
            return "the alert was resolved before"
        if alert["status"] == ACKNOWLEDGED and row["moment"].startswith(ESCALATION):
            return "the alert was acknowledged before"
        if alert["status"] == SNOOZED:
            return "the alert was snoozed before"
        return None
    told = any(
        _is_told(each, row) or (_may_be_told(each, row) and _keeps_state(session, row))
        for each in store.deliveries(session, row["organization_id"], alert["id"])
    )
    return None if told else "the channel was not told of the alert"


def _is_told(each: Row, row: Row) -> bool:
    return each["state"] == DELIVERED and _began(each, row)


def _may_be_told(each: Row, row: Row) -> bool:
    """Whether a send that had no answer may have arrived all the same."""
    return bool(each["attempts"]) and each["status"] is None and _began(each, row)


def _began(each: Row, row: Row) -> bool:
    same = each["channel_id"] == row["channel_id"] and each["part"] == row["part"]
    return same and moment_of(each["moment"]) == "trigger"


def _keeps_state(session: ReadSession, row: Row) -> bool:
    """Whether the other side keeps an incident open until it hears of its end; for people a
    message about the end of what they may not have heard of is noise."""
    known = channels.rows(session, row["organization_id"])
    kinds = {each["id"]: each["kind"] for each in known}
    return kinds.get(row["channel_id"]) in HEAR_OF_ACKNOWLEDGEMENT
