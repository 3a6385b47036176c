"""Make, change and remove rules and channels, each with its line in the audit log."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.alerts import channels, store
from llm_cost_ops.server.alerts.fields import Fields, RuleError
from llm_cost_ops.server.alerts.rules import DIGEST, canonical, digest_slots
from llm_cost_ops.server.alerts.work import DIGEST as DIGEST_JOB
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.delivery.channels import shown_fields
from llm_cost_ops.server.delivery.sealing import SecretUnreadable, Vault
from llm_cost_ops.server.delivery.target import Guard
from llm_cost_ops.server.identity.organizations import get_organization
from llm_cost_ops.server.queue.schedule import add_schedule, change_schedule, remove_schedule
from llm_cost_ops.server.spend import store as budgets

MAX_RULES = 500


class RuleUnknown(DomainError):
    """No rule of the organization has this id."""

    code = "NOT_FOUND"


class RuleConflict(DomainError):
    """There are too many rules, or a channel is still named by one."""

    code = "CONFLICT"


def create_rule(session: WriteSession, fields: Mapping[str, object], actor: Actor) -> str:
    """The id of a new rule. Raises DomainError naming the field."""
    if len(store.rule_rows(session, actor.organization_id)) >= MAX_RULES:
        raise RuleConflict(f"at most {MAX_RULES} rules are possible")
    definition = _settled(session, canonical(fields), actor)
    rule_id = store.new_id("alr", actor.now_us)
    schedule_id = _schedule(session, rule_id, definition, actor)
    store.add_rule(
        session,
        actor.organization_id,
        {
            "id": rule_id,
            **_columns(definition, actor),
            "schedule_id": schedule_id,
            "created_at": actor.now_us,
            "created_by": actor.actor_id,
        },
    )
    actor.record(session, "alert_rules.create", "alert_rule", rule_id, None, definition)
    return rule_id


def update_rule(
    session: WriteSession, rule_id: str, fields: Mapping[str, object], actor: Actor
) -> None:
    """Change a rule: fields that are not named stay; null takes one away, and so does its name in
    `clear`. Raises RuleUnknown, DomainError."""
    row = store.lock_rule(session, actor.organization_id, rule_id)
    if row is None:
        raise RuleUnknown("Rule not found")
    old: dict[str, Any] = loads(row["definition"])
    given = dict(fields)
    cleared = Fields({"clear": given.pop("clear", None)}).texts("clear", most=len(old)) or ()
    fields = {**given, **dict.fromkeys(cleared)}
    if fields.get("type") not in (None, old["type"]):
        raise RuleError("cannot be changed: make another rule", field="type")
    merged = {**old, **fields}
    if "window" in fields and "window_minutes" not in fields:
        merged.pop("window_minutes", None)
    if "window_minutes" in fields and "window" not in fields:
        merged.pop("window", None)
    definition = _settled(session, canonical(merged), actor, old.get("budget_ids", ()))
    if definition["type"] == DIGEST and _fires(definition) != _fires(old):
        change_schedule(
            session,
            actor.organization_id,
            row["schedule_id"],
            expression=digest_slots(definition),
            timezone=definition["timezone"],
            enabled=definition["enabled"],
            now_us=actor.now_us,
        )
    store.change_rule(session, actor.organization_id, rule_id, **_columns(definition, actor))
    actor.record(session, "alert_rules.update", "alert_rule", rule_id, old, definition)


def remove_rule(session: WriteSession, rule_id: str, actor: Actor) -> None:
    """Remove a rule; its alerts stay. Raises RuleUnknown."""
    row = store.lock_rule(session, actor.organization_id, rule_id)
    if row is None:
        raise RuleUnknown("Rule not found")
    if row["schedule_id"] is not None:
        remove_schedule(session, actor.organization_id, row["schedule_id"])
    store.change_rule(session, actor.organization_id, rule_id, enabled=0, deleted_at=actor.now_us)
    old = loads(row["definition"])
    actor.record(session, "alert_rules.delete", "alert_rule", rule_id, old, None)


def _fires(definition: Mapping[str, Any]) -> tuple[str, str, bool]:
    """When a digest fires: planned anew, it would miss a slot that is due this moment."""
    return digest_slots(definition), definition["timezone"], definition["enabled"]


def _columns(definition: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
    return {
        "name": definition["name"],
        "kind": definition["type"],
        "definition": dumps(definition),
        "enabled": int(definition["enabled"]),
        "updated_at": actor.now_us,
    }


def _settled(
    session: ReadSession,
    definition: dict[str, Any],
    actor: Actor,
    named_before: Collection[str] = (),
) -> dict[str, Any]:
    """The definition with ids for names, and its own time zone where it goes by one. Budgets that
    it named before may be gone by now: it must be possible to switch it off all the same."""
    organization_id = actor.organization_id
    if definition.get("channels"):
        definition["channels"] = channels.ids_of(
            session, organization_id, definition["channels"], "channels"
        )
    for place, step in enumerate(definition.get("escalation", ())):
        step["channels"] = channels.ids_of(
            session, organization_id, step["channels"], f"escalation.{place}.channels"
        )
    named = definition.get("budget_ids")
    if named:
        known = {row["id"] for row in budgets.rows(session, organization_id)}
        for budget_id in named:
            if budget_id not in known and budget_id not in named_before:
                message = f"{budget_id!r} is no budget of the organization"
                raise RuleError(message, field="budget_ids")
    quiet = definition.get("quiet_hours")
    of_clocks = [definition] if definition["type"] == DIGEST else []
    if quiet is not None:
        quiet = definition["quiet_hours"] = {n: v for n, v in quiet.items() if v is not None}
        of_clocks.append(quiet)
    for each in of_clocks:
        if "timezone" not in each:
            organization = get_organization(session, organization_id)
            each["timezone"] = "UTC" if organization is None else organization.time_zone
    return definition


def _schedule(
    session: WriteSession, rule_id: str, definition: Mapping[str, Any], actor: Actor
) -> str | None:
    if definition["type"] != DIGEST:
        return None
    made = add_schedule(
        session,
        DIGEST_JOB,
        organization_id=actor.organization_id,
        name=f"digest {rule_id}",
        expression=digest_slots(definition),
        timezone=definition["timezone"],
        payload={"rule_id": rule_id},
        now_us=actor.now_us,
    )
    if not definition["enabled"]:
        change_schedule(
            session,
            actor.organization_id,
            made,
            expression=digest_slots(definition),
            timezone=definition["timezone"],
            enabled=False,
            now_us=actor.now_us,
        )
    return made


# --- channels ----------------------------------------------------------------------------------


def create_channel(
    session: WriteSession, fields: Mapping[str, object], guard: Guard, seal: Vault, actor: Actor
) -> str:
    """The id of a new channel. Raises DomainError naming the field."""
    given = channels.read_given(fields)
    channels.judge(given, guard)
    channel_id = channels.add(
        session,
        actor.organization_id,
        given,
        seal,
        actor_id=actor.actor_id,
        now_us=actor.now_us,
    )
    actor.record(session, "alert_channels.create", "alert_channel", channel_id, None,
           _shown(given))  # fmt: skip
    return channel_id


def update_channel(
    session: WriteSession,
    channel_id: str,
    fields: Mapping[str, object],
    guard: Guard,
    seal: Vault,
    actor: Actor,
) -> str:
    """The id of a changed channel; what is not named stays, secrets too. One whose secrets cannot
    be read any more takes a whole new configuration. Raises ChannelUnknown, DomainError."""
    row = channels.row(session, actor.organization_id, channel_id)
    before = None
    try:
        before = channels.given_of(row, seal)
        given, old = channels.read_given(fields, before), _shown(before)
    except SecretUnreadable:
        whole = {"name": row["name"], "type": row["kind"], **fields}
        given, old = channels.read_given(whole), None
    channels.judge(given, guard, before)
    channels.replace(session, actor.organization_id, row["id"], given, seal, actor.now_us)
    actor.record(session, "alert_channels.update", "alert_channel", row["id"], old,
           _shown(given))  # fmt: skip
    return str(row["id"])


def remove_channel(session: WriteSession, channel_id: str, actor: Actor) -> None:
    """Remove a channel that no rule names. Raises ChannelUnknown, RuleConflict."""
    row = channels.row(session, actor.organization_id, channel_id)
    for rule in store.rule_rows(session, actor.organization_id):
        definition: dict[str, Any] = loads(rule["definition"])
        steps: list[dict[str, Any]] = definition.get("escalation", [])
        named = {*definition.get("channels", ()), *(c for s in steps for c in s["channels"])}
        if row["id"] in named:
            raise RuleConflict(f"The rule {rule['name']} names the channel: change it first.")
    channels.remove(session, actor.organization_id, row["id"])
    actor.record(session, "alert_channels.delete", "alert_channel", row["id"],
           {"name": row["name"], "type": row["kind"]}, None)  # fmt: skip


def _shown(given: channels.Given) -> dict[str, Any]:
    """For the audit log, without secrets."""
    return {
        "name": given.name,
        "type": given.kind,
        "severities": list(given.severities),
        "default": given.is_default,
        "enabled": given.enabled,
        "config": shown_fields(given.channel),
    }
