"""Teams and their members, and the roles of the organization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from llm_cost_ops.client.caller import Caller, many, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.lists import listed, scoped
from llm_cost_ops.client.resources.users import given
from llm_cost_ops.client.rows import Team, User


class TeamCalls:
    _caller: Caller

    @endpoint
    def create(
        self,
        name: str,
        *,
        description: str | None = None,
        budget: Decimal | int | str | None = None,
        metadata: Mapping[str, Any] | None = None,
        parent_id: str | None = None,
        members: Sequence[str] = (),
        external_id: str | None = None,
        team_id: str | None = None,
    ) -> Flow[Team]:
        """Make a team. `members` are addresses or ids of users; with a `budget` it gets a monthly
        one of that amount; `team_id` is the id that calls name."""
        body = {
            "name": name,
            "description": description,
            "budget": budget,
            "metadata": None if metadata is None else dict(metadata),
            "parent_id": parent_id,
            "members": [*members],
            "external_id": external_id,
            "team_id": team_id,
        }
        return one((yield from self._caller.write("POST", "/teams", given(body))), Team)

    @endpoint
    def list(self, **query: Any) -> Flow[Page[Team]]:
        """Teams by id; `parent_id` and `search` narrow them."""
        return listed(self._caller, "/teams", scoped(self._caller, query), Team)

    @endpoint
    def tree(self) -> Flow[Page[Team]]:
        """The top teams, each with its `children`."""
        return many((yield from self._caller.get("/teams/tree")), Team)

    @endpoint
    def get(self, team_id: str, /) -> Flow[Team]:
        """One team. Raises NotFoundError."""
        return one((yield from self._caller.get(_path(team_id))), Team)

    @endpoint
    def update(self, team_id: str, /, **changes: Any) -> Flow[Team]:
        """Change name, description, parent_id, budget, metadata or external_id; what is not named
        stays, an empty text clears."""
        return one((yield from self._caller.write("PATCH", _path(team_id), changes)), Team)

    @endpoint
    def move(self, team_id: str, /, parent_id: str | None) -> Flow[Team]:
        """Put a team below another, or at the top."""
        body = {"parent_id": parent_id or ""}
        return one((yield from self._caller.write("PATCH", _path(team_id), body)), Team)

    @endpoint
    def delete(self, team_id: str, /) -> Flow[None]:
        """Remove a team that has none below it, and the budget that was made with it."""
        yield from self._caller.write("DELETE", _path(team_id))

    @endpoint
    def members(self, team_id: str, /) -> Flow[Page[User]]:
        """The members of the team itself."""
        return many((yield from self._caller.get(_path(team_id, "members"))), User)

    @endpoint
    def add_members(self, team_id: str, /, members: Sequence[str]) -> Flow[Page[User]]:
        """Make users members, by address or id; all members."""
        body = {"members": [*members]}
        path = _path(team_id, "members")
        return many((yield from self._caller.write("POST", path, body)), User)

    @endpoint
    def remove_member(self, team_id: str, user_id: str, /) -> Flow[None]:
        """Take a user out of the team."""
        yield from self._caller.write("DELETE", _path(team_id, "members", user_id))


class Teams(TeamCalls, SyncResource):
    """`admin.teams`"""


class AsyncTeams(TeamCalls, AsyncResource):
    """`admin.teams` of the asynchronous client"""


def _path(*parts: str) -> str:
    return "/teams/" + "/".join(segment(part) for part in parts)
