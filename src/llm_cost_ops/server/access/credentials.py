"""The kinds of credentials that a request may carry, each asked in turn whether it is one of its.

`app.state.credentials` is a tuple of them, in the order in which they are asked.
"""

from __future__ import annotations

from typing import Protocol

from starlette.requests import Request

from llm_cost_ops.server.access.keys import KeyRing
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.access.secret import well_formed


class Credentials(Protocol):
    """One kind of credential."""

    async def principal(self, request: Request, secret: str | None) -> Principal | None:
        """Who the credential of a request stands for; None when it is none of this kind. `secret`
        is what an Authorization or X-API-Key header carries, None without one: a cookie may then
        say who it is. Raises Problem 401 for one of this kind that is not accepted."""
        ...


class ApiKeys:
    """API keys as credentials: known by their checksum."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    async def principal(self, request: Request, secret: str | None) -> Principal | None:  # noqa: ARG002
        if secret is None or not well_formed(secret):
            return None
        return await self._ring.principal(secret)
