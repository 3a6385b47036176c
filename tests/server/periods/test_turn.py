"""Books are added up without a time limit, and once at a time for an organization."""

from __future__ import annotations

import httpx
from fastapi.routing import APIRoute

from llm_cost_ops.server.periods.routes import router
from llm_cost_ops.server.periods.turn import adding_up
from llm_cost_ops.server.pricing.change import Untimed
from tests.server.periods.books import Books
from tests.support.calls import accepted, error, record, usage

OCTOBER, NOVEMBER = "2026-10", "2026-11"


def test_no_time_limit_cuts_an_adding_up() -> None:
    untimed = {
        route.operation_id
        for route in router.routes
        if isinstance(route, APIRoute) and Untimed in route.dependencies
    }
    assert untimed == {"closePeriod", "reopenPeriod", "getStatement"}


def test_a_second_adding_up_waits_for_the_first(quick: Books) -> None:
    record(quick.app, usage("o", timestamp="2026-10-05T12:00:00Z"))
    other = Books(quick.app.another(), quick.clock)
    with adding_up(quick.app.database, quick.app.organization_id):
        assert accepted(quick.close(OCTOBER), 202)["status"] == "closing"
        refused = asked(quick, NOVEMBER)
        error(refused, 503, "SERVICE_UNAVAILABLE")
        assert int(refused.headers["Retry-After"]) > 0
        assert asked(other, OCTOBER).status_code == 200, "of another organization"
    assert accepted(quick.app.get(f"/api/v1/periods/{OCTOBER}"))["status"] == "closing"
    assert accepted(quick.close(OCTOBER))["status"] == "closed", "it goes on"
    with adding_up(quick.app.database, quick.app.organization_id):
        assert asked(quick, OCTOBER).status_code == 200, "it is stored"
        assert accepted(quick.close(OCTOBER))["status"] == "closed"


def asked(books: Books, month: str) -> httpx.Response:
    return books.app.get(f"/api/v1/periods/{month}/statement")
