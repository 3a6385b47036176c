"""Forecasts that were kept, as far as somebody reaches the calls that they are about.

One that was made within the conditions of roles says so (`limited_to`): it is about those calls
alone, whoever reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from llm_cost_ops.core.grants import Reach, conditions_wire, parse_conditions
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.forecasts import store

LIMITED = "limited_to"
_CHUNK = 200
Row = dict[str, Any]


def limits(principal: Principal) -> dict[str, Any]:
    """What the answer to somebody who is limited by conditions says of them."""
    return {LIMITED: [conditions_wire(scope) for scope in principal.reach.scopes]}


def is_reached(reach: Reach, row: Mapping[str, Any]) -> bool:
    """Whether all calls that a forecast is about are reached."""
    if reach.is_everything:
        return True
    limited = loads(row["answer"]).get(LIMITED)
    return bool(limited) and all(reach.covers(parse_conditions(each)) for each in limited)


def forecasts(
    session: ReadSession, principal: Principal, below: str | None, offset: int, limit: int
) -> list[Row]:
    """Forecasts that are reached, the newest first: those with an id below a given one, or after
    `offset`."""
    organization_id, reach = principal.organization_id, principal.reach
    if reach.is_everything:
        return store.forecast_rows(session, organization_id, below, offset, limit)
    own = (row for row in _all(session, organization_id, below) if is_reached(reach, row))
    return list(islice(own, offset, offset + limit))


def _all(session: ReadSession, organization_id: str, below: str | None) -> Iterator[Row]:
    while True:
        rows = store.forecast_rows(session, organization_id, below, 0, _CHUNK)
        yield from rows
        if len(rows) < _CHUNK:
            return
        below = rows[-1]["id"]
