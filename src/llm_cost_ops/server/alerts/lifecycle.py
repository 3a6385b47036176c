"""The life of an alert: active, acknowledged, snoozed, resolved, each change noted and told.

Whoever changes an alert holds its row; jobs that come late look at what it is by then.
"""

from __future__ import annotations

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.server.alerts import store
from llm_cost_ops.server.alerts.notify import (
    ACKNOWLEDGE,
    AGAIN,
    ESCALATION,
    HEAR_OF_ACKNOWLEDGEMENT,
    RESOLVE,
    tell,
    tell_same,
)
from llm_cost_ops.server.alerts.rules import Rule, default_rule
from llm_cost_ops.server.alerts.store import ACKNOWLEDGED, ACTIVE, RESOLVED, SNOOZED, Row
from llm_cost_ops.server.alerts.work import WAKE
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.queue.enqueue import NewJob, Priority, enqueue

MAX_SNOOZE_US = 90 * 24 * 3_600_000_000
MAX_COMMENT = 2_000


class AlertUnknown(DomainError):
    """No alert of the organization has this id."""

    code = "NOT_FOUND"


class AlertClosed(DomainError):
    """The alert is resolved already."""

    code = "CONFLICT"


def acknowledge(session: WriteSession, alert_id: str, comment: str, actor: Actor) -> None:
    """Somebody takes care: nothing escalates any more. Again by anybody changes nothing.

    Raises AlertUnknown, AlertClosed.
    """
    alert = _open(session, alert_id, actor)
    if alert["status"] == ACKNOWLEDGED:
        return
    store.change_alert(
        session,
        actor.organization_id,
        alert_id,
        status=ACKNOWLEDGED,
        acknowledged_at=actor.now_us,
        snoozed_until=None,
    )
    said = f"Acknowledged by {actor.name}."
    _note(session, alert_id, "acknowledged", _with(said, comment), actor)
    rule = rule_of_alert(session, alert)
    tell_same(
        session, alert, rule, ACKNOWLEDGE, now_us=actor.now_us, said=said,
        kinds=HEAR_OF_ACKNOWLEDGEMENT,
    )  # fmt: skip


def snooze(session: WriteSession, alert_id: str, until_us: int, comment: str, actor: Actor) -> None:
    """Keep quiet until an instant, then tell again unless it is resolved by then.

    Raises AlertUnknown, AlertClosed, DomainError for an instant that is past or too far.
    """
    if not actor.now_us < until_us <= actor.now_us + MAX_SNOOZE_US:
        raise DomainError("must be within the next 90 days", field="until")
    alert = _open(session, alert_id, actor)
    store.change_alert(
        session, actor.organization_id, alert_id, status=SNOOZED, snoozed_until=until_us
    )
    said = f"Snoozed until {format_micros(until_us)} by {actor.name}."
    _note(session, alert_id, "snoozed", _with(said, comment), actor)
    job = NewJob(
        WAKE,
        {"alert_id": alert["id"], "until": until_us},
        actor.organization_id,
        until_us,
        Priority.HIGH,
    )
    enqueue(session, job, now_us=actor.now_us)


def resolve(session: WriteSession, alert_id: str, comment: str, actor: Actor) -> None:
    """It is over. Raises AlertUnknown; of a resolved one nothing changes."""
    alert = store.lock_alert(session, actor.organization_id, alert_id)
    if alert is None:
        raise AlertUnknown("Alert not found")
    if alert["status"] == RESOLVED:
        return
    said = f"Resolved by {actor.name}."
    _end(session, alert, actor.now_us)
    _note(session, alert_id, "resolved", _with(said, comment), actor)
    _tell_end(session, alert, said, actor.now_us)


def comment_on(session: WriteSession, alert_id: str, comment: str, actor: Actor) -> None:
    """Add a remark to the history. Raises AlertUnknown."""
    if store.lock_alert(session, actor.organization_id, alert_id) is None:
        raise AlertUnknown("Alert not found")
    _note(session, alert_id, "comment", comment, actor)


