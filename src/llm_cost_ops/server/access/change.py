"""A change asked for over HTTP: made once per idempotency key, by somebody the audit log names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from llm_cost_ops.server.access.deps import own_organization
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession, write_retrying
from llm_cost_ops.server.http import deps, idempotency
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.request_id import request_id


async def _raw(request: Request) -> bytes:
    return await request.body()


Raw = Depends(_raw)
"""The body as it was sent."""
KEYED: dict[str, Any] = {"parameters": [idempotency.PARAMETER]}
"""What the OpenAPI document says of a change."""


def actor_of(request: Request, principal: Principal) -> Actor:
    """Who asks."""
    return Actor(
        principal.organization_id,
        principal.key_id,
        request_id(request.scope),
        deps.clock(request).micros(),
    )


def change(
    request: Request,
    principal: Principal,
    raw: bytes,
    work: Callable[[WriteSession, Actor], Response],
    *,
    hold: Callable[[WriteSession, str], object] | None = None,
    kept: Callable[[Response], Response] | None = None,
) -> Response:
    """The answer of `work`, or the one that a request with the same Idempotency-Key had. Raises
    Problem 422 when that had another body.

    `hold` locks something of the organization before the key is looked up: a twin waits there, then
    finds the answer. `kept` makes what is kept of an answer for who repeats the request.
    """
    actor = actor_of(request, principal)
    call = idempotency.call_of(request, raw, principal.organization_id, principal.key_id)

    def attempt(session: WriteSession) -> Response:
        made: list[Response] = []

        def once() -> Response:
            made.append(work(session, actor))
            return kept(made[0]) if kept else made[0]

        if hold is not None:
            hold(session, principal.organization_id)
        found = idempotency.once(session, call, actor.now_us, once)
        return made[0] if made else found

    return write_retrying(deps.database(request), attempt)


def changed(
    request: Request,
    principal: Principal,
    raw: bytes,
    named: str | None,
    work: Callable[[WriteSession, Actor], Mapping[str, object]],
    status: int = 200,
) -> Response:
    """`change` for a body that may name the organization (`named`), answering what `work` gives.
    Raises Problem 403 when it names another one."""
    own_organization(principal, named)
    return change(
        request,
        principal,
        raw,
        lambda session, actor: json_response(work(session, actor), status),
    )
