"""The one way out for a notice: its channel's form, sent, and how that went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.delivery.channels import (
    Channel,
    EmailChannel,
    PagerDutyChannel,
    SlackChannel,
    TeamsChannel,
    WebhookChannel,
)
from llm_cost_ops.server.delivery.email import send_email
from llm_cost_ops.server.delivery.hook import send_hook
from llm_cost_ops.server.delivery.notice import Notice, Outcome
from llm_cost_ops.server.delivery.pagerduty import send_pagerduty
from llm_cost_ops.server.delivery.send import Outbound
from llm_cost_ops.server.delivery.slack import send_slack
from llm_cost_ops.server.delivery.teams import send_teams
from llm_cost_ops.server.settings import EmailSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Carriers:
    """What carries notices out of the house."""

    http: Outbound
    mail: EmailSettings
    clock: Clock


def deliver(channel: Channel, notice: Notice, *, through: Carriers, delivery_id: str) -> Outcome:
    """Tell `channel` of `notice`; never raises for what the other side or the network does.

    `delivery_id` is the same for every attempt at one delivery (the job's id): receivers know by it
    what they have already. Mail to several addresses that only some of them took is not delivered
    when one may be tried again; `channels.parts` makes a delivery for each of them.
    """
    http, clock = through.http, through.clock
    match channel:
        case EmailChannel():
            return send_email(channel, notice, through.mail, delivery_id, clock.now())
        case SlackChannel():
            return send_slack(channel, notice, http)
        case TeamsChannel():
            return send_teams(channel, notice, http)
        case PagerDutyChannel():
            return send_pagerduty(channel, notice, http, clock.now())
        case WebhookChannel():
            return send_hook(channel, notice, http, delivery_id, clock.micros() // 1_000_000)
        case _:
            assert_never(channel)
