"""Roles: custom ones of the organization, and who has which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llm_cost_ops.client.caller import Caller, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.lists import listed, scoped
from llm_cost_ops.client.rows import Role

_SAME: Any = ...
Conditions = Mapping[str, str | Sequence[str]]


class RoleCalls:
    _caller: Caller

    @endpoint
    def create(
        self,
        name: str,
        description: str | None = None,
        *,
        permissions: Sequence[str],
        conditions: Conditions | None = None,
    ) -> Flow[Role]:
        """Make a role. `conditions` limit its permissions to some `team`, `models`, `projects` or
        `environments`. Raises PermissionDenied for a role that can do more than who makes it."""
        body = {
            "name": name,
            "description": description,
            "permissions": [*permissions],
            "conditions": _conditions(conditions),
        }
        return one((yield from self._caller.write("POST", "/roles", body)), Role)

    @endpoint
    def list(self, **query: Any) -> Flow[Page[Role]]:
        """The built-in roles, then those of the organization by name."""
        return listed(self._caller, "/roles", scoped(self._caller, query), Role)

    @endpoint
    def get(self, role_id: str, /) -> Flow[Role]:
        """A role by its id or name. Raises NotFoundError."""
        return one((yield from self._caller.get(_path(role_id))), Role)

    @endpoint
    def update(
        self,
        role_id: str,
        /,
        *,
        name: str | None = None,
        description: str | None = _SAME,
        permissions: Sequence[str] | None = None,
        conditions: Conditions | None = _SAME,
    ) -> Flow[Role]:
        """Change a custom role: what is not named stays, conditions of None are none. Who has it
        can do what it says within a second."""
        body: dict[str, Any] = {}
        if name is not None:
            body["name"] = name
        if permissions is not None:
            body["permissions"] = [*permissions]
        if description is not _SAME:
            body["description"] = description
        if conditions is not _SAME:
            body["conditions"] = _conditions(conditions)
        return one((yield from self._caller.write("PUT", _path(role_id), body)), Role)

    @endpoint
    def delete(self, role_id: str, /) -> Flow[None]:
        """Remove a custom role, also from those who have it."""
        yield from self._caller.write("DELETE", _path(role_id))

    @endpoint
    def of_user(self, user_id: str, /) -> Flow[Page[Role]]:
        """The roles that a user has."""
        return listed(self._caller, _of(user_id), scoped(self._caller, {}), Role)

    @endpoint
    def assign(self, user_id: str, role_id: str) -> Flow[Role]:
        """Give a user a role: the id of a custom one or the name of a built-in one."""
        body = {"role_id": role_id}
        return one((yield from self._caller.write("POST", _of(user_id), body)), Role)

    @endpoint
    def withdraw(self, user_id: str, role_id: str) -> Flow[None]:
        """Take a role from a user, who cannot use it within a second."""
        yield from self._caller.write("DELETE", f"{_of(user_id)}/{segment(role_id)}")


class Roles(RoleCalls, SyncResource):
    """`client.roles`"""


class AsyncRoles(RoleCalls, AsyncResource):
    """`client.roles` of the asynchronous client"""


def _path(role_id: str) -> str:
    return f"/roles/{segment(role_id)}"


def _of(user_id: str) -> str:
    return f"/users/{segment(user_id)}/roles"


def _conditions(given: Conditions | None) -> dict[str, Any] | None:
    if given is None:
        return None
    return {name: v if isinstance(v, str) else [*v] for name, v in given.items()}
