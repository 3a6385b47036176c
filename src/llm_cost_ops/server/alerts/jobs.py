"""The work of alerts for the worker: events, what the clock brings, deliveries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, cast

from llm_cost_ops.server.alerts import (
    digest,
    lifecycle,
    on_batch,
    on_budget,
    on_calls,
    on_news,
    on_webhook,
    store,
    swept,
)
from llm_cost_ops.server.alerts.finding import Finding
from llm_cost_ops.server.alerts.fire import fire
from llm_cost_ops.server.alerts.look import Look, driven, look_at, news, unseen
from llm_cost_ops.server.alerts.outlook import foreseen
from llm_cost_ops.server.alerts.retention import retain
from llm_cost_ops.server.alerts.rules import (
    BUDGET,
    CALL_COST,
    ERROR_RATE,
    PRICE_CHANGE,
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
    RETENTION,
    SWEEP,
    WAKE,
)
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import is_outage
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.http.logs import logger, redact_text
from llm_cost_ops.server.queue.enqueue import NewJob, enqueue_all
from llm_cost_ops.server.queue.schedule import SLOT
from llm_cost_ops.server.queue.work import (
    Again,
    Effect,
    Job,
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
_OF_RULES: Mapping[str, Sequence[str]] = {
    PRICES_TOPIC: (PRICE_CHANGE,),
    RECORDED_TOPIC: (BUDGET, USAGE, ERROR_RATE, CALL_COST, UNPRICED),
}
"""Topics that say nothing where nobody made a rule of these types."""
_SWEPT = (USAGE, ERROR_RATE, UNPRICED, BUDGET)
ALONE = "alone"
"""Of a job with one event that could not be read together with others."""
LONGEST_SWEEP_S = 480.0
_MICROS = 1_000_000
_MINUTE_US = 60 * _MICROS
_GOLDEN, _WHOLE = 6_180_339_887, 10**10
T = TypeVar("T")


def work(database: Database, clock: Clock, sender: Sender, keep_days: int) -> Work:
    """Alerts of all organizations; those that are over are kept for `keep_days`."""
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
            RETENTION: retain(clock, keep_days),
        },
        subscriptions=[
            *(_subscription(topic) for topic in _TOPICS),
            Subscription("alerts.webhooks", on_webhook.TOPICS[0], EVENTS, on_webhook.TOPICS[1:]),
        ],
        schedules=[
            SystemSchedule("alerts.sweep", "* * * * *", SWEEP),
            SystemSchedule("alerts.outlook", "*/15 * * * *", OUTLOOK),
            SystemSchedule("alerts.retention", "37 * * * *", RETENTION),
        ],
    )


def _subscription(topic: str) -> Subscription:
    kinds = _OF_RULES.get(topic)
    wanted = None if kinds is None else partial(store.having_rules, kinds=kinds)
    return Subscription(f"alerts.{topic}", topic, EVENTS, wanted=wanted)


class _Room:
    """The handlers. Each looks outside a transaction and returns what is to be written."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def events(self, running: Running) -> Effect | None:
        """Events of one topic and organization, some at a time. Those that cannot be read get jobs
        of their own, so that they hold up and take along no others."""
        job, now_us = running.job, self._clock.micros()
        events = cast("Sequence[Mapping[str, Any]]", job.payload["events"])
        look = self._look_at(job.organization_id or "", now_us)
        if look is None:
            return None
        alone = bool(job.payload.get(ALONE))
        found, odd = self._read_events(look, events, alone=alone)
        recorded = [event for event in events if event["topic"] == RECORDED_TOPIC]
        if recorded and not alone:
            parts = self._ask(look, partial(on_batch.parts, events=recorded)) or ()
            found += [each for part in parts for each in (self._ask(look, part) or ())]
        over = self._ask(look, partial(_over, events=events)) or []
        findings = driven(self._database, self._unseen(look, found), now_us)
        apart = [
            NewJob(EVENTS, {"events": [event], ALONE: True}, job.organization_id) for event in odd
        ]
        if not findings and not over and not apart:
            return None

        def tell_of(session: WriteSession) -> None:
            _apply(look.organization.id, findings, over, now_us, session)
            enqueue_all(session, apart, now_us=now_us)

        return tell_of

    def _read_events(
        self, look: Look, events: Sequence[Mapping[str, Any]], *, alone: bool
    ) -> tuple[list[Finding], list[Mapping[str, Any]]]:
        """What the events mean, and those that cannot be read."""
        try:
            return self._with(look, partial(_of_events, events=events)), []
        except Exception as error:
            if alone or is_outage(error):
                raise
        found, odd = list[Finding](), list[Mapping[str, Any]]()
        for event in events:
            one = self._ask(look, partial(_of_events, events=[event]))
            if one is None:
                odd.append(event)
            else:
                found += one
        return found, odd

    def _look_at(self, organization_id: str, now_us: int) -> Look | None:
        with read(self._database) as session:
            return look_at(session, organization_id, now_us)

    def _with(self, look: Look, part: Callable[[Look], T]) -> T:
        """A part of an evaluation in a transaction of its own."""
        with read(self._database) as session:
            return part(replace(look, session=session))

    def _ask(self, look: Look, part: Callable[[Look], T]) -> T | None:
        """The same, None where that part fails: what is wrong with one rule must not stop others.
        Raises what stops them all."""
        try:
            return self._with(look, part)
        except Exception as error:
            if is_outage(error):
                raise
            logger("alerts").error(
                "not evaluated", organization=look.organization.id, reason=redact_text(str(error))
            )
            return None

    def _unseen(self, look: Look, found: Sequence[Finding]) -> list[Finding]:
        return self._with(look, partial(unseen, found=found)) if found else []

    def sweep(self, running: Running) -> None:
        """What only the clock tells: long windows, and what is over."""
        self._each(running, _SWEPT, swept.parts)

    def outlook(self, running: Running) -> None:
        """Where budgets are heading."""
        self._each(running, (PROJECTED,), lambda _: [foreseen])

    def _each(
        self, running: Running, kinds: Sequence[str], parts: Callable[[Look], Sequence[swept.Part]]
    ) -> None:
        """Evaluate every organization that has something of these kinds, each in a transaction of
        its own, for as long as there is time; with another one first at each slot. Raises
        RuntimeError after the last one for those that failed."""
        with read(self._database) as session:
            organizations = store.organizations_with(session, kinds)
        until_s = self._clock.monotonic() + LONGEST_SWEEP_S
        failed = 0
        for organization_id in in_turn(organizations, running.job):
            if running.stopping:
                raise Again("the worker stops", delay_s=0, counted=False)
            if self._clock.monotonic() >= until_s:
                logger("alerts").warning("sweep cut short", kind=running.job.kind)
                break
            try:
                failed += not self._evaluate(running, organization_id, parts)
            except Exception as error:
                if isinstance(error, LeaseLost) or is_outage(error):
                    raise
                failed += 1
                logger("alerts").error(
                    "not evaluated", organization=organization_id, reason=redact_text(str(error))
                )
        if failed:
            raise RuntimeError(f"alerts of {failed} organizations were not evaluated")

    def _evaluate(
        self,
        running: Running,
        organization_id: str,
        parts: Callable[[Look], Sequence[swept.Part]],
    ) -> bool:
        """Whether every part could be evaluated; what was found is written either way."""
        now_us = self._clock.micros()
        look = self._look_at(organization_id, now_us)
        if look is None:
            return True
        evaluated = [self._ask(look, part) for part in parts(look)]
        known = [each for each in evaluated if each is not None]
        found = [finding for each, _ in known for finding in each]
        over = [each for _, ended in known for each in ended]
        findings = driven(self._database, self._unseen(look, found), now_us)
        if findings or over:
            running.write(partial(_apply, organization_id, findings, over, now_us))
        return len(known) == len(evaluated)

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


