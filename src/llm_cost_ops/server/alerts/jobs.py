"""The work of alerts for the worker: events, what the clock brings, deliveries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.alerts import (
    digest,
    levels,
    lifecycle,
    on_budget,
    on_calls,
    on_news,
    on_webhook,
    outlook,
    store,
)
from llm_cost_ops.server.alerts.finding import Finding, subject_key
from llm_cost_ops.server.alerts.fire import fire
from llm_cost_ops.server.alerts.look import Look, driven, look_at, news
from llm_cost_ops.server.alerts.rules import (
    BUDGET,
    ERROR_RATE,
    PROJECTED,
    UNPRICED,
    USAGE,
)
from llm_cost_ops.server.alerts.sending import Sender
from llm_cost_ops.server.alerts.work import (
    CLEAR,
    DELIVER,
    DIGEST,
    ESCALATE,
    EVENTS,
    OUTLOOK,
    SWEEP,
    WAKE,
)
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import DatabaseUnavailable
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.queue.schedule import SLOT
from llm_cost_ops.server.queue.work import (
    Again,
    Effect,
    LeaseLost,
    Running,
    Subscription,
    SystemSchedule,
    Work,
)

ANOMALY_TOPIC = "cost.anomaly_detected"
PRICES_TOPIC = "pricing.updated"
RECORDED_TOPIC = "usage.recorded"
_TOPICS = (*on_budget.TOPICS, ANOMALY_TOPIC, PRICES_TOPIC, RECORDED_TOPIC)
_OF_RULES = frozenset({PRICES_TOPIC, RECORDED_TOPIC})
"""Topics that say nothing where nobody made a rule."""
_SWEPT = (USAGE, ERROR_RATE, UNPRICED, BUDGET)
_MICROS = 1_000_000
Over = Sequence[tuple[str, str]]
"""Alerts whose reason is gone, with why."""
Evaluated = tuple[Sequence[Finding], Over]
NOTHING: Evaluated = ((), ())


def work(database: Database, clock: Clock, sender: Sender) -> Work:
    """Alerts of all organizations."""
    room = _Room(database, clock)
    return Work(
        handlers={
            EVENTS: room.events,
            SWEEP: room.sweep,
            OUTLOOK: room.outlook,
            DIGEST: room.digest,
            ESCALATE: room.escalate,
            WAKE: room.wake,
            CLEAR: room.clear,
            DELIVER: sender.deliver,
        },
        subscriptions=[
            *(_subscription(topic) for topic in _TOPICS),
            Subscription("alerts.webhooks", on_webhook.TOPICS[0], EVENTS, on_webhook.TOPICS[1:]),
        ],
        schedules=[
            SystemSchedule("alerts.sweep", "* * * * *", SWEEP),
            SystemSchedule("alerts.outlook", "*/15 * * * *", OUTLOOK),
        ],
    )


def _subscription(topic: str) -> Subscription:
    wanted = store.having_rules if topic in _OF_RULES else None
    return Subscription(f"alerts.{topic}", topic, EVENTS, wanted=wanted)


class _Room:
    """The handlers. Each looks outside a transaction and returns what is to be written."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def events(self, running: Running) -> Effect | None:
        """Events of one topic and organization, some at a time."""
        job, now_us = running.job, self._clock.micros()
        events = cast("Sequence[Mapping[str, Any]]", job.payload["events"])
        with read(self._database) as session:
            look = look_at(session, job.organization_id or "", now_us)
            if look is None:
                return None
            found = [each for event in events for each in _of_event(look, event)]
            over = [each for event in events for each in on_webhook.over(look, event)]
            if any(event["topic"] == RECORDED_TOPIC for event in events):
                found += levels.reached(levels.levels(look, quick=True))
                found += on_budget.standing(look, named_only=True)
            seen = _unseen(look, found)
        findings = driven(self._database, seen, now_us)
        if not findings and not over:
            return None
        return partial(_apply, job.organization_id or "", findings, over, now_us)

    def sweep(self, running: Running) -> None:
        """What only the clock tells: long windows, and what is over."""
        self._each(running, _SWEPT, self._swept)

    def outlook(self, running: Running) -> None:
        """Where budgets are heading."""
        self._each(running, (PROJECTED,), self._foreseen)

    def _each(
        self,
        running: Running,
        kinds: Sequence[str],
        evaluate: Callable[[Look], Evaluated],
    ) -> None:
        """Evaluate every organization that has something of these kinds, each in a transaction of
        its own. Raises RuntimeError after the last one for those that failed."""
        with read(self._database) as session:
            organizations = store.organizations_with(session, kinds)
        failed = 0
        for organization_id in organizations:
            if running.stopping:
                raise Again("the worker stops", delay_s=0, counted=False)
            try:
                now_us = self._clock.micros()
                with read(self._database) as session:
                    look = look_at(session, organization_id, now_us)
                    found, over = NOTHING if look is None else evaluate(look)
                findings = driven(self._database, found, now_us)
                if findings or over:
                    running.write(partial(_apply, organization_id, findings, over, now_us))
            except (DatabaseUnavailable, LeaseLost):
                raise
            except Exception as error:
                failed += 1
                logger("alerts").error(
                    "not evaluated", organization=organization_id, reason=str(error)
                )
        if failed:
            raise RuntimeError(f"alerts of {failed} organizations were not evaluated")

    def _swept(self, look: Look) -> Evaluated:
        measured = levels.levels(look)
        found = [*levels.reached(measured), *on_budget.standing(look)]
        over = [*_fallen(look, measured), *_priced(look), *_within(look)]
        return _unseen(look, found), over

    def _foreseen(self, look: Look) -> Evaluated:
        seen = outlook.outlook(look)
        rules = {rule.id: rule for rule in look.of(PROJECTED)}
        over: list[tuple[str, str]] = []
        for alert in store.open_alerts(look.session, look.organization.id, (PROJECTED,)):
            if alert["rule_id"] not in rules:
                over.append((alert["id"], "The rule is gone."))
            elif (alert["rule_id"], alert["budget_id"]) not in seen.holding:
                over.append((alert["id"], "The budget is not heading for its limit any more."))
        return _unseen(look, seen.findings), over

    def digest(self, running: Running) -> Effect | None:
        """The digest of a rule for a slot of its schedule."""
        job, now_us = running.job, self._clock.micros()
        rule_id, slot_us = str(job.payload["rule_id"]), int(cast("int", job.payload[SLOT]))
        with read(self._database) as session:
            look = look_at(session, job.organization_id or "", now_us)
            rule = None if look is None else next((r for r in look.rules if r.id == rule_id), None)
            if look is None or rule is None:
                return None
            fresh = news(look, [digest.digest(look, rule, slot_us)])
        findings = driven(self._database, fresh, now_us)
        return partial(_publish, job.organization_id or "", findings, now_us) if findings else None

    def escalate(self, running: Running) -> Effect | None:
        """A step of an escalation; that of a snoozed alert waits."""
        job, now_us = running.job, self._clock.micros()
        alert_id, step = str(job.payload["alert_id"]), int(cast("int", job.payload["step"]))
        until_us = running.write(
            lambda session: lifecycle.escalate(
                session, job.organization_id or "", alert_id, step, now_us
            )
        )
        if until_us is not None:
            wait_s = max(1.0, (until_us - now_us) / _MICROS)
            raise Again("the alert is snoozed", delay_s=wait_s, counted=False)
        return None

    def wake(self, running: Running) -> Effect:
        """The end of a snooze."""
        job, now_us = running.job, self._clock.micros()
        until_us = int(cast("int", job.payload["until"]))
        alert_id, organization_id = str(job.payload["alert_id"]), job.organization_id or ""
        return lambda session: lifecycle.wake(session, organization_id, alert_id, until_us, now_us)

    def clear(self, running: Running) -> Effect:
        """The time after which an alert is over by itself."""
        job, now_us = running.job, self._clock.micros()
        alert_id, organization_id = str(job.payload["alert_id"]), job.organization_id or ""
        return lambda session: lifecycle.clear(
            session, organization_id, alert_id, "Its time is over.", now_us
        )


