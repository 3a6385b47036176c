"""People, teams and invitations as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.identity import teams
from llm_cost_ops.server.identity.invitations import Invitation
from llm_cost_ops.server.identity.organizations import Organization
from llm_cost_ops.server.identity.role_grants import roles_of
from llm_cost_ops.server.identity.teams import Team
from llm_cost_ops.server.identity.users import User

TEXT: Mapping[str, Any] = {"type": "string"}
MAYBE: Mapping[str, Any] = {"type": ["string", "null"]}
INSTANT: Mapping[str, Any] = {"type": "string", "format": "date-time"}
MAYBE_INSTANT: Mapping[str, Any] = {"type": ["string", "null"], "format": "date-time"}
TEXTS: Mapping[str, Any] = {"type": "array", "items": {"type": "string"}}
FLAG: Mapping[str, Any] = {"type": "boolean"}
COUNT: Mapping[str, Any] = {"type": "integer"}


def shape(**fields: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an answer that has all of these fields."""
    return {"type": "object", "required": list(fields), "properties": dict(fields)}


ORGANIZATION_SCHEMA = shape(
    id=TEXT, name=TEXT, slug=TEXT, currency=TEXT, time_zone=TEXT,
    settings={"type": "object"},
    fiscal_year_start_month={"type": "integer", "minimum": 1, "maximum": 12},
    data_retention_days={"type": ["integer", "null"]},
    created_at=INSTANT,
)  # fmt: skip
USER_SCHEMA = shape(
    id=TEXT, kind={"enum": ["person", "service", "seen"]}, email=MAYBE, name=MAYBE,
    first_name=MAYBE, last_name=MAYBE, external_id=MAYBE, is_active=FLAG,
    roles=TEXTS, teams=TEXTS, metadata={"type": "object"},
    created_at=INSTANT, updated_at=MAYBE_INSTANT, disabled_at=MAYBE_INSTANT, version=COUNT,
)  # fmt: skip
TEAM_SCHEMA = shape(
    id=TEXT, name=TEXT, description=MAYBE, parent_id=MAYBE, external_id=MAYBE,
    budget_id=MAYBE, metadata={"type": "object"},
    created_at=INSTANT, updated_at=MAYBE_INSTANT, version=COUNT,
)  # fmt: skip
INVITATION_SCHEMA = shape(
    id=TEXT, email=TEXT, name=MAYBE, role=TEXT, teams=TEXTS,
    state={"enum": ["pending", "accepted", "revoked", "expired"]},
    invited_by=MAYBE, user_id=MAYBE, created_at=INSTANT, expires_at=INSTANT,
    accepted_at=MAYBE_INSTANT, revoked_at=MAYBE_INSTANT,
)  # fmt: skip


def organization_row(found: Organization) -> dict[str, object]:
    """An organization."""
    return {
        "id": found.id,
        "name": found.name,
        "slug": found.slug,
        "currency": found.currency,
        "time_zone": found.time_zone,
        "settings": found.settings,
        "fiscal_year_start_month": found.settings.get("fiscal_year_start_month", 1),
        "data_retention_days": found.settings.get("data_retention_days"),
        "created_at": format_micros(found.created_at),
    }


def user_rows(
    session: ReadSession, organization_id: str, found: Sequence[User]
) -> list[dict[str, object]]:
    """Users with their roles and teams."""
    ids = [user.id for user in found]
    held = roles_of(session, organization_id, ids)
    member = teams.teams_of(session, organization_id, ids)
    return [_user(user, held.get(user.id, ()), member.get(user.id, ())) for user in found]


def user_row(session: ReadSession, user: User) -> dict[str, object]:
    """One user with roles and teams."""
    return user_rows(session, user.organization_id, [user])[0]


def _user(user: User, roles: Sequence[str], team_ids: Sequence[str]) -> dict[str, object]:
    return {
        "id": user.id,
        "kind": user.kind,
        "email": user.email,
        "name": user.name,
        "first_name": user.given_name,
        "last_name": user.family_name,
        "external_id": user.external_id,
        "is_active": user.is_active,
        "roles": list(roles),
        "teams": list(team_ids),
        "metadata": user.metadata,
        "created_at": format_micros(user.created_at),
        "updated_at": _optional(user.updated_at),
        "disabled_at": _optional(user.disabled_at),
        "version": user.version,
    }


BUDGET = "budget_id"
"""Where the metadata of a team names the budget that was made with it."""


def team_row(team: Team) -> dict[str, object]:
    """A team."""
    return {
        "id": team.id,
        "name": team.name,
        "description": team.description,
        "parent_id": team.parent_id,
        "external_id": team.external_id,
        "budget_id": team.metadata.get(BUDGET),
        "metadata": {name: value for name, value in team.metadata.items() if name != BUDGET},
        "created_at": format_micros(team.created_at),
        "updated_at": _optional(team.updated_at),
        "version": team.version,
    }


def invitation_row(found: Invitation, now_us: int) -> dict[str, object]:
    """An invitation, without its link."""
    return {
        "id": found.id,
        "email": found.email,
        "name": found.name,
        "role": found.role,
        "teams": list(found.team_ids),
        "state": found.state(now_us),
        "invited_by": found.invited_by,
        "user_id": found.user_id,
        "created_at": format_micros(found.created_at),
        "expires_at": format_micros(found.expires_at),
        "accepted_at": _optional(found.accepted_at),
        "revoked_at": _optional(found.revoked_at),
    }


def _optional(micros: int | None) -> str | None:
    return None if micros is None else format_micros(micros)
