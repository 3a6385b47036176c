"""Budgets over HTTP: their definitions, where they stand, changes of their amounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from llm_cost_ops.core.budget import BudgetError
from llm_cost_ops.server.access.change import KEYED, Raw, actor_of, change
from llm_cost_ops.server.access.deps import own_fields, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.budgets import adjust, define, openapi, plan, wire
from llm_cost_ops.server.budgets.allowed import check_writable, hidden, is_readable
from llm_cost_ops.server.budgets.current import current
from llm_cost_ops.server.budgets.plan import BudgetUnknown
from llm_cost_ops.server.budgets.standings import standings, status
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read, report
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.edge import untimed
from llm_cost_ops.server.http.pagination import (
    PARAMETERS,
    counted_page,
    page_request,
    paging_parameters,
    rows_before,
)
from llm_cost_ops.server.http.routing import refuse_unknown
from llm_cost_ops.server.ledger.ahead import Ahead
from llm_cost_ops.server.ledger.routes import Body
from llm_cost_ops.server.spend import store
from llm_cost_ops.server.spend.index import Index
from llm_cost_ops.server.spend.lock import hold_alone

Reader = Depends(require("read:budgets", conditions="applied"))
WholeReader = Depends(require("read:budgets"))
Writer = Depends(require("write:budgets", conditions="applied"))
_FILTERS = ("name", "enforcement", "period", "parent_id", "team_id", "project_id", "user_id")

router = APIRouter(prefix="/api/v1/budgets", tags=["budgets"])


@router.post(
    "",
    status_code=201,
    operation_id="createBudget",
    openapi_extra={**KEYED, **openapi.NEW_BUDGET},
    responses=openapi.MADE,
)
def create_budget(
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Make a budget; it begins with what its current period has spent already."""
    fields = own_fields(principal, body)

    def planned(session: ReadSession, actor: Actor) -> plan.Creation:
        return plan.creation(session, fields, actor)

    def work(session: WriteSession, actor: Actor, ahead: Ahead) -> Response:
        made = define.create(session, fields, actor, ahead)
        check_writable(principal, made)
        return json_response(_shown(session, principal, actor.now_us, made.id), 201)

    return _counted(request, principal, raw, planned, work)


@router.get(
    "",
    operation_id="listBudgets",
    responses=openapi.BUDGETS,
    dependencies=[Depends(paging_parameters)],
)
def list_budgets(
    request: Request,
    principal: Principal = Reader,
    name: str | None = None,
    enforcement: str | None = None,
    period: str | None = None,
    parent_id: str | None = None,
    team_id: str | None = None,
    project_id: str | None = None,
    user_id: str | None = None,
) -> Response:
    """Budgets in the order in which they were made, each with where it stands."""
    refuse_unknown(request, PARAMETERS | set(_FILTERS) | {"organization_id"})
    values = (name, enforcement, period, parent_id, team_id, project_id, user_id)
    wanted = {n: v for n, v in zip(_FILTERS, values, strict=True) if v is not None}
    subject = f"{principal.organization_id} budgets {sorted(wanted.items())}"
    page = page_request(request.query_params, subject, (int,))
    now_us = deps.clock(request).micros()
    with read(deps.database(request)) as session:
        rows = store.rows(session, principal.organization_id)
        index = Index(1, map(store.budget_of, rows))
        unseen = hidden(principal.reach, index, index.budgets.values())
        rows = [row for row in rows if row["id"] not in unseen]
        matching = (row for row in rows if _matches(index, row, wanted))
        start = rows_before(page)
        found = list(islice(matching, start, start + page.limit + 1))
        budgets = [index.budgets[row["id"]] for row in found]
        where = standings(session, budgets, now_us)
        shown = [wire.budget_row(index.budgets[r["id"]], r, where[r["id"]]) for r in found]
    return json_response(counted_page(shown, page, subject))


