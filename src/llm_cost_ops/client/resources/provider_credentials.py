"""API credentials of providers that the server keeps sealed; it never shows them again."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.client.caller import Caller, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.lists import listed, scoped
from llm_cost_ops.client.rows import Row

_PATH = "/provider-credentials"


class ProviderCredentialCalls:
    _caller: Caller

    @endpoint
    def list(self, **query: Any) -> Flow[Page[Row]]:
        """What is kept: `.provider`, `.name`, `.masked`; never a secret."""
        return listed(self._caller, _PATH, scoped(self._caller, query), Row)

    @endpoint
    def put(self, provider: str, secret: str, *, name: str = "default") -> Flow[Row]:
        """Keep a credential. Raises ConflictError for a name that is taken: rotate that one."""
        body = {"provider": provider, "name": name, "secret": secret}
        return one((yield from self._caller.write("POST", _PATH, body)), Row)

    @endpoint
    def rotate(self, credential_id: str, secret: str, /) -> Flow[Row]:
        """Put another secret in its place. Raises NotFoundError."""
        path = f"{_PATH}/{segment(credential_id)}/rotate"
        return one((yield from self._caller.write("POST", path, {"secret": secret})), Row)

    @endpoint
    def delete(self, credential_id: str, /) -> Flow[None]:
        """Forget one. Raises NotFoundError."""
        yield from self._caller.write("DELETE", f"{_PATH}/{segment(credential_id)}")


class ProviderCredentials(ProviderCredentialCalls, SyncResource):
    """`client.provider_credentials`"""


class AsyncProviderCredentials(ProviderCredentialCalls, AsyncResource):
    """`client.provider_credentials` of the asynchronous client"""