def clear(
    session: WriteSession, organization_id: str, alert_id: str, why: str, now_us: int
) -> bool:
    """Resolve an alert whose reason is gone; whether it was open."""
    alert = store.lock_alert(session, organization_id, alert_id)
    if alert is None or alert["status"] == RESOLVED:
        return False
    _end(session, alert, now_us)
    store.note(session, organization_id, alert_id, "auto_cleared", why, now_us=now_us)
    _tell_end(session, alert, why, now_us)
    return True


def wake(
    session: WriteSession, organization_id: str, alert_id: str, until_us: int, now_us: int
) -> bool:
    """End a snooze that has not been changed since; whether it was."""
    alert = store.lock_alert(session, organization_id, alert_id)
    if alert is None or alert["status"] != SNOOZED or int(alert["snoozed_until"]) != until_us:
        return False
    store.change_alert(session, organization_id, alert_id, status=ACTIVE, snoozed_until=None)
    store.note(session, organization_id, alert_id, "unsnoozed", "The snooze is over.",
               now_us=now_us)  # fmt: skip
    rule = rule_of_alert(session, alert)
    moment, said = f"{AGAIN}-{until_us}", "Still open after its snooze."
    tell(session, alert, rule, moment, rule.channels, now_us=now_us, said=said)
    return True


def escalate(
    session: WriteSession, organization_id: str, alert_id: str, place: int, now_us: int
) -> int | None:
    """Tell the channels of a step if nobody has acknowledged the alert. Of a snoozed one the
    instant until which to wait, else None."""
    alert = store.lock_alert(session, organization_id, alert_id)
    if alert is None or alert["status"] in (ACKNOWLEDGED, RESOLVED):
        return None
    if alert["status"] == SNOOZED:
        until_us = int(alert["snoozed_until"])
        if until_us > now_us:
            return until_us
        wake(session, organization_id, alert_id, until_us, now_us)
    rule = rule_of_alert(session, alert)
    if place >= len(rule.escalation):
        return None
    step = rule.escalation[place]
    said = "Nobody has acknowledged this yet."
    moment = f"{ESCALATION}-{place}"
    if tell(session, alert, rule, moment, step.channels, now_us=now_us, said=said):
        store.note(session, organization_id, alert_id, "escalated", said, now_us=now_us,
                   details={"step": place + 1})  # fmt: skip
    return None


def rule_of_alert(session: WriteSession, alert: Row) -> Rule:
    """The rule that made an alert, as it is now; what holds without one where it is gone."""
    rule_id = alert["rule_id"]
    row = None if rule_id is None else store.rule_row(session, alert["organization_id"], rule_id)
    if row is None:
        return default_rule(alert["organization_id"], alert["kind"])
    return store.rule_of(row)


def _open(session: WriteSession, alert_id: str, actor: Actor) -> Row:
    alert = store.lock_alert(session, actor.organization_id, alert_id)
    if alert is None:
        raise AlertUnknown("Alert not found")
    if alert["status"] == RESOLVED:
        raise AlertClosed("The alert is resolved already.")
    return alert


def _end(session: WriteSession, alert: Row, now_us: int) -> None:
    store.change_alert(
        session,
        alert["organization_id"],
        alert["id"],
        status=RESOLVED,
        resolved_at=now_us,
        snoozed_until=None,
    )


def _tell_end(session: WriteSession, alert: Row, said: str, now_us: int) -> None:
    rule = rule_of_alert(session, alert)
    if rule.notify_resolved:
        tell_same(session, alert, rule, RESOLVE, now_us=now_us, said=said)


def _note(session: WriteSession, alert_id: str, kind: str, text: str, actor: Actor) -> None:
    store.note(
        session,
        actor.organization_id,
        alert_id,
        kind,
        text,
        now_us=actor.now_us,
        actor_id=actor.actor_id,
    )


def _with(said: str, comment: str) -> str:
    return f"{said} {comment}" if comment else said
