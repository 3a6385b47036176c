"""Organizations, invitations and projects."""

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
from llm_cost_ops.client.rows import Invitation, Organization, Row, User


class OrganizationCalls:
    _caller: Caller

    @endpoint
    def create(
        self,
        name: str,
        slug: str | None = None,
        settings: Mapping[str, Any] | None = None,
        *,
        currency: str | None = None,
        time_zone: str | None = None,
        fiscal_year_start_month: int | None = None,
        data_retention_days: int | None = None,
        admin_email: str | None = None,
    ) -> Flow[Organization]:
        """Make an organization: for administrators of the oldest one of the installation.
        `budget_limit`, `budget_period` and `alert_threshold` of `settings` make its budget."""
        body = {
            "name": name,
            "slug": slug,
            "settings": None if settings is None else dict(settings),
            "currency": currency,
            "time_zone": time_zone,
            "fiscal_year_start_month": fiscal_year_start_month,
            "data_retention_days": data_retention_days,
            "admin_email": admin_email,
        }
        answer = yield from self._caller.write("POST", "/organizations", given(body))
        return one(answer, Organization)

    @endpoint
    def list(self) -> Flow[Page[Organization]]:
        """The organizations that the caller belongs to."""
        return many((yield from self._caller.get("/organizations")), Organization)

    @endpoint
    def current(self) -> Flow[Organization]:
        """The organization of the key."""
        return one((yield from self._caller.get("/organizations/current")), Organization)

    @endpoint
    def get(self, organization_id: str, /) -> Flow[Organization]:
        """The caller's organization, by id or slug. Raises NotFoundError for another."""
        return one((yield from self._caller.get(_path(organization_id))), Organization)

    @endpoint
    def update(self, organization_id: str, /, **changes: Any) -> Flow[Organization]:
        """Change name, slug, settings, currency, time_zone, fiscal_year_start_month or
        data_retention_days; what is not named stays."""
        answer = yield from self._caller.write("PATCH", _path(organization_id), changes)
        return one(answer, Organization)

    @endpoint
    def users(self, organization_id: str, /, **query: Any) -> Flow[Page[User]]:
        """The people of the organization."""
        return listed(self._caller, _path(organization_id, "users"), query, User)

    @endpoint
    def add_user(self, organization_id: str, user_email: str, role: str) -> Flow[User]:
        """Make the person with this address a user with this role."""
        path = _path(organization_id, "users")
        body = {"user_email": user_email, "role": role}
        return one((yield from self._caller.write("POST", path, body)), User)

    @endpoint
    def remove_user(self, organization_id: str, user_id: str) -> Flow[None]:
        """Take a user out of the organization; recorded calls keep the id."""
        yield from self._caller.write("DELETE", _path(organization_id, "users", user_id))


class Organizations(OrganizationCalls, SyncResource):
    """`client.organizations`"""


class AsyncOrganizations(OrganizationCalls, AsyncResource):
    """`client.organizations` of the asynchronous client"""


class InvitationCalls:
    _caller: Caller

    @endpoint
    def create(
        self,
        email: str,
        role: str,
        *,
        name: str | None = None,
        teams: Sequence[str] = (),
        expires_in_days: int | None = None,
    ) -> Flow[Invitation]:
        """Invite somebody by mail; `.mail` says whether it is sent."""
        body = {
            "email": email,
            "role": role,
            "name": name,
            "teams": [*teams],
            "expires_in_days": expires_in_days,
        }
        return one((yield from self._caller.write("POST", "/invitations", given(body))), Invitation)

    @endpoint
    def list(self, **query: Any) -> Flow[Page[Invitation]]:
        """Invitations, the newest first; `email` narrows them."""
        return listed(self._caller, "/invitations", scoped(self._caller, query), Invitation)

    @endpoint
    def revoke(self, invitation_id: str, /) -> Flow[Invitation]:
        """End an invitation. Raises ConflictError for one that was accepted."""
        path = f"/invitations/{segment(invitation_id)}"
        return one((yield from self._caller.write("DELETE", path)), Invitation)


class Invitations(InvitationCalls, SyncResource):
    """`admin.invitations`"""


class AsyncInvitations(InvitationCalls, AsyncResource):
    """`admin.invitations` of the asynchronous client"""


class ProjectCalls:
    _caller: Caller

    @endpoint
    def list(self, **query: Any) -> Flow[Page[Row]]:
        """The projects that calls have named; `search` narrows them."""
        return listed(self._caller, "/projects", scoped(self._caller, query), Row)

    @endpoint
    def update(self, project_id: str, /, name: str) -> Flow[Row]:
        """Give a project a name."""
        path, body = f"/projects/{segment(project_id)}", {"name": name}
        return one((yield from self._caller.write("PATCH", path, body)), Row)

    @endpoint
    def set_revenue(
        self,
        project_id: str,
        /,
        period: str,
        amount: Decimal | int | str,
        currency: str | None = None,
    ) -> Flow[Row]:
        """Keep what a project earned in a month such as `2025-11`."""
        path = f"/projects/{segment(project_id)}/revenue"
        body = given({"period": period, "amount": amount, "currency": currency})
        return one((yield from self._caller.write("PUT", path, body)), Row)

    @endpoint
    def revenue(self, project_id: str, /) -> Flow[Page[Row]]:
        """What a project earned, month by month."""
        path = f"/projects/{segment(project_id)}/revenue"
        return many((yield from self._caller.get(path)), Row)


class Projects(ProjectCalls, SyncResource):
    """`admin.projects`"""


class AsyncProjects(ProjectCalls, AsyncResource):
    """`admin.projects` of the asynchronous client"""


def _path(*parts: str) -> str:
    return "/organizations/" + "/".join(segment(part) for part in parts)
