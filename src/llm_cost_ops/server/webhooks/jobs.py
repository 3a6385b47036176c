"""The work of webhooks for the worker: deliveries made of events, sent, and removed when old."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.delivery.send import Outbound
from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.work import (
    Again,
    Effect,
    Kind,
    Running,
    Subscription,
    SystemSchedule,
    Work,
)
from llm_cost_ops.server.settings import Settings
from llm_cost_ops.server.webhooks import replay, store
from llm_cost_ops.server.webhooks.derive import TOPICS
from llm_cost_ops.server.webhooks.fan_out import fan_out
from llm_cost_ops.server.webhooks.pump import SECRETS, SYSTEM_RANDOM, Means, pump
from llm_cost_ops.server.webhooks.wake import ALARM, PUMP, pump_now, woken

FAN_OUT = Kind("webhooks.fan_out", max_attempts=20, retry=exponential(first_s=1.0, most_s=300.0))
PURGE = Kind("webhooks.retention", max_attempts=5, retry=exponential(first_s=10, most_s=300))
SWEEP = Kind("webhooks.sweep", max_attempts=3, retry=exponential(first_s=10, most_s=60))
"""Attends to endpoints whose own job was given up."""
CHUNK = 1_000
_LATE_US = 600 * 1_000_000
_DAY_US = 24 * 3600 * 1_000_000


def work(
    settings: Settings,
    database: Database,
    clock: Clock,
    outbound: Outbound | None = None,
    *,
    random: Callable[[], float] = SYSTEM_RANDOM.random,
) -> Work:
    """Everything that webhooks do beside the requests; `random` spreads the retries."""
    calls = outbound or Outbound(settings.delivery, clock)
    means = Means(database, clock, calls, Vault.of(settings, SECRETS), random)

    def alarm(running: Running) -> Effect:
        organization_id = cast("str", running.job.organization_id)
        endpoint_id = cast("str", running.job.payload["endpoint_id"])
        at_us = cast("int", running.job.payload["at"])

        def ring(session: WriteSession) -> None:
            woken(session, organization_id, endpoint_id, at_us, now_us=clock.micros())

        return ring

    def retain(running: Running) -> None:
        before_us = clock.micros() - settings.delivery.keep_days * _DAY_US
        while running.write(partial(store.purge, before_us=before_us, limit=CHUNK)) >= CHUNK:
            if running.stopping:
                raise Again("the worker stops", delay_s=0, counted=False)

    def sweep(_running: Running) -> Effect:
        now_us = clock.micros()

        def look(session: WriteSession) -> None:
            for organization_id, endpoint_id in store.left_behind(session, now_us - _LATE_US):
                pump_now(session, organization_id, [endpoint_id], now_us=now_us)

        return look

    topic, *further = TOPICS
    return Work(
        handlers={
            FAN_OUT: lambda running: fan_out(running, database, clock),
            PUMP: lambda running: pump(running, means),
            ALARM: alarm,
            replay.REPLAY: lambda running: _replay(running, clock),
            SWEEP: sweep,
            PURGE: retain,
        },
        subscriptions=[
            Subscription(
                "webhooks", topic, FAN_OUT, further=tuple(further), wanted=store.having_endpoints
            )
        ],
        schedules=[
            SystemSchedule("webhooks.retention", "17 * * * *", PURGE),
            SystemSchedule("webhooks.sweep", "*/10 * * * *", SWEEP),
        ],
    )


def _replay(running: Running, clock: Clock) -> None:
    organization_id, chosen = cast("str", running.job.organization_id), running.job.payload
    after: str | None = str(chosen["after"])
    while after is not None:
        if running.stopping:
            raise Again("the worker stops", delay_s=0, counted=False)
        after = running.write(
            partial(
                replay.go_on,
                organization_id=organization_id,
                chosen=chosen,
                after=after,
                now_us=clock.micros(),
            )
        )
