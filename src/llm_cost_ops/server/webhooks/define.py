"""Make, change, rotate and remove endpoints; each change is audited, no secret ever is."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from llm_cost_ops.core import signature
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.delivery.target import Guard, TargetRefused
from llm_cost_ops.server.queue.outbox import Event, publish
from llm_cost_ops.server.webhooks import store
from llm_cost_ops.server.webhooks.catalogue import EVENTS, EVERYTHING, RESTORED, canonical
from llm_cost_ops.server.webhooks.wake import pump_now

MAX_ENDPOINTS = 100
MAX_DESCRIPTION = 1_000
MIN_SECRET, MAX_SECRET = 16, 256
MIN_KEY, MAX_KEY = 24, 64
NEW_KEY = 32
DEFAULT_OVERLAP_H = 24
MAX_OVERLAP_H = 168
FIELDS = ("url", "events", "description", "enabled")
_HOUR_US = 3600 * 1_000_000
_ANEW: Mapping[str, None] = {"failing_since": None, "paused_until": None}


class WebhookError(DomainError):
    """An endpoint that cannot be, with the field that is wrong."""


class WebhookUnknown(DomainError):
    """The organization has no endpoint, or no delivery, of this id."""

    code = "NOT_FOUND"


class WebhookConflict(DomainError):
    """Not possible in the state in which the endpoint is."""

    code = "CONFLICT"


@dataclass(frozen=True, slots=True)
class Shown:
    """An endpoint, and its secret where that is shown: when it is made or changed."""

    row: store.Row
    secret: str | None = None


def create(
    session: WriteSession, fields: Mapping[str, object], guard: Guard, vault: Vault, actor: Actor
) -> Shown:
    """A new endpoint with a given or a new secret. Raises WebhookError, NoSecretKey."""
    _known(fields, (*FIELDS, "secret"))
    for name in ("url", "events"):
        if fields.get(name) is None:
            raise WebhookError("is required", field=name)
    values = _parsed(fields, guard)
    secret = _secret(fields.get("secret"))
    if store.count_endpoints(session, actor.organization_id) >= MAX_ENDPOINTS:
        raise WebhookConflict(f"An organization has at most {MAX_ENDPOINTS} webhooks.")
    endpoint_id = single_id("whk", actor.now_us // 1_000, secrets.randbits(80))
    enabled = values.pop("enabled", 1)
    store.add_endpoint(
        session,
        {
            "id": endpoint_id,
            "organization_id": actor.organization_id,
            **values,
            "secret": vault.seal(secret, endpoint_id),
            "enabled": enabled,
            "disabled_reason": None if enabled else store.BY_USER,
            "created_at": actor.now_us,
            "updated_at": actor.now_us,
            "created_by": actor.actor_id,
        },
    )
    made = found(session, actor.organization_id, endpoint_id)
    actor.record(session, "webhooks.create", "webhook", endpoint_id, None, _facts(made))
    return Shown(made, secret)


def found(session: ReadSession, organization_id: str, endpoint_id: str) -> store.Row:
    """An endpoint. Raises WebhookUnknown."""
    row = store.endpoint(session, organization_id, endpoint_id)
    if row is None:
        raise WebhookUnknown("Webhook not found")
    return row


def update(
    session: WriteSession,
    endpoint_id: str,
    fields: Mapping[str, object],
    guard: Guard,
    vault: Vault,
    actor: Actor,
) -> Shown:
    """Change what is named. A `secret` takes the place of the old one at once; `enabled` and a new
    `url` forget that the endpoint failed. Raises WebhookUnknown, WebhookError."""
    _known(fields, (*FIELDS, "secret"))
    before = _locked(session, actor, endpoint_id)
    values = _parsed(fields, guard)
    secret = None
    if fields.get("secret") is not None:
        secret = _secret(fields["secret"])
        values.update(
            secret=vault.seal(secret, endpoint_id), previous_secret=None, previous_until=None
        )
    if values.get("url", before["url"]) != before["url"]:
        values.update(_ANEW)
    if "enabled" in values:
        values.update(_switched(before, bool(values["enabled"])))
    if values:
        values["updated_at"] = actor.now_us
        store.change_endpoint(session, actor.organization_id, endpoint_id, values)
    after = found(session, actor.organization_id, endpoint_id)
    paused = before["paused_until"] is not None and after["paused_until"] is None
    if after["enabled"] and (paused or not before["enabled"]):
        pump_now(session, actor.organization_id, [endpoint_id], now_us=actor.now_us)
        _tell_restored(session, before, actor)
    if values:
        actor.record(
            session, "webhooks.update", "webhook", endpoint_id, _facts(before), _facts(after)
        )
    return Shown(after, secret)


def _tell_restored(session: WriteSession, before: store.Row, actor: Actor) -> None:
    if before["disabled_reason"] in (store.FAILING, store.GONE):
        event = Event(actor.organization_id, RESTORED, {"webhook_id": before["id"]})
        publish(session, [event], now_us=actor.now_us)


def _switched(before: store.Row, enabled: bool) -> dict[str, Any]:
    if not enabled:
        reason = before["disabled_reason"] if not before["enabled"] else store.BY_USER
        return {"disabled_reason": reason}
    return {"disabled_reason": None, **_ANEW}


def rotate(
    session: WriteSession,
    endpoint_id: str,
    fields: Mapping[str, object],
    vault: Vault,
    actor: Actor,
) -> Shown:
    """A new secret, given or made; for `overlap_hours` the old one signs, too. Raises
    WebhookUnknown, WebhookError."""
    _known(fields, ("secret", "overlap_hours"))
    hours = fields.get("overlap_hours", DEFAULT_OVERLAP_H)
    if isinstance(hours, bool) or not isinstance(hours, int) or not 0 <= hours <= MAX_OVERLAP_H:
        raise WebhookError(
            f"must be a whole number from 0 to {MAX_OVERLAP_H}", field="overlap_hours"
        )
    before = _locked(session, actor, endpoint_id)
    secret = _secret(fields.get("secret"))
    until_us = actor.now_us + hours * _HOUR_US
    values: dict[str, Any] = {
        "secret": vault.seal(secret, endpoint_id),
        "previous_secret": before["secret"] if hours else None,
        "previous_until": until_us if hours else None,
        "updated_at": actor.now_us,
    }
    store.change_endpoint(session, actor.organization_id, endpoint_id, values)
    after = found(session, actor.organization_id, endpoint_id)
    actor.record(session, "webhooks.rotate", "webhook", endpoint_id, None, {"overlap_hours": hours})
    return Shown(after, secret)


def remove(session: WriteSession, endpoint_id: str, actor: Actor) -> None:
    """Remove an endpoint; nothing is delivered to it any more. Raises WebhookUnknown."""
    before = _locked(session, actor, endpoint_id)
    store.remove_endpoint(session, actor.organization_id, endpoint_id)
    _tell_restored(session, before, actor)
    actor.record(session, "webhooks.delete", "webhook", endpoint_id, _facts(before), None)


def _locked(session: WriteSession, actor: Actor, endpoint_id: str) -> store.Row:
    row = store.locked(session, actor.organization_id, endpoint_id)
    if row is None:
        raise WebhookUnknown("Webhook not found")
    return row


def _known(fields: Mapping[str, object], names: Sequence[str]) -> None:
    for name in fields:
        if name not in names:
            raise WebhookError("is not a known field", field=name)


def _parsed(fields: Mapping[str, object], guard: Guard) -> dict[str, Any]:
    """The columns of the fields that are given."""
    values: dict[str, Any] = {}
    if "url" in fields:
        values["url"] = _url(fields["url"], guard)
    if "events" in fields:
        values["events"] = _events(fields["events"])
    if "description" in fields:
        values["description"] = _description(fields["description"])
    if fields.get("enabled") is not None:
        if not isinstance(fields["enabled"], bool):
            raise WebhookError("must be true or false", field="enabled")
        values["enabled"] = int(fields["enabled"])
    return values


def examine(fields: Mapping[str, object], guard: Guard) -> None:
    """Look up the name of a given URL, outside any transaction. Raises WebhookError."""
    url = fields.get("url")
    if isinstance(url, str):
        try:
            guard.examine(url)
        except TargetRefused as refused:
            raise WebhookError(str(refused), field="url") from None


def _url(value: object, guard: Guard) -> str:
    if not isinstance(value, str):
        raise WebhookError("must be a URL", field="url")
    try:
        guard.judge(value)
    except TargetRefused as refused:
        raise WebhookError(str(refused), field="url") from None
    return value


def _events(value: object) -> list[str]:
    names = cast("list[object]", value) if isinstance(value, list) else []
    if not names:
        raise WebhookError("must be a list of events", field="events")
    spelled: dict[str, str] = {}
    for name in names:
        meant = canonical(name) if isinstance(name, str) else None
        if meant is None:
            known = ", ".join((*EVENTS, EVERYTHING))
            raise WebhookError(f"has an event that is not one of: {known}", field="events")
        if spelled.setdefault(meant, cast("str", name)) != name:
            raise WebhookError(f"{spelled[meant]} and {name} are the same event", field="events")
    return list(spelled.values())


def _description(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_DESCRIPTION or "\x00" in value:
        raise WebhookError(
            f"must be a text of at most {MAX_DESCRIPTION} characters", field="description"
        )
    return value


def _secret(value: object) -> str:
    """A given secret, checked, or a new one of 256 bits."""
    if value is None:
        return signature.PREFIX + base64.b64encode(secrets.token_bytes(NEW_KEY)).decode("ascii")
    if not isinstance(value, str) or not MIN_SECRET <= len(value) <= MAX_SECRET:
        raise WebhookError(
            f"must be a text of {MIN_SECRET} to {MAX_SECRET} characters", field="secret"
        )
    if not value.isprintable() or value != value.strip():
        raise WebhookError(
            "must be printable, without spaces at its beginning or end", field="secret"
        )
    try:
        key = signature.key_of(value)
    except ValueError as error:
        raise WebhookError(str(error), field="secret") from None
    if value.startswith(signature.PREFIX) and not MIN_KEY <= len(key) <= MAX_KEY:
        raise WebhookError(f"has to hold {MIN_KEY} to {MAX_KEY} bytes", field="secret")
    return value


def _facts(row: store.Row) -> dict[str, object]:
    facts = {name: row[name] for name in ("url", "events", "description")}
    return {**facts, "enabled": bool(row["enabled"])}
