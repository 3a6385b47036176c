"""What a SCIM request asks, and what is answered: the same by itself and inside of a bulk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from llm_cost_ops.server.access.change import actor_of
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import encode
from llm_cost_ops.server.scim.errors import MEDIA_TYPE, ROOT


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and the address below which resources are named."""

    principal: Principal
    actor: Actor
    root: str

    @property
    def organization_id(self) -> str:
        return self.principal.organization_id


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: `if_match` and `if_none_match` are the headers, `query` the parameters."""

    caller: Caller
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    if_match: str | None = None
    if_none_match: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, the document and its headers. `etag` and `location` are those of the resource."""

    status: int
    body: Mapping[str, Any] | None = None
    etag: str | None = None
    location: str | None = None

    def response(self) -> Response:
        headers: dict[str, str] = {}
        if self.etag is not None:
            headers["ETag"] = self.etag
        if self.location is not None:
            headers["Location" if self.status == 201 else "Content-Location"] = self.location
        if self.body is None:
            return Response(None, self.status, headers)
        return Response(encode(self.body), self.status, headers, MEDIA_TYPE)


def location(root: str, kind: str, resource_id: str) -> str:
    """The address of a resource."""
    return f"{root}/{kind}/{quote(resource_id, safe='@')}"


def caller_of(request: Request, principal: Principal) -> Caller:
    """Who asks. The address is the one that the server is reached under."""
    public = deps.settings(request).server.public_url
    base = public or f"{request.url.scheme}://{request.url.netloc}"
    return Caller(principal, actor_of(request, principal), base.rstrip("/") + ROOT)
