"""Whom to tell what and when: deliveries and their jobs, made with what they tell of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.alerts import channels, store, text
from llm_cost_ops.server.alerts.rules import Rule
from llm_cost_ops.server.alerts.store import DELIVERED, PENDING, Row
from llm_cost_ops.server.alerts.work import DELIVER
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.delivery.channels import Channel, parts
from llm_cost_ops.server.delivery.notice import Driver, Fact, Moment, Notice
from llm_cost_ops.server.identity.organizations import Organization
from llm_cost_ops.server.queue.enqueue import NewJob, Priority, enqueue_all

TRIGGER, ACKNOWLEDGE, RESOLVE, DIGEST = "trigger", "acknowledge", "resolve", "digest"
AGAIN, ESCALATION = "again", "escalation"
"""Moments of ours beside those of a notice: told again after a snooze, told to more people. They
are stored as `again-<micros>` and `escalation-<step>`."""
HEAR_OF_ACKNOWLEDGEMENT = frozenset({"pagerduty", "webhook"})
"""Machines keep a state of the alert; people would read one message more."""
_MOMENTS: Mapping[str, Moment] = {
    AGAIN: "trigger",
    ESCALATION: "trigger",
    TRIGGER: "trigger",
    ACKNOWLEDGE: "acknowledge",
    RESOLVE: "resolve",
    DIGEST: "digest",
}


def moment_of(stored: str) -> Moment:
    """The moment of a notice that a delivery tells of."""
    return _MOMENTS[stored.partition("-")[0]]


def tell(
    session: WriteSession,
    alert: Row,
    rule: Rule,
    moment: str,
    wanted: Sequence[str],
    *,
    now_us: int,
    said: str = "",
) -> int:
    """Plan to tell the wanted channels, or the default ones; how many deliveries are new. Each is a
    job of its own; those of one alert and channel keep their order."""
    found = channels.routed(session, alert["organization_id"], wanted, alert["severity"])
    targets = [(row["id"], range(int(row["addressees"]))) for row in found]
    return _plan(session, alert, rule, moment, targets, now_us, said)


def tell_same(
    session: WriteSession,
    alert: Row,
    rule: Rule,
    moment: str,
    *,
    now_us: int,
    said: str,
    kinds: frozenset[str] | None = None,
) -> int:
    """Plan to tell those who were told of the alert, or are about to be."""
    told: dict[str, set[int]] = {}
    for each in store.deliveries(session, alert["organization_id"], alert["id"]):
        if each["state"] in (DELIVERED, PENDING) and moment_of(each["moment"]) == "trigger":
            told.setdefault(each["channel_id"], set()).add(int(each["part"]))
    known = {row["id"]: row for row in channels.rows(session, alert["organization_id"])}
    wanted = [
        (channel_id, sorted(places))
        for channel_id, places in sorted(told.items())
        if channel_id in known and (kinds is None or known[channel_id]["kind"] in kinds)
    ]
    return _plan(session, alert, rule, moment, wanted, now_us, said)


def _plan(
    session: WriteSession,
    alert: Row,
    rule: Rule,
    moment: str,
    targets: Iterable[tuple[str, Sequence[int]]],
    now_us: int,
    said: str,
) -> int:
    critical = alert["severity"] == "critical"
    due_us = now_us if rule.quiet is None else rule.quiet.due(now_us, critical=critical)
    wanted = [
        {
            "alert_id": alert["id"],
            "channel_id": channel_id,
            "moment": moment,
            "part": part,
            "said": said,
            "due_at": due_us,
        }
        for channel_id, places in targets
        for part in places
    ]
    new = store.add_deliveries(session, alert["organization_id"], wanted, now_us)
    jobs = [
        NewJob(
            DELIVER,
            {"delivery_id": row["id"]},
            alert["organization_id"],
            due_us,
            Priority.HIGH,
            lane=f"alert/{alert['id']}/{row['channel_id']}/{row['part']}",
        )
        for row in new
    ]
    enqueue_all(session, jobs, now_us=now_us)
    return len(new)


def part_of(channel: Channel, part: int) -> Channel | None:
    """One addressee of a channel; None when it has no such any more."""
    found = parts(channel)
    return found[part] if part < len(found) else None


def notice_of(
    alert: Row, delivery: Row, organization: Organization, public_url: str | None
) -> Notice:
    """An alert as a channel is told of it by a delivery."""
    kept: Mapping[str, Any] = loads(alert["notice"])
    zone = text.zone_of(organization.time_zone)
    since = kept["since"]
    return Notice(
        moment=moment_of(delivery["moment"]),
        alert_id=alert["id"],
        dedup_key=alert["dedup_key"],
        severity=alert["severity"],
        title=alert["title"],
        summary=f"{delivery['said']} {alert['summary']}".strip(),
        facts=tuple(Fact(label, value) for label, value in kept["facts"]),
        drivers=tuple(Driver(*each) for each in kept["drivers"]),
        organization=text.name(organization.name),
        since=None if since is None else text.instant(int(since), zone),
        link=None if public_url is None else f"{public_url.rstrip('/')}/alerts/{alert['id']}",
    )
