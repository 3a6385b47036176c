"""The books of a closed month: an export of them is the same file whenever it is made."""

from __future__ import annotations

from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.exports.asked import Wanted
from llm_cost_ops.server.identity.organizations import get_organization
from llm_cost_ops.server.ledger.periods import period_of, refuse_archived


def as_booked(
    database: Database, organization_id: str, wanted: Wanted
) -> tuple[Wanted, str | None]:
    """The export and the organization's name in it: of a closed month, both as of its closing.
    Raises DomainError for a closed month whose calls are archived."""
    with read(database) as session:
        organization = get_organization(session, organization_id)
        name = None if organization is None else organization.name
        if wanted.month is None:
            return wanted, name
        period = period_of(session, organization_id, wanted.month)
        if period.is_open:
            return wanted, name
        refuse_archived(session, organization_id, wanted.month)
    return wanted.created(period.closed_at), period.organization_name or name
