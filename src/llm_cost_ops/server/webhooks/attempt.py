"""One attempt of a delivery, and what becomes of delivery and endpoint by its outcome.

Eight attempts over 27 h 35 min 5 s (the schedule of Svix, which the Standard Webhooks specification
recommends the like of); each wait is up to a tenth longer, that what failed together does not come
back together. A receiver that names a wait gets it, all deliveries of the endpoint wait for that,
and after 429, 502 and 504 in any case for a little. One that lets us wait and then fails is called
the less the longer that lasts: its calls hold places that others need. 410 disables the endpoint at
once, 120 hours without a success do so at the next failure.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.delivery.sealing import SecretUnreadable, Vault
from llm_cost_ops.server.delivery.send import GONE as GONE_STATUS
from llm_cost_ops.server.delivery.send import Call, Outbound
from llm_cost_ops.server.queue.outbox import Event, publish
from llm_cost_ops.server.queue.retry import listed
from llm_cost_ops.server.webhooks import store
from llm_cost_ops.server.webhooks.catalogue import DISABLED
from llm_cost_ops.server.webhooks.sign import body_of, headers_of

DELAYS_S = (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
"""Seconds from a failed attempt to the next."""
MAX_ATTEMPTS = len(DELAYS_S) + 1
SPREAD = 0.1
DISABLE_AFTER_S = 120 * 3600
PAUSE_S = 5
SLOW_S = 2
"""Failed calls that take as long make the endpoint wait for a quarter of the time for which it has
failed, from PAUSE_S to MAX_PAUSE_S; less than the schedule of any one delivery."""
MAX_PAUSE_S = 300
MAX_HEAD = 4_096
_MICROS = 1_000_000
_OVERLOADED = frozenset({429, 502, 504})
_HIDDEN = ("set-cookie", "authorization", "www-authenticate", "proxy-authenticate")
_delay_s = listed(*DELAYS_S, spread=SPREAD)
Row = Mapping[str, Any]


def secrets_of(endpoint: Row, vault: Vault, now_us: int) -> list[str]:
    """The secrets that sign now, the current one first. Raises SecretUnreadable."""
    opened = [vault.open(endpoint["secret"], endpoint["id"])]
    if endpoint["previous_secret"] is not None and now_us < (endpoint["previous_until"] or 0):
        # One that was sealed under another `secret_key` must not keep the new one from signing.
        with suppress(SecretUnreadable):
            opened.append(vault.open(endpoint["previous_secret"], endpoint["id"]))
    return opened


def make(outbound: Outbound, vault: Vault, endpoint: Row, delivery: Row, now_us: int) -> Call:
    """Send a delivery once. Raises SecretUnreadable."""
    signing = secrets_of(endpoint, vault, now_us)
    body = body_of(
        delivery["event_id"],
        delivery["event_type"],
        int(delivery["occurred_at"]),
        delivery["data"],
    )
    headers = headers_of(
        delivery["id"], delivery["event_id"], delivery["event_type"], body, signing, now_us
    )
    return outbound.post(endpoint["url"], body, headers)


def keep(
    session: WriteSession,
    endpoint_id: str,
    delivery: Row,
    call: Call,
    *,
    began_us: int,
    now_us: int,
    random: Callable[[], float],
    retrying: bool = True,
) -> Row | None:
    """Store how an attempt went and what follows; the endpoint as it is by then if it may be called
    again now. Without `retrying` a failure is the end of the delivery and no mark against the
    endpoint."""
    organization_id, delivery_id = delivery["organization_id"], delivery["id"]
    endpoint = store.locked(session, organization_id, endpoint_id)
    # As it is now: it may have been begun again during the call.
    known = store.standing(session, organization_id, delivery_id) or delivery
    number, step = int(known["attempts"]) + 1, int(known["step"]) + 1
    store.add_attempt(session, _attempt(delivery, number, call, began_us))
    changes: dict[str, Any] = {
        "attempts": number,
        "step": step,
        "last_status": call.outcome.status,
    }
    if call.outcome.delivered:
        changes.update(status=store.DELIVERED, next_attempt_at=None, finished_at=now_us)
    elif retrying and step < MAX_ATTEMPTS and not call.outcome.final:
        wait_s = max(_delay_s(step, random()), call.outcome.retry_after_s or 0.0)
        changes.update(status=store.PENDING, next_attempt_at=now_us + round(wait_s * _MICROS))
    else:
        changes.update(status=store.FAILED, next_attempt_at=None, finished_at=now_us)
    store.change_delivery(session, organization_id, delivery_id, changes)
    if endpoint is None or not (retrying or call.outcome.delivered):
        return None
    return endpoint if _judge(session, endpoint, call, began_us, now_us) else None


def expire(session: WriteSession, delivery: Row, now_us: int) -> None:
    """The end of a delivery whose event is not kept any more."""
    ended = {"status": store.FAILED, "next_attempt_at": None, "finished_at": now_us}
    store.change_delivery(session, delivery["organization_id"], delivery["id"], ended)


def _attempt(delivery: Row, number: int, call: Call, began_us: int) -> dict[str, Any]:
    return {
        "id": single_id("wha", began_us // 1_000, secrets.randbits(80)),
        "organization_id": delivery["organization_id"],
        "delivery_id": delivery["id"],
        "number": number,
        "at": began_us,
        "status_code": call.outcome.status,
        "took_us": call.took_us,
        "delivered": int(call.outcome.delivered),
        "detail": call.outcome.detail,
        "head": shown_head(call.head) or None,
    }


def shown_head(head: str) -> str:
    """The head of an answer for the log: without what may be a secret, and not long."""
    lines = [
        f"{name}: ..." if name.lower() in _HIDDEN else line
        for line in head.split("\n")
        for name in (line.partition(":")[0],)
    ]
    return "\n".join(lines).replace("\x00", "")[:MAX_HEAD]


def _judge(session: WriteSession, endpoint: Row, call: Call, began_us: int, now_us: int) -> bool:
    """What an attempt says of the endpoint; whether it may be called again now."""
    outcome = call.outcome
    if outcome.delivered:
        changes: dict[str, Any] = {"failing_since": None, "paused_until": None}
        _change(session, endpoint, {**changes, "last_success_at": now_us})
        return bool(endpoint["enabled"])
    since = began_us if endpoint["failing_since"] is None else int(endpoint["failing_since"])
    changes = {"failing_since": since, "last_failure_at": now_us}
    pause_s = outcome.retry_after_s or _pause_s(call, now_us - since)
    if pause_s:
        changes["paused_until"] = now_us + round(pause_s * _MICROS)
    reason = None
    if outcome.status == GONE_STATUS:
        reason = store.GONE
    elif now_us - since >= DISABLE_AFTER_S * _MICROS:
        reason = store.FAILING
    if reason is not None and endpoint["enabled"]:
        changes.update(enabled=0, disabled_reason=reason)
        publish(session, [_disabled(endpoint, reason, since)], now_us=now_us)
    _change(session, endpoint, changes)
    return bool(endpoint["enabled"]) and not (pause_s or reason)


def _pause_s(call: Call, failing_us: int) -> float:
    """For how long to leave an endpoint alone that named no wait."""
    if call.took_us >= SLOW_S * _MICROS:
        return min(max(failing_us / _MICROS / 4, PAUSE_S), MAX_PAUSE_S)
    return PAUSE_S if call.outcome.status in _OVERLOADED else 0


def _change(session: WriteSession, endpoint: Row, changes: Mapping[str, Any]) -> None:
    store.change_endpoint(session, endpoint["organization_id"], endpoint["id"], changes)


def _disabled(endpoint: Row, reason: str, since_us: int) -> Event:
    payload = {
        "webhook_id": endpoint["id"],
        "url": endpoint["url"],
        "reason": reason,
        "failing_since": format_micros(since_us),
    }
    return Event(endpoint["organization_id"], DISABLED, payload)
