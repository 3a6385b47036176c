"""Whom to tell what and when: deliveries and their jobs, made with what they tell of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from llm_cost_ops.core.instant import format_minute
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
AGAIN, ESCALATION, WORSE = "again", "escalation", "worse"
"""Moments of ours beside those of a notice: told again after a snooze, told to more people, told
because it got worse. They are stored as `again-<micros>`, `escalation-<step>` and
`worse-<severity>`."""
HEAR_OF_ACKNOWLEDGEMENT = frozenset({"pagerduty", "webhook"})
"""Machines keep a state of the alert; people would read one message more."""
_MOMENTS: Mapping[str, Moment] = {
    AGAIN: "trigger",
    ESCALATION: "trigger",
    WORSE: "trigger",
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
    due_us = due(alert["severity"], rule, now_us)
    targets = [Target(row["id"], range(int(row["addressees"])), due_us) for row in found]
    return _plan(session, alert, moment, targets, now_us, said)


def due(severity: str, rule: Rule, now_us: int) -> int:
    """When people may be told of an alert of now."""
    if rule.quiet is None:
        return now_us
    return rule.quiet.due(now_us, critical=severity == "critical")


class Target(NamedTuple):
    """A channel, which of its addressees, and when."""

    channel_id: str
    parts: Sequence[int]
    due_us: int


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
    """Plan to tell those who were told of the alert, or are about to be. Machines are told at once:
    one that keeps an incident would page people all night for what is over."""
    told: dict[str, set[int]] = {}
    for each in store.deliveries(session, alert["organization_id"], alert["id"]):
        if each["state"] in (DELIVERED, PENDING) and moment_of(each["moment"]) == "trigger":
            told.setdefault(each["channel_id"], set()).add(int(each["part"]))
    known = {row["id"]: row["kind"] for row in channels.rows(session, alert["organization_id"])}
    due_us = due(alert["severity"], rule, now_us)
    wanted = [
        Target(channel_id, sorted(places), now_us if kind in HEAR_OF_ACKNOWLEDGEMENT else due_us)
        for channel_id, places in sorted(told.items())
        if (kind := known.get(channel_id)) is not None and (kinds is None or kind in kinds)
    ]
    return _plan(session, alert, moment, wanted, now_us, said)


def _plan(
    session: WriteSession,
    alert: Row,
    moment: str,
    targets: Iterable[Target],
    now_us: int,
    said: str,
) -> int:
    wanted = [
        {
            "alert_id": alert["id"],
            "channel_id": target.channel_id,
            "moment": moment,
            "part": part,
            "said": said,
            "due_at": target.due_us,
        }
        for target in targets
        for part in target.parts
    ]
    new = store.add_deliveries(session, alert["organization_id"], wanted, now_us)
    jobs = [
        NewJob(
            DELIVER,
            {"delivery_id": row["id"]},
            alert["organization_id"],
            row["due_at"],
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


def _summary(alert: Row, delivery: Row) -> str:
    """What the moment says before what happened; at the end that is not so any more."""
    ended = moment_of(delivery["moment"]) == "resolve"
    happened = f"It began with: {alert['summary']}" if ended else alert["summary"]
    return f"{delivery['said']} {happened}".strip()


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
        summary=_summary(alert, delivery),
        facts=tuple(Fact(label, value) for label, value in kept["facts"]),
        drivers=tuple(Driver(*each) for each in kept["drivers"]),
        organization=text.name(organization.name),
        since=None if since is None else format_minute(int(since), zone),
        link=None if public_url is None else f"{public_url.rstrip('/')}/alerts/{alert['id']}",
    )
