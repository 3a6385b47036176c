"""The work at one endpoint: its due deliveries one after the other, in the order of their events.

One worker attends to an endpoint at a time, because the jobs of an endpoint share a lane. A failed
delivery does not hold up those after it: it comes again when its schedule says so.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.delivery.notice import Outcome
from llm_cost_ops.server.delivery.sealing import SecretUnreadable, Vault
from llm_cost_ops.server.delivery.send import Call, Outbound
from llm_cost_ops.server.queue.work import Again, Effect, Running
from llm_cost_ops.server.webhooks import attempt, store, wake
from llm_cost_ops.server.webhooks.attempt import Row

BATCH = 20
TURN_S = 20.0
"""After this long another endpoint gets the place."""
SYSTEM_RANDOM = random.SystemRandom()

SECRETS = "llm-cost-ops webhook secrets"
"""The purpose of their key."""


@dataclass(frozen=True, slots=True)
class Means:
    """What deliveries are made with."""

    database: Database
    clock: Clock
    outbound: Outbound
    vault: Vault
    random: Callable[[], float] = field(default=SYSTEM_RANDOM.random)


def pump(running: Running, means: Means) -> Effect | None:
    """Deliver what is due to the endpoint of a job; its effect sets the alarm for what is not."""
    organization_id = cast("str", running.job.organization_id)
    endpoint_id = cast("str", running.job.payload["endpoint_id"])
    until_s = means.clock.monotonic() + TURN_S
    while True:
        now_us = means.clock.micros()
        endpoint: Row | None
        with read(means.database) as session:
            endpoint = store.endpoint(session, organization_id, endpoint_id)
            due = store.due(session, organization_id, endpoint_id, now_us, BATCH)
        if endpoint is None or not endpoint["enabled"]:
            return None
        paused_until = endpoint["paused_until"]
        if not due or (paused_until is not None and now_us < paused_until):
            return partial(_rest, endpoint=endpoint, clock=means.clock)
        for delivery in due:
            if running.stopping or means.clock.monotonic() >= until_s:
                raise Again("the turn is over", delay_s=0, counted=False)
            if delivery["data"] is None:
                running.write(partial(attempt.expire, delivery=delivery, now_us=now_us))
                continue
            endpoint = _deliver(running, means, endpoint, delivery)
            if endpoint is None:
                break


def _deliver(running: Running, means: Means, endpoint: Row, delivery: Row) -> Row | None:
    """Attempt a delivery and store how it went; the endpoint as it is by then, with a URL or secret
    that was changed meanwhile, if it may be called again now."""
    began_us = means.clock.micros()
    call = sent(means, endpoint, delivery, began_us)
    now_us = means.clock.micros()
    return running.write(
        lambda session: attempt.keep(
            session,
            endpoint["id"],
            delivery,
            call,
            began_us=began_us,
            now_us=now_us,
            random=means.random,
        )
    )


def sent(means: Means, endpoint: Row, delivery: Row, now_us: int) -> Call:
    """Send a delivery once; a secret that cannot be read is a failure, too."""
    try:
        return attempt.make(means.outbound, means.vault, endpoint, delivery, now_us)
    except SecretUnreadable as error:
        return Call(Outcome(False, f"not signed: {error}"), 0)


def _rest(session: WriteSession, endpoint: Row, clock: Clock) -> None:
    """Nothing is due now: look again when something is, and the endpoint may be called."""
    organization_id, endpoint_id = endpoint["organization_id"], endpoint["id"]
    next_us = store.next_due(session, organization_id, endpoint_id)
    if next_us is None:
        return
    now_us = clock.micros()
    at_us = max(next_us, endpoint["paused_until"] or 0, now_us)
    wake.wake_at(session, organization_id, endpoint_id, at_us, now_us=now_us)
