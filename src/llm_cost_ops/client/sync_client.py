"""The synchronous client, over requests."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Self, Unpack

from llm_cost_ops.client.base import BaseClient, ClientOptions
from llm_cost_ops.client.transport import SyncDriver

if TYPE_CHECKING:
    import requests

    from llm_cost_ops.client.resources.alerts import Alerts
    from llm_cost_ops.client.resources.analytics import Analytics
    from llm_cost_ops.client.resources.api_keys import ApiKeys
    from llm_cost_ops.client.resources.audit import Audit
    from llm_cost_ops.client.resources.budgets import Budgets
    from llm_cost_ops.client.resources.charges import Charges
    from llm_cost_ops.client.resources.costs import Costs
    from llm_cost_ops.client.resources.exchange_rates import ExchangeRates
    from llm_cost_ops.client.resources.exports import Exports
    from llm_cost_ops.client.resources.forecasts import Forecasts
    from llm_cost_ops.client.resources.journal import Journal
    from llm_cost_ops.client.resources.oauth_clients import OAuthClients
    from llm_cost_ops.client.resources.organizations import Organizations
    from llm_cost_ops.client.resources.periods import Periods
    from llm_cost_ops.client.resources.pricing import Pricing
    from llm_cost_ops.client.resources.privacy import Privacy
    from llm_cost_ops.client.resources.provider_credentials import ProviderCredentials
    from llm_cost_ops.client.resources.reports import Reports
    from llm_cost_ops.client.resources.roles import Roles
    from llm_cost_ops.client.resources.usage import Usage
    from llm_cost_ops.client.resources.webhooks import Webhooks


class CostOpsClient(BaseClient):
    """A client of the LLM Cost Ops API. One instance serves any number of threads.

    Settings come from arguments, then LLM_COST_OPS_API_KEY, LLM_COST_OPS_BASE_URL,
    LLM_COST_OPS_TIMEOUT, LLM_COST_OPS_MAX_RETRIES and LLM_COST_OPS_ENVIRONMENT (or the same with
    COST_OPS_), then `config_file`, then the defaults (http://localhost:8080). A `session` of your
    own is used as it is and not closed; `requests` is imported at the first call.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        session: requests.Session | None = None,
        sleep: Callable[[float], object] = time.sleep,
        **options: Unpack[ClientOptions],
    ) -> None:
        super().__init__(api_key, base_url, options)
        self._given_session = session
        self._own_session: requests.Session | None = None
        self._session_lock = Lock()
        self._driver = SyncDriver(
            lambda: self.session,
            timeout=self.settings.timeout,
            verify=self.settings.verify_ssl,
            sleep=sleep,
        )

    @classmethod
    def from_config(
        cls,
        path: str | os.PathLike[str],
        *,
        session: requests.Session | None = None,
        **options: Unpack[ClientOptions],
    ) -> Self:
        """A client with the settings of a file; arguments and environment win over it."""
        return cls(session=session, **{**options, "config_file": path})

    @property
    def session(self) -> requests.Session:
        """The requests Session in use. Its own retries are off: repeating is decided above it."""
        if self._given_session is not None:
            return self._given_session
        if self._own_session is None:
            with self._session_lock:
                if self._own_session is None:
                    self._own_session = _new_session(self.settings.connection_pool_size)
        return self._own_session

    @cached_property
    def usage(self) -> Usage:
        from llm_cost_ops.client.resources.usage import Usage

        return Usage(self._caller, self._driver)

    @cached_property
    def costs(self) -> Costs:
        from llm_cost_ops.client.resources.costs import Costs

        return Costs(self._caller, self._driver)

    @cached_property
    def pricing(self) -> Pricing:
        from llm_cost_ops.client.resources.pricing import Pricing

        return Pricing(self._caller, self._driver)

    @cached_property
    def analytics(self) -> Analytics:
        from llm_cost_ops.client.resources.analytics import Analytics

        return Analytics(self._caller, self._driver)

    @cached_property
    def budgets(self) -> Budgets:
        from llm_cost_ops.client.resources.budgets import Budgets

        return Budgets(self._caller, self._driver)

    @cached_property
    def audit(self) -> Audit:
        from llm_cost_ops.client.resources.audit import Audit

        return Audit(self._caller, self._driver)

    @cached_property
    def roles(self) -> Roles:
        from llm_cost_ops.client.resources.roles import Roles

        return Roles(self._caller, self._driver)

    @cached_property
    def api_keys(self) -> ApiKeys:
        from llm_cost_ops.client.resources.api_keys import ApiKeys

        return ApiKeys(self._caller, self._driver)

    @cached_property
    def oauth_clients(self) -> OAuthClients:
        from llm_cost_ops.client.resources.oauth_clients import OAuthClients

        return OAuthClients(self._caller, self._driver)

    @cached_property
    def webhooks(self) -> Webhooks:
        from llm_cost_ops.client.resources.webhooks import Webhooks

        return Webhooks(self._caller, self._driver)

    @cached_property
    def exports(self) -> Exports:
        from llm_cost_ops.client.resources.exports import Exports

        return Exports(self._caller, self._driver)

    @cached_property
    def periods(self) -> Periods:
        from llm_cost_ops.client.resources.periods import Periods

        return Periods(self._caller, self._driver)

    @property
    def export(self) -> Exports:
        """The same as `exports`."""
        return self.exports

    @cached_property
    def reports(self) -> Reports:
        from llm_cost_ops.client.resources.reports import Reports

        return Reports(self._caller, self._driver)

    @cached_property
    def privacy(self) -> Privacy:
        from llm_cost_ops.client.resources.privacy import Privacy

        return Privacy(self._caller, self._driver)

    @cached_property
    def journal(self) -> Journal:
        from llm_cost_ops.client.resources.journal import Journal

        return Journal(self._caller, self._driver)

    @cached_property
    def charges(self) -> Charges:
        from llm_cost_ops.client.resources.charges import Charges

        return Charges(self._caller, self._driver)

    @cached_property
    def exchange_rates(self) -> ExchangeRates:
        from llm_cost_ops.client.resources.exchange_rates import ExchangeRates

        return ExchangeRates(self._caller, self._driver)

    @cached_property
    def provider_credentials(self) -> ProviderCredentials:
        from llm_cost_ops.client.resources.provider_credentials import ProviderCredentials

        return ProviderCredentials(self._caller, self._driver)

    @cached_property
    def alerts(self) -> Alerts:
        from llm_cost_ops.client.resources.alerts import Alerts

        return Alerts(self._caller, self._driver)

    @cached_property
    def forecasts(self) -> Forecasts:
        from llm_cost_ops.client.resources.forecasts import Forecasts

        return Forecasts(self._caller, self._driver)

    @cached_property
    def organizations(self) -> Organizations:
        from llm_cost_ops.client.resources.organizations import Organizations

        return Organizations(self._caller, self._driver)

    @property
    def forecast(self) -> Forecasts:
        """The same as `forecasts`."""
        return self.forecasts

    def close(self) -> None:
        """Close the connections. A later call opens new ones; a given session is not closed."""
        with self._session_lock:
            session, self._own_session = self._own_session, None
        if session is not None:
            session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _new_session(pool_size: int) -> requests.Session:
    from http.cookiejar import DefaultCookiePolicy

    import requests
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    # No cookies, so that nothing in the session changes while threads share it.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        adapter = HTTPAdapter(max_retries=0, pool_connections=4, pool_maxsize=max(1, pool_size))
        session.mount(scheme, adapter)
    return session
