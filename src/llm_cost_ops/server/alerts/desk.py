"""What this room needs of the installation: how it seals secrets, how it sends and to where, its
address."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from llm_cost_ops.server.alerts.sending import Send, Sender
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.delivery.channels import Channel
from llm_cost_ops.server.delivery.deliver import Carriers, deliver
from llm_cost_ops.server.delivery.notice import Notice, Outcome
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.delivery.send import Outbound
from llm_cost_ops.server.delivery.target import Guard
from llm_cost_ops.server.settings import Settings

CHANNELS = "llm-cost-ops alert channels"
"""The purpose under which the configuration of channels is sealed."""


@dataclass(frozen=True, slots=True)
class AlertDesk:
    """Made once for a process."""

    seal: Vault
    send: Send
    public_url: str | None
    guard: Guard

    def sender(self, database: Database, clock: Clock) -> Sender:
        """The one that carries out deliveries."""
        return Sender(database, clock, self.send, self.seal, self.public_url)


def alert_desk(settings: Settings, clock: Clock, send: Send | None = None) -> AlertDesk:
    """The desk of an installation; it sends for real unless told how."""
    outbound = Outbound(settings.delivery, clock)
    carriers = Carriers(http=outbound, mail=settings.email, clock=clock)
    return AlertDesk(
        Vault.of(settings, CHANNELS),
        send or partial(_deliver, carriers),
        settings.server.public_url,
        outbound.guard,
    )


def _deliver(carriers: Carriers, channel: Channel, notice: Notice, delivery_id: str) -> Outcome:
    return deliver(channel, notice, through=carriers, delivery_id=delivery_id)
