"""The one way out for a notice: its channel's form, sent, and how that went."""

from __future__ import annotations

from dataclasses import dataclass

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.delivery.channels import (
    Channel,
)
from llm_cost_ops.server.delivery.notice import Notice, Outcome
from llm_cost_ops.server.delivery.send import Outbound
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
    raise NotImplementedError(f"{channel.kind}: {notice.alert_id}, {delivery_id}, {through.mail}")
