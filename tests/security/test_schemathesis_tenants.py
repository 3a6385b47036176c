"""Schemathesis with the credentials of two organizations on every operation: it finds nothing, and
it finds each hole that is made on purpose."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from sqlalchemy import select, update

from llm_cost_ops.server import app as app_module
from llm_cost_ops.server.access.deps import require
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.problems import not_found
from llm_cost_ops.server.http.routing import Room
from llm_cost_ops.server.identity.tables import cost_centers
from llm_cost_ops.server.ledger.tables import usage_records
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from llm_cost_ops.server.spend.tables import budgets
from tests.support.application import Application, running
from tests.support.tenants import CANARY, SPENT, examined

holes = APIRouter(prefix="/api/v1/holes")


@holes.get("/budgets/{budget_id}", operation_id="holeInReading")
def budget(
    budget_id: str, request: Request, _: object = Depends(require("read:budgets"))
) -> dict[str, str]:
    with read(deps.database(request)) as session:
        query = select(budgets.c.name).where(budgets.c.id == budget_id)
        return {"name": session.execute(query).scalar_one_or_none() or ""}


@holes.get("/costs", operation_id="holeInAFilter")
def costs(
    request: Request, project_id: str = "", _: object = Depends(require("read:costs"))
) -> dict[str, list[str]]:
    with read(deps.database(request)) as session:
        query = select(usage_records.c.cost_e10).where(usage_records.c.project_id == project_id)
        return {"costs": [f"{e10 / 10**10:.2f}" for e10 in session.execute(query).scalars()]}


@holes.put("/cost-centers/{cost_center_id}", operation_id="holeInWriting")
def cost_center(
    cost_center_id: str,
    request: Request,
    _: object = Depends(require("write:organizations")),
) -> None:
    with write(deps.database(request)) as session:
        chosen = cost_centers.c.id == cost_center_id
        session.execute(update(cost_centers).where(chosen).values(owner="mine"))
    raise not_found("Cost center not found")


@holes.get("/open", operation_id="holeInTheDoor")
def nobody_asked() -> dict[str, str]:
    return {"status": "open"}


HOLES = {str(route.operation_id) for route in holes.routes if isinstance(route, APIRoute)}


@pytest.fixture
def with_holes(
    sqlite_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Application]:
    rooms = (*app_module.ROOMS, Room("holes", router=holes))
    monkeypatch.setattr(app_module, "ROOMS", rooms)
    with running(Settings(database=sqlite_settings)) as made:
        yield made


@pytest.mark.slow
@pytest.mark.check(1)
@pytest.mark.check(3)
def test_nothing_of_another_organization_and_nothing_without_a_credential(
    sqlite_application: Application,
) -> None:
    tenants = examined(sqlite_application)
    assert tenants.found == []
    assert len(tenants.proven) >= 150, sorted(tenants.proven)


def test_the_examination_finds_each_hole(with_holes: Application) -> None:
    """By what each tells: another's name, another's amount, another's changed row, an open door."""
    found = examined(with_holes, only=HOLES).found
    assert len(found) >= len(HOLES) == 4
    told = "\n\n".join(found)
    assert f'holeInReading: tells of another\n\n{{"name":"{CANARY}"}}' in told
    assert any(line.startswith("holeInAFilter: tells") and SPENT in line for line in found)
    assert "rows of the first organization have changed: cost_centers" in found
    assert any(line.startswith("holeInTheDoor") for line in found)
    changed = [line for line in found if line.startswith("rows")]
    assert len(changed) == 1