def _of_event(look: Look, event: Mapping[str, Any]) -> list[Finding]:
    readers: Mapping[str, Callable[[Look, Mapping[str, Any]], list[Finding]]] = {
        ANOMALY_TOPIC: on_news.anomaly,
        PRICES_TOPIC: on_news.price_change,
        RECORDED_TOPIC: on_calls.recorded,
        **dict.fromkeys(on_budget.TOPICS, on_budget.told),
        **dict.fromkeys(on_webhook.TOPICS, on_webhook.told),
    }
    return readers[str(event["topic"])](look, event)


def _unseen(look: Look, found: Sequence[Finding]) -> list[Finding]:
    """What is to be fired: findings without an alert, and those that join one that is open."""
    fresh = news(look, [each for each in found if not each.joins])
    joining = [each for each in found if each.joins]
    known = {
        each.subject_key: store.latest_of(look.session, look.organization.id, each.subject_key)
        for each in joining
    }
    is_open = {key for key, row in known.items() if row and row["status"] in store.OPEN}
    beginning = news(look, [each for each in joining if each.subject_key not in is_open])
    again = [each for each in joining if each.subject_key in is_open]
    return [*fresh, *beginning, *(replace(each, window=None) for each in again)]


def _fallen(look: Look, measured: Mapping[str, Sequence[levels.Level]]) -> list[tuple[str, str]]:
    """Open alerts of usage and errors whose level is below the bound now."""
    rules = {rule.id: rule for rule in look.of(USAGE, ERROR_RATE)}
    holding = {
        subject_key(rules[rule_id], level.subject)
        for rule_id, each in measured.items()
        for level in each
        if level.reached
    }
    return [
        (alert["id"], "It is below the bound again.")
        for alert in store.open_alerts(look.session, look.organization.id, (USAGE, ERROR_RATE))
        if alert["subject"] not in holding
    ]


