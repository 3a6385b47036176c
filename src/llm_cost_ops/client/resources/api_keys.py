"""API keys: make, list, change, rotate, revoke."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from llm_cost_ops.client.caller import Caller, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.lists import listed, scoped
from llm_cost_ops.client.rows import KeyRow, Row


class ApiKeyCalls:
    _caller: Caller

    @endpoint
    def create(
        self,
        name: str,
        scopes: Sequence[str] | None = None,
        *,
        expires_at: datetime | str | None = None,
        environment: str | None = None,
        allowed_networks: Sequence[str] | None = None,
        user_id: str | None = None,
    ) -> Flow[KeyRow]:
        """Make a key that can do no more than the one in use, whose scopes it has by itself. Its
        secret is `.key` of this answer and is not shown again. `environment` is live, test or
        staging; `allowed_networks` are addresses or networks (CIDR)."""
        body = {
            "name": name,
            "scopes": None if scopes is None else [*scopes],
            "expires_at": expires_at,
            "environment": environment,
            "allowed_networks": None if allowed_networks is None else [*allowed_networks],
            "user_id": user_id,
        }
        return one((yield from self._caller.write("POST", _path(), _given(body))), KeyRow)

    @endpoint
    def list(self, **query: Any) -> Flow[Page[KeyRow]]:
        """The organization's keys, newest first, revoked ones too; `user_id` narrows them."""
        return listed(self._caller, _path(), scoped(self._caller, query), KeyRow)

    @endpoint
    def get(self, key_id: str, /) -> Flow[KeyRow]:
        """One key, without its secret. Raises NotFoundError."""
        return one((yield from self._caller.get(_path(key_id))), KeyRow)

    @endpoint
    def update(
        self,
        key_id: str,
        /,
        *,
        name: str | None = None,
        scopes: Sequence[str] | None = None,
        allowed_networks: Sequence[str] | None = None,
        expires_at: datetime | str | None = None,
    ) -> Flow[KeyRow]:
        """Rename a key, take scopes from it, let it end sooner, or change where it is accepted
        from; what is not named stays. No `allowed_networks` (an empty list) are all."""
        body = {
            "name": name,
            "scopes": None if scopes is None else [*scopes],
            "allowed_networks": None if allowed_networks is None else [*allowed_networks],
            "expires_at": expires_at,
        }
        return one((yield from self._caller.write("PATCH", _path(key_id), _given(body))), KeyRow)

    @endpoint
    def rotate(self, key_id: str, /, *, overlap_seconds: int | None = None) -> Flow[KeyRow]:
        """The key that follows this one, its secret in `.key`. Both are accepted for
        `overlap_seconds` (a day)."""
        body = _given({"overlap_seconds": overlap_seconds})
        path = _path(key_id, "rotate")
        return one((yield from self._caller.write("POST", path, body)), KeyRow)

    @endpoint
    def revoke(self, key_id: str, /) -> Flow[None]:
        """Refuse a key everywhere, within a second. A second time changes nothing."""
        yield from self._caller.write("DELETE", _path(key_id))

    @endpoint
    def validate(self) -> Flow[Row]:
        """What the credential in use stands for: `.organization_id`, `.scopes`, `.expires_at`."""
        return one((yield from self._caller.get("/auth/validate")), Row)

    delete = revoke


class ApiKeys(ApiKeyCalls, SyncResource):
    """`client.api_keys`"""


class AsyncApiKeys(ApiKeyCalls, AsyncResource):
    """`client.api_keys` of the asynchronous client"""


def _path(*parts: str) -> str:
    return "/".join(("/auth/api-keys", *(segment(part) for part in parts)))


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
