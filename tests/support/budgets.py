"""Budgets of a running app, and the proof that they counted right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from llm_cost_ops.server.db.session import snapshot
from llm_cost_ops.server.ledger.recount import first_difference
from tests.support.application import Application
from tests.support.calls import accepted, send


def make_budget(app: Application, **fields: Any) -> Any:
    """A new budget; a soft one of the whole organization and month unless said otherwise."""
    return accepted(send(app, "/budgets", {"name": "test", **fields}), 201)


def budget(app: Application, budget_id: str) -> Any:
    return accepted(app.get(f"/api/v1/budgets/{budget_id}"), 200)


def reserve(app: Application, cost: str | None = None, **fields: Any) -> httpx.Response:
    body = {**({} if cost is None else {"estimated_cost": cost}), **fields}
    return send(app, "/budgets/reserve", body)


def settle(app: Application, held: Mapping[str, Any], **body: Any) -> httpx.Response:
    return send(app, f"/budgets/reservations/{held['reservation_id']}/settle", body)


def release(app: Application, held: Mapping[str, Any]) -> httpx.Response:
    return send(app, f"/budgets/reservations/{held['reservation_id']}/release", {})


def assert_counted(app: Application) -> None:
    """Every counter is what the ledger and the open reservations add up to."""
    with snapshot(app.database) as session:
        difference = first_difference(session, app.organization_id)
    assert difference is None, difference
