"""Users and service accounts of the organization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llm_cost_ops.client.caller import Caller, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.lists import listed, scoped
from llm_cost_ops.client.rows import ImportReport, Role, Row, User


class UserCalls:
    _caller: Caller

    @endpoint
    def create(
        self,
        email: str,
        name: str | None = None,
        role: str | None = None,
        *,
        teams: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        external_id: str | None = None,
        active: bool = True,
        first_name: str | None = None,
        last_name: str | None = None,
        user_id: str | None = None,
        send_welcome_email: bool = False,
    ) -> Flow[User]:
        """Make a person a user. `teams` are ids or names; `user_id` is the id that calls name.

        `.temporary_password` of the answer is always None: no password is ever made for somebody;
        `send_welcome_email` mails a link by which they choose one.
        """
        body = {
            "email": email,
            "name": name,
            "role": role,
            "teams": [text for each in teams if (text := each.strip())],
            "metadata": None if metadata is None else dict(metadata),
            "external_id": external_id,
            "active": active,
            "first_name": first_name,
            "last_name": last_name,
            "user_id": user_id,
            "send_welcome_email": send_welcome_email,
        }
        return one((yield from self._caller.write("POST", "/users", given(body))), User)

    @endpoint
    def list(self, **query: Any) -> Flow[Page[User]]:
        """Users by id; `role`, `team_id`, `active`, `search` and `kind` narrow them."""
        return listed(self._caller, "/users", scoped(self._caller, query), User)

    @endpoint
    def get(self, user_id: str, /) -> Flow[User]:
        """One user. Raises NotFoundError."""
        return one((yield from self._caller.get(_path(user_id))), User)

    @endpoint
    def update(self, user_id: str, /, **changes: Any) -> Flow[User]:
        """Change email, name, first_name, last_name, metadata, external_id or active; what is not
        named stays, an empty text clears."""
        return one((yield from self._caller.write("PATCH", _path(user_id), changes)), User)

    @endpoint
    def disable(self, user_id: str, /) -> Flow[User]:
        """End every credential of a user."""
        return one((yield from self._caller.write("POST", _path(user_id, "disable"))), User)

    @endpoint
    def enable(self, user_id: str, /) -> Flow[User]:
        """Let a user in again; revoked keys stay revoked."""
        return one((yield from self._caller.write("POST", _path(user_id, "enable"))), User)

    @endpoint
    def delete(self, user_id: str, /) -> Flow[None]:
        """Take a user out of the organization; recorded calls keep the id."""
        yield from self._caller.write("DELETE", _path(user_id))

    @endpoint
    def assign_role(self, user_id: str, role_id: str) -> Flow[Role]:
        """Give a user a role, by its id or name."""
        body = {"role_id": role_id}
        return one((yield from self._caller.write("POST", _path(user_id, "roles"), body)), Role)

    @endpoint
    def send_welcome_email(self, user_id: str, /) -> Flow[Row]:
        """Mail a link that works once, to choose a password. Raises ConflictError where the server
        has no mail."""
        return one((yield from self._caller.write("POST", _path(user_id, "welcome-email"))), Row)

    @endpoint
    def import_csv(
        self, text: str, *, dry_run: bool = False, send_welcome_email: bool = False
    ) -> Flow[ImportReport]:
        """Make users of the rows of a CSV file; `.results` tells what became of each."""
        body = {"csv": text, "dry_run": dry_run, "send_welcome_email": send_welcome_email}
        return one((yield from self._caller.write("POST", "/users/import", body)), ImportReport)


class Users(UserCalls, SyncResource):
    """`admin.users`"""


class AsyncUsers(UserCalls, AsyncResource):
    """`admin.users` of the asynchronous client"""


class ServiceAccountCalls:
    _caller: Caller

    @endpoint
    def create(
        self,
        name: str,
        role: str | None = None,
        *,
        teams: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
    ) -> Flow[User]:
        """Make a user for a program."""
        body = {
            "name": name,
            "role": role,
            "teams": [*teams],
            "metadata": None if metadata is None else dict(metadata),
            "user_id": user_id,
        }
        answer = yield from self._caller.write("POST", "/service-accounts", given(body))
        return one(answer, User)

    @endpoint
    def list(self, **query: Any) -> Flow[Page[User]]:
        """Service accounts by id."""
        return listed(self._caller, "/service-accounts", scoped(self._caller, query), User)

    @endpoint
    def get(self, user_id: str, /) -> Flow[User]:
        """One service account. Raises NotFoundError."""
        return one((yield from self._caller.get(_path(user_id))), User)

    @endpoint
    def disable(self, user_id: str, /) -> Flow[User]:
        """End every key of a service account."""
        return one((yield from self._caller.write("POST", _path(user_id, "disable"))), User)

    @endpoint
    def enable(self, user_id: str, /) -> Flow[User]:
        """Let a service account in again; revoked keys stay revoked."""
        return one((yield from self._caller.write("POST", _path(user_id, "enable"))), User)

    @endpoint
    def delete(self, user_id: str, /) -> Flow[None]:
        """Remove a service account; recorded calls keep the id."""
        yield from self._caller.write("DELETE", _path(user_id))


class ServiceAccounts(ServiceAccountCalls, SyncResource):
    """`admin.service_accounts`"""


class AsyncServiceAccounts(ServiceAccountCalls, AsyncResource):
    """`admin.service_accounts` of the asynchronous client"""


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def _path(*parts: str) -> str:
    return "/users/" + "/".join(segment(part) for part in parts)
