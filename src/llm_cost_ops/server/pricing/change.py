"""A change of prices, or of what calls cost, asked for over HTTP: made alone, and once per key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.db.session import WriteSession, write_retrying
from llm_cost_ops.server.http import deps, idempotency
from llm_cost_ops.server.http.edge import untimed
from llm_cost_ops.server.pricing.lock import take_turn


async def _raw(request: Request) -> bytes:
    return await request.body()


async def _untimed(request: Request) -> None:
    untimed(request)


Raw = Depends(_raw)
"""The body as it was sent."""
Untimed = Depends(_untimed)
"""For what prices or takes back any number of calls: a time limit would leave the caller without
the outcome."""
KEYED: dict[str, Any] = {"parameters": [idempotency.PARAMETER]}
"""What the OpenAPI document says of a change."""


def change(
    request: Request, principal: Principal, raw: bytes, work: Callable[[WriteSession], Response]
) -> Response:
    """The answer of `work`, which holds the organization's turn, or the one that a request with
    the same Idempotency-Key had. Raises Problem 422 when that had another body."""
    call = idempotency.call_of(request, raw, principal.organization_id, principal.key_id)
    now_us = deps.clock(request).micros()

    def attempt(session: WriteSession) -> Response:
        take_turn(session, principal.organization_id)  # a twin waits here, then finds the answer
        return idempotency.once(session, call, now_us, lambda: work(session))

    return write_retrying(deps.database(request), attempt)
