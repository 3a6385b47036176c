"""Projects and cost centres over HTTP."""

from __future__ import annotations

from functools import partial

from fastapi import Depends, Query, Request
from starlette.responses import Response

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.money import from_e10
from llm_cost_ops.server.access.change import KEYED, Raw, change, changed
from llm_cost_ops.server.access.deps import require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.admin import bodies
from llm_cost_ops.server.admin.lists import paged
from llm_cost_ops.server.admin.wire import INSTANT, MAYBE, MAYBE_INSTANT, TEXT, shape
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers, list_of
from llm_cost_ops.server.http.pagination import PARAMETERS, paging_parameters
from llm_cost_ops.server.http.routing import refuse_unknown, room_router
from llm_cost_ops.server.identity import cost_centers, organizations, projects
from llm_cost_ops.server.identity.cost_centers import CostCenter
from llm_cost_ops.server.identity.projects import Project, Revenue

router = room_router("/api/v1", "projects")

Reader = Depends(require("read:costs"))
Writer = Depends(require("write:organizations"))
PROJECT_SCHEMA = shape(id=TEXT, name=MAYBE, created_at=INSTANT)
REVENUE_SCHEMA = shape(period=TEXT, amount={"type": "number"}, currency=TEXT)
CENTER_SCHEMA = shape(
    id=TEXT, name=TEXT, owner=MAYBE, metadata={"type": "object"},
    created_at=INSTANT, updated_at=MAYBE_INSTANT,
)  # fmt: skip


@router.get(
    "/projects",
    operation_id="listProjects",
    dependencies=[Depends(paging_parameters)],
    responses=answers(200, list_of(PROJECT_SCHEMA), "By id."),
)
def list_projects(
    request: Request,
    principal: Principal = Reader,
    search: str | None = Query(default=None, max_length=255),
) -> Response:
    """The projects that calls have named."""
    refuse_unknown(request, PARAMETERS | {"search", "organization_id"})
    organization_id = principal.organization_id
    return paged(
        request,
        f"{organization_id} projects {search}",
        partial(projects.list_projects, organization_id=organization_id, search=search),
        lambda _session, found: [_project(each) for each in found],
    )