def _of_events(look: Look, events: Sequence[Mapping[str, Any]]) -> list[Finding]:
    readers: Mapping[str, Callable[[Look, Mapping[str, Any]], list[Finding]]] = {
        ANOMALY_TOPIC: on_news.anomaly,
        PRICES_TOPIC: on_news.price_change,
        **dict.fromkeys(on_budget.TOPICS, on_budget.told),
        **dict.fromkeys(on_webhook.TOPICS, on_webhook.told),
    }
    recorded = [event for event in events if event["topic"] == RECORDED_TOPIC]
    found = on_calls.recorded(look, recorded) if recorded else []
    for event in events:
        if event["topic"] != RECORDED_TOPIC:
            found += readers[str(event["topic"])](look, event)
    return found


def _over(look: Look, events: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Open alerts that the events end, with why."""
    return [each for event in events for each in on_webhook.over(look, event)]


def in_turn(organizations: Sequence[str], job: Job) -> Sequence[str]:
    """All of them, beginning elsewhere at each slot and attempt: where there is not time for all,
    everybody has a turn. Multiples of the golden section lie apart."""
    slot = job.payload.get(SLOT)
    turn = int(cast("int", slot)) // _MINUTE_US if slot is not None else 0
    first = (turn + job.attempt - 1) * _GOLDEN % _WHOLE * len(organizations) // _WHOLE
    return [*organizations[first:], *organizations[:first]]


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
