"""A new budget sums most of the ledger before it holds the organization, and misses nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.budgets import define
from llm_cost_ops.server.budgets.plan import creation
from llm_cost_ops.server.db.session import snapshot, write
from llm_cost_ops.server.ledger import ahead as ahead_module
from llm_cost_ops.server.ledger import recount as recount_module
from llm_cost_ops.server.ledger.ahead import Ahead
from llm_cost_ops.server.ledger.scoped import series
from llm_cost_ops.server.spend import store
from llm_cost_ops.server.spend.counters import Counters, Place
from tests.server.budgets.test_rules import Timed, at_noon, spend
from tests.support.application import Application
from tests.support.budgets import assert_counted, make_budget
from tests.support.calls import JSON, accepted

__all__ = ["at_noon"]
LABELLED = {"name": "x", "amount": 5, "scope": {"metadata.k": "v"}}
MINE = {"metadata": {"k": "v"}}


def looked(app: Application, fields: Any) -> tuple[Ahead, Actor]:
    actor = Actor(app.organization_id, None, None, app.clock.micros())
    with snapshot(app.database) as session:
        ahead = define.ahead_of(session, lambda s: creation(s, fields, actor), actor.now_us)
    return ahead, actor


def created(app: Application, fields: Any, ahead: Ahead, actor: Actor) -> Any:
    """The money and requests that a new budget begins with."""
    with write(app.database) as session:
        made = define.create(session, fields, actor, ahead)
    with snapshot(app.database) as session:
        (budget,) = (b for b in store.load(session, app.organization_id) if b.id == made.id)
        window = budget.counted_in(actor.now_us)
        assert window is not None
        place = Place(made.id, window.start_us)
        counters = Counters(session, app.organization_id)
        counters.look([place])
        counter = counters.at(place)
    assert_counted(app)
    return counter.spent_e10 // 10**10, counter.requests


@pytest.fixture
def whole_sums(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows when a budget is counted from the whole of its periods."""
    made: list[int] = []
    known = series

    def noting(*args: Any, **named: Any) -> Any:
        if not named["from_calls"]:  # with which it is only proved
            made.append(1)
        return known(*args, **named)

    monkeypatch.setattr(recount_module, "series", noting)
    return made


@pytest.mark.parametrize("fields", [{}, {"period": "annual"}, {"rolling": True}])
def test_what_is_recorded_after_the_look_is_in_the_sum(
    at_noon: Timed, whole_sums: list[int], fields: dict[str, Any]
) -> None:
    app, clock = at_noon
    early = spend(app, 1, **MINE)
    spend(app, 10, metadata={"k": "other"})
    ahead, actor = looked(app, {**LABELLED, **fields})
    spend(app, 2, **MINE)
    earlier = (clock.current - timedelta(days=3)).isoformat()
    spend(app, 4, timestamp=earlier, **MINE)
    assert app.delete(f"/api/v1/costs/{early['id']}").status_code == 204
    spend(app, 20, metadata={"k": "other"})
    whole_sums.clear()
    assert created(app, {**LABELLED, **fields}, ahead, actor) in {(6, 2), (2, 1)}
    assert whole_sums == []


def test_a_budget_of_other_calls_than_were_looked_at_is_summed_whole(
    at_noon: Timed, whole_sums: list[int]
) -> None:
    app, _ = at_noon
    spend(app, 1, **MINE)
    spend(app, 2, metadata={"k": "other"})
    ahead, actor = looked(app, LABELLED)
    other = {**LABELLED, "scope": {"metadata.k": "other"}}
    assert created(app, other, ahead, actor) == (2, 1)
    assert len(whole_sums) == 1


def test_a_call_that_is_labelled_anew_after_the_look_counts_where_it_belongs(
    at_noon: Timed,
) -> None:
    """Which changes no number of rows."""
    app, _ = at_noon
    out, into = spend(app, 1, **MINE), spend(app, 4)
    ahead, actor = looked(app, LABELLED)
    for call, labels in ((out, {"metadata": {}}), (into, MINE)):
        path = f"/api/v1/costs/{call['id']}"
        accepted(app.request("PATCH", path, content=dumps(labels), headers=JSON), 200)
    assert created(app, LABELLED, ahead, actor) == (4, 1)


def test_too_many_spans_that_have_changed_are_summed_with_the_rest(
    at_noon: Timed, whole_sums: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, clock = at_noon
    monkeypatch.setattr(ahead_module, "MAX_RUNS", 2)
    spend(app, 1, **MINE)
    ahead, actor = looked(app, LABELLED)
    for hours in (3, 2, 1):
        at = (clock.current - timedelta(hours=hours)).isoformat()
        spend(app, 1, timestamp=at, **MINE)
    whole_sums.clear()
    assert created(app, LABELLED, ahead, actor) == (4, 4)
    assert len(whole_sums) == 1


def test_a_parent_is_summed_ahead_with_its_child_and_errors_are_left_to_the_making(
    at_noon: Timed, whole_sums: list[int]
) -> None:
    app, _ = at_noon
    parent = make_budget(app, amount=9, scope={"metadata.p": "v"})
    spend(app, 1, **MINE)
    child = {**LABELLED, "parent_id": parent["id"]}
    ahead, actor = looked(app, child)
    whole_sums.clear()
    assert created(app, child, ahead, actor) == (1, 1)
    assert whole_sums == []
    empty, _ = looked(app, {**child, "amount": 5})  # which is more than is left of the parent
    assert empty.__dict__ == Ahead().__dict__


def test_the_operation_looks_ahead(at_noon: Timed, whole_sums: list[int]) -> None:
    app, _ = at_noon
    spend(app, 1, **MINE)
    assert make_budget(app, **LABELLED)["spent"] == 1
    assert whole_sums == []
    odd = {"period": "custom", "start_date": "2027-03-01", "end_date": "2027-03-31"}
    assert make_budget(app, **{**LABELLED, **odd})["spent"] == 1
    assert_counted(app)


def test_a_change_and_a_removal_look_ahead(at_noon: Timed, whole_sums: list[int]) -> None:
    app, _ = at_noon
    parent = make_budget(app, amount=9, scope={"metadata.p": "v"})
    child = make_budget(app, **LABELLED, parent_id=parent["id"])
    spend(app, 1, **MINE)
    spend(app, 2, metadata={"k": "other"})
    path = f"/api/v1/budgets/{child['id']}"
    other = dumps({"scope": {"metadata.k": "other"}})
    assert accepted(app.request("PATCH", path, content=other, headers=JSON), 200)["spent"] == 2
    above = f"/api/v1/budgets/{parent['id']}"
    assert app.get(above).json()["spent"] == 2
    assert_counted(app)
    assert app.delete(path).status_code == 204
    assert app.get(above).json()["spent"] == 0
    assert whole_sums == []
    assert_counted(app)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_budget_that_is_not_there_is_no_reason_to_look(at_noon: Timed, method: str) -> None:
    app, _ = at_noon
    found = app.request(method, "/api/v1/budgets/bud_none", content=b"{}", headers=JSON)
    assert found.status_code == 404
