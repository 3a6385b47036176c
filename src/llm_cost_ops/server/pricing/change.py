"""A change of prices, or of what calls cost, asked for over HTTP: made alone, and once per key."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from llm_cost_ops.server.access import change as access
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.http.edge import untimed
from llm_cost_ops.server.pricing.lock import take_turn


async def _untimed(request: Request) -> None:
    untimed(request)


Untimed = Depends(_untimed)
"""For what prices or takes back any number of calls: a time limit would leave the caller without
the outcome."""


def change(
    request: Request, principal: Principal, raw: bytes, work: Callable[[WriteSession], Response]
) -> Response:
    """`access.change` whose `work` holds the organization's turn."""
    return access.change(
        request, principal, raw, lambda session, _actor: work(session), hold=take_turn
    )
