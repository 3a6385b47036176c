"""`Base` with the tables of every room, for Alembic and for people who map them."""

from __future__ import annotations

from sqlalchemy.orm import DeclarativeBase

from llm_cost_ops.server.access import tables as access
from llm_cost_ops.server.access.tokens import tables as tokens
from llm_cost_ops.server.alerts import tables as alerts
from llm_cost_ops.server.audit import tables as audit
from llm_cost_ops.server.charges import tables as charges
from llm_cost_ops.server.db.base import metadata
from llm_cost_ops.server.exports import tables as exports
from llm_cost_ops.server.forecasts import tables as forecasts
from llm_cost_ops.server.http import tables as http
from llm_cost_ops.server.identity import tables as identity
from llm_cost_ops.server.ledger import tables as ledger
from llm_cost_ops.server.pricing import tables as pricing
from llm_cost_ops.server.privacy import tables as privacy
from llm_cost_ops.server.queue import tables as queue
from llm_cost_ops.server.rates import tables as rates
from llm_cost_ops.server.reports import tables as reports
from llm_cost_ops.server.schedules import tables as schedules
from llm_cost_ops.server.scim import tables as scim
from llm_cost_ops.server.signin import tables as signin
from llm_cost_ops.server.spend import tables as spend
from llm_cost_ops.server.webhooks import tables as webhooks

__all__ = [
    "Base",
    "access",
    "alerts",
    "audit",
    "charges",
    "exports",
    "forecasts",
    "http",
    "identity",
    "ledger",
    "pricing",
    "privacy",
    "queue",
    "rates",
    "reports",
    "schedules",
    "scim",
    "signin",
    "spend",
    "tokens",
    "webhooks",
]


class Base(DeclarativeBase):
    """Declarative base over the one MetaData of the server."""

    metadata = metadata
