"""The asynchronous client, over httpx (extra `async`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, Unpack

from llm_cost_ops.client.base import BaseClient, ClientOptions
from llm_cost_ops.client.transport import AsyncDriver
from llm_cost_ops.exceptions import ConfigurationError

if TYPE_CHECKING:
    import httpx

    from llm_cost_ops.client.resources.alerts import AsyncAlerts
    from llm_cost_ops.client.resources.analytics import AsyncAnalytics
    from llm_cost_ops.client.resources.api_keys import AsyncApiKeys
    from llm_cost_ops.client.resources.audit import AsyncAudit
    from llm_cost_ops.client.resources.budgets import AsyncBudgets
    from llm_cost_ops.client.resources.charges import AsyncCharges
    from llm_cost_ops.client.resources.costs import AsyncCosts
    from llm_cost_ops.client.resources.exchange_rates import AsyncExchangeRates
    from llm_cost_ops.client.resources.exports import AsyncExports
    from llm_cost_ops.client.resources.forecasts import AsyncForecasts
    from llm_cost_ops.client.resources.journal import AsyncJournal
    from llm_cost_ops.client.resources.oauth_clients import AsyncOAuthClients
    from llm_cost_ops.client.resources.organizations import AsyncOrganizations
    from llm_cost_ops.client.resources.periods import AsyncPeriods
    from llm_cost_ops.client.resources.pricing import AsyncPricing
    from llm_cost_ops.client.resources.privacy import AsyncPrivacy
    from llm_cost_ops.client.resources.provider_credentials import AsyncProviderCredentials
    from llm_cost_ops.client.resources.reports import AsyncReports
    from llm_cost_ops.client.resources.roles import AsyncRoles
    from llm_cost_ops.client.resources.usage import AsyncUsage
    from llm_cost_ops.client.resources.webhooks import AsyncWebhooks


class AsyncCostOpsClient(BaseClient):
    """The client of the LLM Cost Ops API for asyncio: the methods of CostOpsClient, awaited.

    Settings are found as for CostOpsClient. One instance belongs to one event loop. A `http_client`
    of your own is used as it is and not closed.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        http_client: httpx.AsyncClient | None = None,
        sleep: Callable[[float], Coroutine[Any, Any, object]] | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        try:
            import httpx
        except ImportError:
            raise ConfigurationError(
                "AsyncCostOpsClient needs httpx: pip install 'llm-cost-ops[async]'"
            ) from None
        super().__init__(api_key, base_url, options)
        self._given_http = http_client
        self._own_http: httpx.AsyncClient | None = None
        self._httpx = httpx
        self._driver = AsyncDriver(
            lambda: self.http_client, timeout=self.settings.timeout, sleep=sleep
        )

    @classmethod
    def from_config(cls, path: str | os.PathLike[str], **options: Unpack[ClientOptions]) -> Self:
        """A client with the settings of a file; arguments and environment win over it."""
        return cls(**{**options, "config_file": path})

    @property
    def http_client(self) -> httpx.AsyncClient:
        """The httpx client in use, made at the first call."""
        if self._given_http is not None:
            return self._given_http
        if self._own_http is None:
            size = max(1, self.settings.connection_pool_size)
            self._own_http = self._httpx.AsyncClient(
                timeout=self.settings.timeout,
                verify=self.settings.verify_ssl,
                limits=self._httpx.Limits(max_connections=size, max_keepalive_connections=size),
            )
        return self._own_http

    @cached_property
    def usage(self) -> AsyncUsage:
        from llm_cost_ops.client.resources.usage import AsyncUsage

        return AsyncUsage(self._caller, self._driver)

    @cached_property
    def costs(self) -> AsyncCosts:
        from llm_cost_ops.client.resources.costs import AsyncCosts

        return AsyncCosts(self._caller, self._driver)

    @cached_property
    def pricing(self) -> AsyncPricing:
        from llm_cost_ops.client.resources.pricing import AsyncPricing

        return AsyncPricing(self._caller, self._driver)

    @cached_property
    def analytics(self) -> AsyncAnalytics:
        from llm_cost_ops.client.resources.analytics import AsyncAnalytics

        return AsyncAnalytics(self._caller, self._driver)

    @cached_property
    def budgets(self) -> AsyncBudgets:
        from llm_cost_ops.client.resources.budgets import AsyncBudgets

        return AsyncBudgets(self._caller, self._driver)

    @cached_property
    def audit(self) -> AsyncAudit:
        from llm_cost_ops.client.resources.audit import AsyncAudit

        return AsyncAudit(self._caller, self._driver)

    @cached_property
    def roles(self) -> AsyncRoles:
        from llm_cost_ops.client.resources.roles import AsyncRoles

        return AsyncRoles(self._caller, self._driver)

    @cached_property
    def api_keys(self) -> AsyncApiKeys:
        from llm_cost_ops.client.resources.api_keys import AsyncApiKeys

        return AsyncApiKeys(self._caller, self._driver)

    @cached_property
    def oauth_clients(self) -> AsyncOAuthClients:
        from llm_cost_ops.client.resources.oauth_clients import AsyncOAuthClients

        return AsyncOAuthClients(self._caller, self._driver)

    @cached_property
    def webhooks(self) -> AsyncWebhooks:
        from llm_cost_ops.client.resources.webhooks import AsyncWebhooks

        return AsyncWebhooks(self._caller, self._driver)

    @cached_property
    def exports(self) -> AsyncExports:
        from llm_cost_ops.client.resources.exports import AsyncExports

        return AsyncExports(self._caller, self._driver)

    @cached_property
    def periods(self) -> AsyncPeriods:
        from llm_cost_ops.client.resources.periods import AsyncPeriods

        return AsyncPeriods(self._caller, self._driver)

    @property
    def export(self) -> AsyncExports:
        """The same as `exports`."""
        return self.exports

    @cached_property
    def reports(self) -> AsyncReports:
        from llm_cost_ops.client.resources.reports import AsyncReports

        return AsyncReports(self._caller, self._driver)

    @cached_property
    def privacy(self) -> AsyncPrivacy:
        from llm_cost_ops.client.resources.privacy import AsyncPrivacy

        return AsyncPrivacy(self._caller, self._driver)

    @cached_property
    def journal(self) -> AsyncJournal:
        from llm_cost_ops.client.resources.journal import AsyncJournal

        return AsyncJournal(self._caller, self._driver)

    @cached_property
    def charges(self) -> AsyncCharges:
        from llm_cost_ops.client.resources.charges import AsyncCharges

        return AsyncCharges(self._caller, self._driver)

    @cached_property
    def exchange_rates(self) -> AsyncExchangeRates:
        from llm_cost_ops.client.resources.exchange_rates import AsyncExchangeRates

        return AsyncExchangeRates(self._caller, self._driver)

    @cached_property
    def provider_credentials(self) -> AsyncProviderCredentials:
        from llm_cost_ops.client.resources.provider_credentials import AsyncProviderCredentials

        return AsyncProviderCredentials(self._caller, self._driver)

    @cached_property
    def alerts(self) -> AsyncAlerts:
        from llm_cost_ops.client.resources.alerts import AsyncAlerts

        return AsyncAlerts(self._caller, self._driver)

    @cached_property
    def forecasts(self) -> AsyncForecasts:
        from llm_cost_ops.client.resources.forecasts import AsyncForecasts

        return AsyncForecasts(self._caller, self._driver)

    @cached_property
    def organizations(self) -> AsyncOrganizations:
        from llm_cost_ops.client.resources.organizations import AsyncOrganizations

        return AsyncOrganizations(self._caller, self._driver)

    @property
    def forecast(self) -> AsyncForecasts:
        """The same as `forecasts`."""
        return self.forecasts

    async def aclose(self) -> None:
        """Close the connections. A later call opens new ones; a given client is not closed."""
        http, self._own_http = self._own_http, None
        if http is not None:
            await http.aclose()

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
