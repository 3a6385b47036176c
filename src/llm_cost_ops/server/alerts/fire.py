"""Make alerts of findings: each row, its history and its jobs in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.alerts import rules, store
from llm_cost_ops.server.alerts.finding import Finding
from llm_cost_ops.server.alerts.look import is_cooling
from llm_cost_ops.server.alerts.notify import DIGEST, TRIGGER, WORSE, due, tell
from llm_cost_ops.server.alerts.rules import SEVERITIES
from llm_cost_ops.server.alerts.store import ACTIVE, RESOLVED, Row
from llm_cost_ops.server.alerts.work import CLEAR, ESCALATE
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.queue.enqueue import NewJob, Priority, enqueue_all

MAX_EVENTS = 200
"""Events that an alert remembers; older ones count as known."""


def fire(session: WriteSession, findings: Sequence[Finding], now_us: int) -> list[str]:
    """The ids of the alerts that are new. Rules are locked in the order of their ids: who fires for
    one sees what others have fired for it."""
    ordered = sorted(findings, key=lambda each: each.rule.id or "")
    made: list[str] = []
    held: set[str] = set()
    for finding in ordered:
        rule = finding.rule
        if rule.id is not None and rule.id not in held:
            row = store.lock_rule(session, rule.organization_id, rule.id)
            if row is None or not row["enabled"]:
                continue  # removed or switched off since it was read
            held.add(rule.id)
        alert_id = _fire_one(session, finding, now_us)
        if alert_id is not None:
            made.append(alert_id)
    return made


def _fire_one(session: WriteSession, finding: Finding, now_us: int) -> str | None:
    rule = finding.rule
    latest = store.latest_of(session, rule.organization_id, finding.subject_key)
    if latest is not None:
        if _is_seen(finding, latest):
            return None
        if finding.joins and latest["status"] != RESOLVED:
            _join(session, finding, latest, now_us)
            return None
        if is_cooling(finding, latest, now_us):
            _suppress(session, finding, latest, now_us)
            return None
    return _make(session, finding, now_us)


def _is_seen(finding: Finding, latest: Row) -> bool:
    """Whether the event has made or joined the last alert, as far as that remembers."""
    event_id = finding.event_id
    if event_id is None:
        return False
    known: list[str] = loads(latest["event_ids"])
    return event_id in known or (len(known) >= MAX_EVENTS and event_id < min(known))


def _join(session: WriteSession, finding: Finding, alert: Row, now_us: int) -> None:
    more = 0 if finding.event_id is None else finding.times
    organization_id, alert_id = alert["organization_id"], alert["id"]
    store.change_alert(
        session,
        organization_id,
        alert_id,
        occurrences=int(alert["occurrences"]) + more,
        last_seen_at=now_us,
        event_ids=_remembered(finding, alert),
    )
    severity = finding.shown_severity
    if SEVERITIES.index(severity) <= SEVERITIES.index(alert["severity"]):
        return
    worse = {
        "severity": severity,
        "title": finding.title,
        "summary": finding.summary,
        "details": dumps(finding.details),
        "notice": dumps({**loads(alert["notice"]), "facts": _facts(finding)}),
    }
    store.change_alert(session, organization_id, alert_id, **worse)
    store.note(
        session, organization_id, alert_id, "worsened", f"It is {severity} now: {finding.summary}",
        now_us=now_us, details={"severity": severity},
    )  # fmt: skip
    if alert["status"] == ACTIVE:  # else somebody knows of it
        changed = {**alert, **worse}
        said = f"This got worse and is {severity} now."
        rule = finding.rule
        tell(session, changed, rule, f"{WORSE}-{severity}", rule.channels, now_us=now_us, said=said)


def _suppress(session: WriteSession, finding: Finding, alert: Row, now_us: int) -> None:
    """Note in the history of the last alert that another was not made; once, until the next."""
    store.change_alert(
        session,
        alert["organization_id"],
        alert["id"],
        event_ids=_remembered(finding, alert),
        suppressed=int(alert["suppressed"]) + 1,
    )
    if not alert["suppressed"]:
        store.note(
            session, alert["organization_id"], alert["id"], "suppressed",
            f"Within the cooldown: {finding.summary}", now_us=now_us,
        )  # fmt: skip


def _remembered(finding: Finding, alert: Row) -> str:
    known: list[str] = loads(alert["event_ids"])
    mine = [] if finding.event_id is None else [finding.event_id]
    return dumps(sorted({*known, *mine})[-MAX_EVENTS:])


def _make(session: WriteSession, finding: Finding, now_us: int) -> str | None:
    rule = finding.rule
    alert_id = store.new_id("alt", now_us)
    row = {
        "id": alert_id,
        "dedup_key": finding.dedup_key,
        "rule_id": rule.id,
        "kind": rule.type,
        "subject": finding.subject_key,
        "severity": finding.shown_severity,
        "status": ACTIVE,
        "title": finding.title,
        "summary": finding.summary,
        "notice": dumps(
            {
                "facts": _facts(finding),
                "drivers": [[each.name, each.amount, each.share] for each in finding.drivers],
                "since": finding.since_us,
            }
        ),
        "details": dumps(finding.details),
        "budget_id": finding.budget_id,
        "occurrences": finding.times,
        "event_ids": dumps([] if finding.event_id is None else [finding.event_id]),
        "fired_at": now_us,
        "last_seen_at": now_us,
    }
    if not store.add_alert(session, rule.organization_id, row):
        return None
    store.note(
        session, rule.organization_id, alert_id, "fired", finding.summary, now_us=now_us,
        details={"severity": finding.shown_severity, "rule_id": rule.id},
    )  # fmt: skip
    organization_id = rule.organization_id
    alert = {**row, "organization_id": organization_id}
    moment = DIGEST if rule.type == rules.DIGEST else TRIGGER
    if not tell(session, alert, rule, moment, rule.channels, now_us=now_us):
        store.note(
            session, organization_id, alert_id, "not_told",
            f"No channel that is on takes {finding.shown_severity} alerts: nobody is told.",
            now_us=now_us,
        )  # fmt: skip
    enqueue_all(session, _later(finding, alert_id, now_us), now_us=now_us)
    return alert_id


def _facts(finding: Finding) -> list[list[str]]:
    return [[fact.label, fact.value] for fact in finding.facts]


def _later(finding: Finding, alert_id: str, now_us: int) -> list[NewJob]:
    """What is to be looked at again: whether somebody took care, so long after they could know of
    it, and whether it is over."""
    rule = finding.rule
    known_us = due(finding.shown_severity, rule, now_us)
    jobs = [
        NewJob(
            ESCALATE,
            {"alert_id": alert_id, "step": place},
            rule.organization_id,
            known_us + step.after_us,
            Priority.HIGH,
        )
        for place, step in enumerate(rule.escalation)
    ]
    ends = [
        end
        for end in (finding.until_us, _after(now_us, rule.clear_after_us))
        if end is not None and end > now_us
    ]
    if ends:
        payload = {"alert_id": alert_id}
        jobs.append(NewJob(CLEAR, payload, rule.organization_id, min(ends), Priority.NORMAL))
    return jobs


def _after(now_us: int, wait_us: int | None) -> int | None:
    return None if wait_us is None else now_us + wait_us
