"""Identity providers of the organization, and whether people must sign in by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llm_cost_ops.client.caller import Caller, many, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.users import given
from llm_cost_ops.client.rows import Row


class SingleSignOnCalls:
    _caller: Caller

    @endpoint
    def create(
        self,
        kind: str,
        name: str,
        client_id: str | None = None,
        *,
        domains: Sequence[str],
        client_secret: str | None = None,
        issuer: str | None = None,
        sso_url: str | None = None,
        certificates: Sequence[str] | None = None,
        scopes: Sequence[str] | None = None,
        creates_users: bool = False,
        role: str | None = None,
        role_claim: str | None = None,
        role_mapping: Mapping[str, str] | None = None,
        enabled: bool = True,
    ) -> Flow[Row]:
        """Let people sign in by a provider of the kind `google`, `github`, `okta`, `entra`,
        `generic` or `saml`, which vouches for addresses of these domains. `creates_users` makes a
        user of somebody unknown, with `role`. SAML has `sso_url` and `certificates` (PEM) instead
        of a client. Needs the right to do everything."""
        body = {
            "kind": kind,
            "name": name,
            "client_id": client_id,
            "client_secret": client_secret,
            "issuer": issuer,
            "sso_url": sso_url,
            "certificates": None if certificates is None else [*certificates],
            "scopes": None if scopes is None else [*scopes],
            "domains": [*domains],
            "creates_users": creates_users,
            "role": role,
            "role_claim": role_claim,
            "role_mapping": None if role_mapping is None else dict(role_mapping),
            "enabled": enabled,
        }
        answer = yield from self._caller.write("POST", "/sso/providers", given(body))
        return one(answer, Row)

    @endpoint
    def list(self) -> Flow[Page[Row]]:
        """The providers by name, without their secrets."""
        return many((yield from self._caller.get("/sso/providers")), Row)

    @endpoint
    def get(self, provider_id: str, /) -> Flow[Row]:
        """One provider. Raises NotFoundError."""
        return one((yield from self._caller.get(_path(provider_id))), Row)

    @endpoint
    def update(self, provider_id: str, /, **changes: Any) -> Flow[Row]:
        """Change fields of `create`, but for the kind; what is not named stays. Another issuer or
        client ends the sessions that the provider vouched for."""
        answer = yield from self._caller.write("PATCH", _path(provider_id), changes)
        return one(answer, Row)

    @endpoint
    def delete(self, provider_id: str, /) -> Flow[None]:
        """Remove a provider and end the sessions that it vouched for."""
        yield from self._caller.write("DELETE", _path(provider_id))

    @endpoint
    def required(self) -> Flow[bool]:
        """Whether administrators alone may sign in with a password."""
        answer = one((yield from self._caller.get("/sso/policy")), Row)
        return bool(answer["required"])

    @endpoint
    def require(self, required: bool = True) -> Flow[bool]:
        """Turn passwords off, or on again. Raises ConflictError without a provider."""
        answer = yield from self._caller.write("PUT", "/sso/policy", {"required": required})
        return bool(one(answer, Row)["required"])


class SingleSignOn(SingleSignOnCalls, SyncResource):
    """`admin.sso`"""


class AsyncSingleSignOn(SingleSignOnCalls, AsyncResource):
    """`admin.sso` of the asynchronous client"""


def _path(provider_id: str) -> str:
    return f"/sso/providers/{segment(provider_id)}"