def _priced(look: Look) -> list[tuple[str, str]]:
    """Open alerts of calls without a price whose calls have one now."""
    rules = {rule.id: rule for rule in look.of(UNPRICED)}
    over: list[tuple[str, str]] = []
    for alert in store.open_alerts(look.session, look.organization.id, (UNPRICED,)):
        rule = rules.get(alert["rule_id"])
        details = loads(alert["details"])
        if rule is None:
            over.append((alert["id"], "The rule is gone."))
        elif not on_calls.unpriced_calls(look, rule, details["provider"], details["model"]):
            over.append((alert["id"], "All of these calls have a price now."))
    return over


def _within(look: Look) -> list[tuple[str, str]]:
    """Open alerts of budgets that are within their thresholds again."""
    found = store.open_alerts(look.session, look.organization.id, (BUDGET,))
    opened = [{**alert, "details": loads(alert["details"])} for alert in found]
    return list(on_budget.gone(look, opened))


def _apply(
    organization_id: str,
    findings: Sequence[Finding],
    over: Sequence[tuple[str, str]],
    now_us: int,
    session: WriteSession,
) -> None:
    fire(session, findings, now_us)
    for alert_id, why in sorted(over):
        lifecycle.clear(session, organization_id, alert_id, why, now_us)


def _publish(
    organization_id: str, findings: Sequence[Finding], now_us: int, session: WriteSession
) -> None:
    """A digest is told and needs nobody's care."""
    for alert_id in fire(session, findings, now_us):
        store.change_alert(
            session, organization_id, alert_id, status=store.RESOLVED, resolved_at=now_us
        )
