"""Clients for who administers an organization: people, teams, roles, invitations."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from llm_cost_ops.client.async_client import AsyncCostOpsClient
from llm_cost_ops.client.sync_client import CostOpsClient

if TYPE_CHECKING:
    from llm_cost_ops.client.resources.organizations import (
        AsyncInvitations,
        AsyncProjects,
        Invitations,
        Projects,
    )
    from llm_cost_ops.client.resources.roles import AsyncRoles, Roles
    from llm_cost_ops.client.resources.single_sign_on import AsyncSingleSignOn, SingleSignOn
    from llm_cost_ops.client.resources.teams import AsyncTeams, Teams
    from llm_cost_ops.client.resources.users import (
        AsyncServiceAccounts,
        AsyncUsers,
        ServiceAccounts,
        Users,
    )


class AdminClient(CostOpsClient):
    """CostOpsClient with what administers an organization besides."""

    @cached_property
    def users(self) -> Users:
        from llm_cost_ops.client.resources.users import Users

        return Users(self._caller, self._driver)

    @cached_property
    def service_accounts(self) -> ServiceAccounts:
        from llm_cost_ops.client.resources.users import ServiceAccounts

        return ServiceAccounts(self._caller, self._driver)

    @cached_property
    def teams(self) -> Teams:
        from llm_cost_ops.client.resources.teams import Teams

        return Teams(self._caller, self._driver)

    @cached_property
    def roles(self) -> Roles:
        from llm_cost_ops.client.resources.roles import Roles

        return Roles(self._caller, self._driver)

    @cached_property
    def invitations(self) -> Invitations:
        from llm_cost_ops.client.resources.organizations import Invitations

        return Invitations(self._caller, self._driver)

    @cached_property
    def projects(self) -> Projects:
        from llm_cost_ops.client.resources.organizations import Projects

        return Projects(self._caller, self._driver)

    @cached_property
    def sso(self) -> SingleSignOn:
        from llm_cost_ops.client.resources.single_sign_on import SingleSignOn

        return SingleSignOn(self._caller, self._driver)


class AsyncAdminClient(AsyncCostOpsClient):
    """AsyncCostOpsClient with what administers an organization besides."""

    @cached_property
    def users(self) -> AsyncUsers:
        from llm_cost_ops.client.resources.users import AsyncUsers

        return AsyncUsers(self._caller, self._driver)

    @cached_property
    def service_accounts(self) -> AsyncServiceAccounts:
        from llm_cost_ops.client.resources.users import AsyncServiceAccounts

        return AsyncServiceAccounts(self._caller, self._driver)

    @cached_property
    def teams(self) -> AsyncTeams:
        from llm_cost_ops.client.resources.teams import AsyncTeams

        return AsyncTeams(self._caller, self._driver)

    @cached_property
    def roles(self) -> AsyncRoles:
        from llm_cost_ops.client.resources.roles import AsyncRoles

        return AsyncRoles(self._caller, self._driver)

    @cached_property
    def invitations(self) -> AsyncInvitations:
        from llm_cost_ops.client.resources.organizations import AsyncInvitations

        return AsyncInvitations(self._caller, self._driver)

    @cached_property
    def projects(self) -> AsyncProjects:
        from llm_cost_ops.client.resources.organizations import AsyncProjects

        return AsyncProjects(self._caller, self._driver)

    @cached_property
    def sso(self) -> AsyncSingleSignOn:
        from llm_cost_ops.client.resources.single_sign_on import AsyncSingleSignOn

        return AsyncSingleSignOn(self._caller, self._driver)
