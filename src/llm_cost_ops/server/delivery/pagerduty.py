"""A notice as an event of PagerDuty's Events API v2.

The moments of an alert are `trigger`, `acknowledge` and `resolve` under one `dedup_key`. A digest
is no problem that wakes anybody: it becomes a change event, which is shown beside incidents.

Source: developer.pagerduty.com, "Events API v2": fields, lengths, 512 KB, and which answers to
retry.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from typing import Any

from llm_cost_ops.core.instant import format_instant
from llm_cost_ops.server.delivery.channels import PagerDutyChannel
from llm_cost_ops.server.delivery.notice import Notice, Outcome
from llm_cost_ops.server.delivery.post import judged, post_json
from llm_cost_ops.server.delivery.send import Outbound
from llm_cost_ops.server.delivery.wording import DRIVERS, OPEN, PRODUCT, SINCE, line, link

MAX_KEY = 255
MAX_SUMMARY = 1024
MAX_ROWS = 100
_LABEL = 120
_VALUE = 500
_KEY = re.compile(r"[\x21-\x7e]+")
ENQUEUE = "/v2/enqueue"
CHANGE = "/v2/change/enqueue"


def pagerduty_event(channel: PagerDutyChannel, notice: Notice, now: datetime) -> dict[str, Any]:
    """The body for `ENQUEUE`, or for `CHANGE` when the notice is a digest."""
    event: dict[str, Any] = {"routing_key": channel.routing_key}
    if notice.moment != "digest":
        event |= {"event_action": notice.moment, "dedup_key": incident_key(notice)}
    if notice.moment in ("acknowledge", "resolve"):
        return event
    url = link(notice)
    event["payload"] = {
        "summary": line(notice.summary, MAX_SUMMARY) or line(notice.title, MAX_SUMMARY) or PRODUCT,
        "source": line(notice.organization, _LABEL) or PRODUCT,
        "timestamp": format_instant(now),
        "custom_details": _details(notice),
    }
    if notice.moment == "trigger":
        event["payload"] |= {"severity": notice.severity, "component": PRODUCT}
        event["client"] = PRODUCT
        if url is not None:
            event["client_url"] = url
    if url is not None:
        event["links"] = [{"href": url, "text": OPEN}]
    return event


def send_pagerduty(
    channel: PagerDutyChannel, notice: Notice, http: Outbound, now: datetime
) -> Outcome:
    """PagerDuty answers 202; 429, 5xx and what the network does are for another attempt."""
    body = json.dumps(pagerduty_event(channel, notice, now), ensure_ascii=False).encode()
    base = channel.url.removesuffix("/").removesuffix(ENQUEUE)
    path = CHANGE if notice.moment == "digest" else ENQUEUE
    return judged(post_json(http, base + path, body), hidden=(channel.routing_key,))


def incident_key(notice: Notice) -> str:
    """The key of the alert, or what stands for one that is too long or not of visible ASCII."""
    key = notice.dedup_key or notice.alert_id
    if len(key) <= MAX_KEY and _KEY.fullmatch(key):
        return key
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{''.join(_KEY.findall(key))[: MAX_KEY - 65]}:{digest}"


def _details(notice: Notice) -> dict[str, Any]:
    """What PagerDuty shows as a table: names of facts are its keys, made different if they are
    alike."""
    found: dict[str, Any] = {"Alert": line(notice.title, _VALUE)}
    rows = [(fact.label, fact.value) for fact in notice.facts[:MAX_ROWS]]
    if notice.since is not None:
        rows.append((SINCE, notice.since))
    for label, value in rows:
        name, number = line(label, _LABEL), 2
        while name in found:
            name = f"{line(label, _LABEL - 8)} ({number})"
            number += 1
        found[name] = line(value, _VALUE)
    if notice.drivers:
        found[DRIVERS] = [
            line(f"{line(each.name, 300)}: {each.amount} ({each.share})", _VALUE)
            for each in notice.drivers[:MAX_ROWS]
        ]
    found["Alert id"] = line(notice.alert_id, _LABEL)
    return found
