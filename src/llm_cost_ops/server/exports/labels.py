"""Names for what calls name by ids, as they are when an export begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import select

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.access.tables import api_keys
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import ReadSession, read
from llm_cost_ops.server.identity.tables import projects, provider_credentials, teams

COST_CENTER = "cost_center"


@dataclass(frozen=True, slots=True)
class Labels:
    """Names of projects and of keys by their ids, and the cost centers of teams."""

    projects: Mapping[str, str]
    keys: Mapping[str, str]
    centers: Mapping[str, str]

    def cost_center_of(self, team_id: str | None) -> str | None:
        """That of a team, which counts where a call itself names none."""
        return None if team_id is None else self.centers.get(team_id)


UNNAMED = Labels({}, {}, {})


def own_cost_center(metadata: Mapping[str, object] | None) -> str | None:
    """The one that a call or a team names in its metadata."""
    return None if metadata is None else _text(metadata.get(COST_CENTER))


def labels_of(database: Database, organization_id: str) -> Labels:
    """A key is one of ours or one of a provider that is kept here; others have no name."""
    with read(database) as session:
        keys = _named(session, api_keys, organization_id)
        keys |= _named(session, provider_credentials, organization_id)
        query = select(teams.c.id, teams.c.metadata).where(
            teams.c.organization_id == organization_id, teams.c.metadata.is_not(None)
        )
        centers: dict[str, str] = {}
        for row in session.execute(query).mappings():
            told = cast("Mapping[str, object]", loads(row["metadata"]))
            center = own_cost_center(told)
            if center is not None:
                centers[str(row["id"])] = center
        return Labels(_named(session, projects, organization_id), keys, centers)


def _named(session: ReadSession, table: Any, organization_id: str) -> dict[str, str]:
    query = select(table.c.id, table.c.name).where(
        table.c.organization_id == organization_id, table.c.name.is_not(None)
    )
    return {str(row["id"]): str(row["name"]) for row in session.execute(query).mappings()}


def _text(value: object) -> str | None:
    """Cost centers may be numbers; what is blank is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None