@router.patch(
    "/projects/{project_id}",
    operation_id="changeProject",
    openapi_extra=KEYED,
    responses=answers(200, PROJECT_SCHEMA, "The project."),
)
def change_project(
    project_id: str,
    request: Request,
    body: bodies.ChangedProject,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Give a project a name; calls go on naming it by its id."""

    def work(session: WriteSession, actor: Actor) -> dict[str, object]:
        return _project(projects.rename_project(session, actor, project_id, body.name))

    return changed(request, principal, raw, body.organization_id, work)


@router.get(
    "/projects/{project_id}/revenue",
    operation_id="listProjectRevenue",
    responses=answers(200, list_of(REVENUE_SCHEMA), "By month."),
)
def list_revenue(project_id: str, request: Request, principal: Principal = Reader) -> Response:
    """What a project earned, month by month."""
    with read(deps.database(request)) as session:
        found = projects.revenue_of(session, principal.organization_id, project_id)
    paging = {"has_more": False, "next_cursor": None, "pagination": {"count": len(found)}}
    return json_response({"data": [_revenue(each) for each in found], **paging})


@router.put(
    "/projects/{project_id}/revenue",
    operation_id="setProjectRevenue",
    openapi_extra=KEYED,
    responses=answers(200, REVENUE_SCHEMA, "What is kept."),
)
def set_revenue(
    project_id: str,
    request: Request,
    body: bodies.Revenue,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Keep what a project earned in a month, in the organization's currency unless another is
    named, so that its cost can be set beside it."""

    def work(session: WriteSession, actor: Actor) -> dict[str, object]:
        own = organizations.get_organization(session, actor.organization_id)
        currency = body.currency or (own.currency if own else organizations.DEFAULT_CURRENCY)
        made = projects.set_revenue(
            session,
            actor,
            project_id,
            period=body.period,
            amount=body.amount,
            currency=currency,
        )
        return _revenue(made)

    return changed(request, principal, raw, body.organization_id, work)


@router.get(
    "/cost-centers",
    operation_id="listCostCenters",
    tags=["cost-centers"],
    dependencies=[Depends(paging_parameters)],
    responses=answers(200, list_of(CENTER_SCHEMA), "By code."),
)
def list_cost_centers(request: Request, principal: Principal = Reader) -> Response:
    """The cost centres of the organization."""
    refuse_unknown(request, PARAMETERS | {"organization_id"})
    organization_id = principal.organization_id
    return paged(
        request,
        f"{organization_id} cost centers",
        partial(cost_centers.list_cost_centers, organization_id=organization_id),
        lambda _session, found: [_center(each) for each in found],
    )


@router.get(
    "/cost-centers/{cost_center_id}",
    operation_id="getCostCenter",
    tags=["cost-centers"],
    responses=answers(200, CENTER_SCHEMA, "The cost centre."),
)
def get_cost_center(
    cost_center_id: str, request: Request, principal: Principal = Reader
) -> Response:
    """One cost centre by its code."""
    with read(deps.database(request)) as session:
        own = principal.organization_id
        return json_response(_center(cost_centers.known_cost_center(session, own, cost_center_id)))


@router.post(
    "/cost-centers",
    status_code=201,
    operation_id="createCostCenter",
    tags=["cost-centers"],
    openapi_extra=KEYED,
    responses=answers(201, CENTER_SCHEMA, "The cost centre; its id is the code."),
)
def create_cost_center(
    request: Request, body: bodies.NewCostCenter, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Make a cost centre."""

    def work(session: WriteSession, actor: Actor) -> dict[str, object]:
        made = cost_centers.create_cost_center(
            session,
            actor,
            code=body.code,
            name=body.name,
            owner=body.owner,
            metadata=body.metadata,
        )
        return _center(made)

    return changed(request, principal, raw, body.organization_id, work, 201)


@router.patch(
    "/cost-centers/{cost_center_id}",
    operation_id="changeCostCenter",
    tags=["cost-centers"],
    openapi_extra=KEYED,
    responses=answers(200, CENTER_SCHEMA, "The cost centre."),
)
def change_cost_center(
    cost_center_id: str,
    request: Request,
    body: bodies.ChangedCostCenter,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Change a cost centre; what is not named stays."""
    changes = body.model_dump(exclude_unset=True, exclude={"organization_id"})

    def work(session: WriteSession, actor: Actor) -> dict[str, object]:
        return _center(cost_centers.update_cost_center(session, actor, cost_center_id, changes))

    return changed(request, principal, raw, body.organization_id, work)


@router.delete(
    "/cost-centers/{cost_center_id}",
    status_code=204,
    operation_id="deleteCostCenter",
    tags=["cost-centers"],
    openapi_extra=KEYED,
)
def delete_cost_center(
    cost_center_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Remove a cost centre."""

    def work(session: WriteSession, actor: Actor) -> Response:
        cost_centers.remove_cost_center(session, actor, cost_center_id)
        return Response(status_code=204)

    return change(request, principal, raw, work)


def _project(found: Project) -> dict[str, object]:
    made_at = format_micros(found.created_at)
    return {"id": found.id, "name": found.name, "created_at": made_at}


def _revenue(found: Revenue) -> dict[str, object]:
    return {
        "period": found.period,
        "amount": from_e10(found.amount_e10),
        "currency": found.currency,
    }


def _center(found: CostCenter) -> dict[str, object]:
    changed = found.updated_at
    return {
        "id": found.id,
        "name": found.name,
        "owner": found.owner,
        "metadata": found.metadata,
        "created_at": format_micros(found.created_at),
        "updated_at": None if changed is None else format_micros(changed),
    }
