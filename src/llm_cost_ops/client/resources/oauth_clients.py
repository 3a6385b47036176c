"""OAuth clients: register, list, give a new secret, remove."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llm_cost_ops.client.caller import Caller, many, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.rows import Row


class OAuthClientRow(Row):
    """A program that acts for people or for itself. `client_secret` is there only when it was
    registered or got a new one."""

    __slots__ = ()

    client_id: str
    client_secret: str
    name: str
    redirect_uris: list[str]
    grant_types: list[str]
    scopes: list[str]
    public: bool
    created_by: str | None
    created_at: str


class OAuthClientCalls:
    _caller: Caller

    @endpoint
    def create(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        redirect_uris: Sequence[str] = (),
        grant_types: Sequence[str] | None = None,
        public: bool = False,
    ) -> Flow[OAuthClientRow]:
        """Register a client that can do no more than who registers it. By itself it takes codes
        and refresh tokens; a service names `grant_types=["client_credentials"]`. Its secret is
        `.client_secret` of this answer and is not shown again; a `public` one has none."""
        body: dict[str, Any] = {
            "name": name,
            "scopes": [*scopes],
            "redirect_uris": [*redirect_uris],
            "public": public,
        }
        if grant_types is not None:
            body["grant_types"] = [*grant_types]
        return one((yield from self._caller.write("POST", _path(), body)), OAuthClientRow)

    @endpoint
    def list(self) -> Flow[Page[OAuthClientRow]]:
        """The organization's clients, newest first."""
        return many((yield from self._caller.get(_path())), OAuthClientRow)

    @endpoint
    def get(self, client_id: str, /) -> Flow[OAuthClientRow]:
        """One client, without its secret. Raises NotFoundError."""
        return one((yield from self._caller.get(_path(client_id))), OAuthClientRow)

    @endpoint
    def rotate_secret(self, client_id: str, /) -> Flow[OAuthClientRow]:
        """A new secret in `.client_secret`; the one before is refused at once. Tokens go on."""
        path = _path(client_id, "rotate")
        return one((yield from self._caller.write("POST", path)), OAuthClientRow)

    @endpoint
    def delete(self, client_id: str, /) -> Flow[None]:
        """Remove a client: its tokens end within a second."""
        yield from self._caller.write("DELETE", _path(client_id))


class OAuthClients(OAuthClientCalls, SyncResource):
    """`client.oauth_clients`"""


class AsyncOAuthClients(OAuthClientCalls, AsyncResource):
    """`client.oauth_clients` of the asynchronous client"""


def _path(*parts: str) -> str:
    return "/".join(("/oauth/clients", *(segment(part) for part in parts)))
