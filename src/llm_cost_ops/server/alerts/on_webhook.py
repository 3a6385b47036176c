"""Webhooks that were disabled because nothing arrived there: told by mail, too, since whoever looks
after the receiver hears nothing from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from llm_cost_ops.core.instant import format_minute, parse_instant, to_micros
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.alerts import channels, store, text
from llm_cost_ops.server.alerts.finding import Finding
from llm_cost_ops.server.alerts.look import Look
from llm_cost_ops.server.alerts.rules import WEBHOOK, Rule
from llm_cost_ops.server.delivery.channels import EmailChannel
from llm_cost_ops.server.delivery.notice import Fact
from llm_cost_ops.server.webhooks import store as webhooks
from llm_cost_ops.server.webhooks.catalogue import DISABLED, RESTORED

TOPICS = (DISABLED, RESTORED)


def told(look: Look, event: Mapping[str, Any]) -> list[Finding]:
    """What a disabled webhook means to the rules about that, or without any."""
    if event["topic"] != DISABLED:
        return []
    webhook_id = str(event["payload"]["webhook_id"])
    now = webhooks.endpoint(look.session, look.organization.id, webhook_id)
    if now is None or now["enabled"]:
        return []  # somebody was quicker
    return [_finding(look, _addressed(look, rule), event) for rule in look.or_default(WEBHOOK)]


def over(look: Look, event: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The open alerts about a webhook that was enabled or removed, with why they are over."""
    if event["topic"] != RESTORED:
        return []
    webhook_id = event["payload"]["webhook_id"]
    return [
        (alert["id"], "The webhook was enabled again, or removed.")
        for alert in store.open_alerts(look.session, look.organization.id, (WEBHOOK,))
        if loads(alert["details"])["webhook_id"] == webhook_id
    ]


def _addressed(look: Look, rule: Rule) -> Rule:
    """Without channels of its own the rule tells the default ones and all mail channels, of these
    the ones that take its severity."""
    if rule.channels:
        return rule
    found = channels.rows(look.session, look.organization.id)
    named = [row["id"] for row in found if row["is_default"] or row["kind"] == EmailChannel.kind]
    return replace(rule, channels=tuple(named))


def _finding(look: Look, rule: Rule, event: Mapping[str, Any]) -> Finding:
    payload: Mapping[str, Any] = event["payload"]
    where = text.name(urlsplit(str(payload["url"])).netloc)  # a path may be a secret
    since_us = to_micros(parse_instant(payload["failing_since"]))
    since = format_minute(since_us, look.zone)
    if payload["reason"] == webhooks.GONE:
        reason = "Its receiver answered 410 (gone)"
        summary = f"The webhook to {where} was disabled: its receiver answered 410 (gone)."
    else:
        reason = "Nothing was delivered for five days"
        summary = (
            f"The webhook to {where} was disabled: nothing was delivered since {since}. Enable it "
            "when its receiver is back, then replay what was left out."
        )
    return Finding(
        rule=rule,
        subject=f"webhook_id={payload['webhook_id']}",
        period=str(event["id"]),
        severity="warning",
        title=f"Webhook disabled: {where}",
        summary=summary,
        facts=(
            Fact("Webhook", str(payload["webhook_id"])),
            Fact("Receiver", where),
            Fact("Reason", reason),
        ),
        details={name: payload[name] for name in ("webhook_id", "reason", "failing_since")},
        since_us=since_us,
        event_id=str(event["id"]),
    )