def _matches(index: Index, row: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    budget = index.budgets[row["id"]]
    scope = dict(budget.scope.dimensions)
    for name, value in wanted.items():
        if name in ("name", "enforcement", "period", "parent_id"):
            if getattr(budget, name) != value:
                return False
        elif value not in scope.get(name, ()):
            return False
    return True


@router.get("/current", operation_id="getCurrentBudget", responses=openapi.BUDGET)
def get_current(request: Request, principal: Principal = WholeReader) -> Response:
    """The organization's own budget in its current period; without one all budgets together,
    exceeded when any is."""
    with read(deps.database(request)) as session:
        now_us = deps.clock(request).micros()
        return json_response(current(session, principal.organization_id, now_us))


@router.get("/{budget_id}", operation_id="getBudget", responses=openapi.BUDGET)
def get_budget(budget_id: str, request: Request, principal: Principal = Reader) -> Response:
    """One budget with where it stands."""
    with read(deps.database(request)) as session:
        now_us = deps.clock(request).micros()
        return json_response(_shown(session, principal, now_us, budget_id))


@router.get("/{budget_id}/status", operation_id="getBudgetStatus", responses=openapi.STATUS)
def get_status(budget_id: str, request: Request, principal: Principal = Reader) -> Response:
    """Burn rate, projected spend with its interval, when the limit is reached and how likely."""
    with read(deps.database(request)) as session:
        index, row = _found(session, principal, budget_id)
        now_us = deps.clock(request).micros()
        return json_response(status(session, index, index.budgets[budget_id], row, now_us))


@router.put(
    "/{budget_id}",
    operation_id="updateBudget",
    openapi_extra={**KEYED, **openapi.CHANGED_BUDGET},
    responses=openapi.CHANGED,
)
@router.patch(
    "/{budget_id}",
    operation_id="changeBudget",
    openapi_extra={**KEYED, **openapi.CHANGED_BUDGET},
    responses=openapi.CHANGED,
)
def update_budget(
    budget_id: str,
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Change a budget; what is not named stays."""
    fields = own_fields(principal, body)

    def planned(session: ReadSession, actor: Actor) -> plan.Change:
        return plan.change(session, budget_id, fields, actor)

    def work(session: WriteSession, actor: Actor, ahead: Ahead) -> Response:
        _check_writable(session, principal, budget_id)
        made = define.update(session, budget_id, fields, actor, ahead)
        check_writable(principal, made)
        return json_response(_shown(session, principal, actor.now_us, budget_id))

    return _counted(request, principal, raw, planned, work)


@router.put(
    "/{budget_id}/enforcement",
    operation_id="setBudgetEnforcement",
    openapi_extra={**KEYED, **openapi.ENFORCEMENT},
    responses=openapi.BUDGET,
)
def set_enforcement(
    budget_id: str,
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Change how a budget is enforced."""
    fields = own_fields(principal, body)

    def work(session: WriteSession, actor: Actor) -> Response:
        for name in fields:
            if name not in ("enforcement", "mode", "throttle"):
                raise BudgetError("is not a known field", field=name)
        _check_writable(session, principal, budget_id)
        define.update(session, budget_id, fields, actor)
        return json_response(_shown(session, principal, actor.now_us, budget_id))

    return _changed(request, principal, raw, work)


@router.delete("/{budget_id}", status_code=204, operation_id="deleteBudget", openapi_extra=KEYED)
def delete_budget(
    budget_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Remove a budget; the ledger stays as it is."""

    def planned(session: ReadSession, actor: Actor) -> plan.Removal:
        return plan.removal(session, budget_id, actor)

    def work(session: WriteSession, actor: Actor, ahead: Ahead) -> Response:
        _check_writable(session, principal, budget_id)
        define.remove(session, budget_id, actor, ahead)
        return Response(status_code=204)

    return _counted(request, principal, raw, planned, work)


@router.post(
    "/{budget_id}/adjustments",
    status_code=201,
    operation_id="adjustBudget",
    openapi_extra={**KEYED, **openapi.ADJUSTMENT},
    responses=openapi.ADJUSTED,
)
def adjust_budget(
    budget_id: str,
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Increase, decrease or transfer the amount of the current period, with a reason."""
    fields = own_fields(principal, body)

    def work(session: WriteSession, actor: Actor) -> Response:
        _check_writable(session, principal, budget_id)
        changed = adjust.adjust(session, budget_id, fields, actor)
        for budget in changed:
            check_writable(principal, budget)
        shown = [_shown(session, principal, actor.now_us, budget.id) for budget in changed]
        return json_response({**shown[0], "budgets": shown}, 201)

    return _changed(request, principal, raw, work)


@router.get(
    "/{budget_id}/adjustments",
    operation_id="listBudgetAdjustments",
    responses=openapi.ADJUSTMENTS,
)
def list_adjustments(budget_id: str, request: Request, principal: Principal = Reader) -> Response:
    """What was added to or taken from a budget, newest first: how much, by whom, why."""
    with read(deps.database(request)) as session:
        _found(session, principal, budget_id)
        rows = store.changes(session, principal.organization_id, budget_id)
    listed = {"data": [wire.change_row(row) for row in rows], "has_more": False}
    return json_response({**listed, "next_cursor": None, "pagination": {"count": len(rows)}})


def _found(
    session: ReadSession, principal: Principal, budget_id: str
) -> tuple[Index, Mapping[str, Any]]:
    rows = {row["id"]: row for row in store.rows(session, principal.organization_id)}
    index = Index(1, map(store.budget_of, rows.values()))
    budget = index.budgets.get(budget_id)
    if budget is None or not is_readable(principal.reach, index, budget):
        raise BudgetUnknown("Budget not found")
    return index, rows[budget_id]


def _check_writable(session: ReadSession, principal: Principal, budget_id: str) -> None:
    """Raises BudgetUnknown, and Problem 403 for a budget that is not the principal's to change."""
    index, _ = _found(session, principal, budget_id)
    check_writable(principal, index.budgets[budget_id])


def _shown(
    session: ReadSession, principal: Principal, now_us: int, budget_id: str
) -> dict[str, Any]:
    index, row = _found(session, principal, budget_id)
    budget = index.budgets[budget_id]
    where = standings(session, [budget], now_us)[budget_id]
    return wire.budget_row(budget, row, where)


def _counted(
    request: Request,
    principal: Principal,
    raw: bytes,
    planned: Callable[[ReadSession, Actor], plan.Creation | plan.Change | plan.Removal],
    work: Callable[[WriteSession, Actor, Ahead], Response],
) -> Response:
    """A change for which the ledger of whole periods may have to be summed, mostly before the
    budgets are held."""
    untimed(request)
    looking = actor_of(request, principal)
    with report(deps.database(request)) as seen:
        ahead = define.ahead_of(seen, lambda session: planned(session, looking), looking.now_us)

    return _changed(request, principal, raw, lambda session, actor: work(session, actor, ahead))


def _changed(
    request: Request,
    principal: Principal,
    raw: bytes,
    work: Callable[[WriteSession, Actor], Response],
) -> Response:
    untimed(request)  # whoever holds the budgets may sum the ledger of a period
    return change(request, principal, raw, work, hold=hold_alone)
