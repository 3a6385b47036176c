"""The ledger over HTTP: labels and removal of calls, imports, re-rating, unpriced calls, proof."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.instant import parse_instant, to_micros
from llm_cost_ops.core.jsontext import JsonError
from llm_cost_ops.core.period import ALL_TIME, time_zone, window_between
from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.server.access.change import KEYED, Raw
from llm_cost_ops.server.access.deps import own_fields, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.audit import record as audit
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession, read, snapshot
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import decode, json_response
from llm_cost_ops.server.http.pagination import (
    PARAMETERS,
    counted_page,
    page_request,
    paging_parameters,
    rows_before,
)
from llm_cost_ops.server.http.request_id import request_id
from llm_cost_ops.server.http.routing import refuse_unknown
from llm_cost_ops.server.ledger import amend, imports, openapi, rerate, unpriced
from llm_cost_ops.server.ledger.reached import reaches
from llm_cost_ops.server.ledger.rerate import Selection
from llm_cost_ops.server.ledger.verify import verify, wire
from llm_cost_ops.server.pricing.change import Untimed, change
from llm_cost_ops.server.pricing.deps import prices as prices_of
from llm_cost_ops.server.pricing.resolve import Prices
from llm_cost_ops.server.pricing.routes import Change

Reader = Depends(require("read:costs"))
Writer = Depends(require("write:costs"))
Changer = Depends(require("write:costs", conditions="applied"))
PriceWriter = Depends(require("write:pricing"))
MAX_IMPORTS = 1_000
_UNPRICED_PARAMETERS = PARAMETERS | {"start_date", "end_date", "timezone", "provider", "model"}

router = APIRouter(prefix="/api/v1", tags=["ledger"])


async def json_object(request: Request) -> dict[str, object]:
    """The body as a JSON object with exact numbers. Raises JsonError."""
    value = decode(await request.body())
    if not isinstance(value, dict):
        raise JsonError("The body must be a JSON object.")
    return cast("dict[str, object]", value)


Body = Depends(json_object)


@router.patch(
    "/costs/{record_id}",
    operation_id="updateCost",
    openapi_extra={**KEYED, **openapi.LABELS},
    responses=openapi.RELABELLED,
)
@router.put(
    "/costs/{record_id}",
    operation_id="replaceCostLabels",
    openapi_extra={**KEYED, **openapi.LABELS},
    responses=openapi.RELABELLED,
)
def update_cost(
    record_id: str,
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Changer,
) -> Response:
    """Change metadata or tags of a call; audited."""
    organization_id, by = principal.organization_id, _by(request, principal)
    labels = own_fields(principal, body)

    def work(session: WriteSession) -> Response:
        _check_reached(session, principal, record_id)
        return json_response(amend.relabel(session, organization_id, record_id, labels, **by))

    return change(request, principal, raw, work)


@router.delete(
    "/costs/{record_id}",
    status_code=204,
    operation_id="deleteCost",
    openapi_extra=KEYED,
    responses=openapi.ARCHIVED,
)
def delete_cost(
    record_id: str, request: Request, raw: bytes = Raw, principal: Principal = Changer
) -> Response:
    """Take a call back by a reversing entry."""

    def work(session: WriteSession) -> Response:
        _check_reached(session, principal, record_id)
        amend.remove(session, principal.organization_id, record_id, **_by(request, principal))
        return Response(status_code=204)

    return change(request, principal, raw, work)


@router.post(
    "/imports",
    status_code=201,
    operation_id="startImport",
    openapi_extra={**KEYED, **openapi.NEW_IMPORT},
    responses=openapi.STARTED,
)
def start_import(
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Begin an import; send its records with `?import_id=`."""
    body = own_fields(principal, body)
    for name in body:
        if name not in ("format", "name"):
            raise UsageError(name, "is not a known field")
    source_format, name = _text(body, "format", 64), _text(body, "name", 255)

    def work(session: WriteSession) -> Response:
        shown = imports.start(
            session,
            principal.organization_id,
            source_format=source_format or "api",
            name=name,
            actor_id=principal.key_id,
            now_us=deps.clock(request).micros(),
        )
        return json_response(shown, 201)

    return change(request, principal, raw, work)


@router.get("/imports", operation_id="listImports", responses=openapi.IMPORTS)
def list_imports(
    request: Request,
    principal: Principal = Reader,
    limit: int = Query(100, ge=1, le=MAX_IMPORTS),
    cursor: str | None = None,
) -> Response:
    """Imports, newest first."""
    refuse_unknown(request, ("limit", "cursor"))
    with read(deps.database(request)) as session:
        page = imports.listing(session, principal.organization_id, limit=limit, before=cursor)
    return json_response(page)


@router.get("/imports/{import_id}", operation_id="getImport", responses=openapi.IMPORT)
def get_import(import_id: str, request: Request, principal: Principal = Reader) -> Response:
    """One import with its counts."""
    with read(deps.database(request)) as session:
        return json_response(imports.get(session, principal.organization_id, import_id))


@router.post(
    "/imports/{import_id}/complete",
    operation_id="completeImport",
    openapi_extra=KEYED,
    responses=openapi.IMPORT,
)
def complete_import(
    import_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Mark an import complete."""

    def work(session: WriteSession) -> Response:
        return json_response(imports.finish(session, principal.organization_id, import_id))

    return change(request, principal, raw, work)


@router.post(
    "/imports/{import_id}/undo",
    operation_id="undoImport",
    openapi_extra=KEYED,
    responses=openapi.UNDONE,
    dependencies=[Untimed],
)
def undo_import(
    import_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Take back every call of an import by reversing entries."""
    organization_id, by = principal.organization_id, _by(request, principal)

    def work(session: WriteSession) -> Response:
        return json_response(imports.undo(session, organization_id, import_id, **by))

    return change(request, principal, raw, work)


@router.post(
    "/pricing/rerate",
    operation_id="rerate",
    tags=["pricing"],
    openapi_extra={**KEYED, **openapi.SELECTION},
    responses=openapi.RERATED,
    dependencies=[Untimed],
)
def rerate_calls(
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = PriceWriter,
) -> Response:
    """Preview (the default) or apply today's prices to calls of the past."""
    body = own_fields(principal, body)
    dry_run = body.get("dry_run", True)
    if not isinstance(dry_run, bool):
        raise UsageError("dry_run", "must be true or false")
    selection = _selection(principal.organization_id, body)
    prices, by = prices_of(request), _by(request, principal)
    if dry_run:
        with snapshot(deps.database(request)) as session:
            report = rerate.preview(session, selection, prices)
        return json_response({"dry_run": True, **report.wire()})

    def work(session: WriteSession) -> Response:
        return json_response({"dry_run": False, **_apply(session, selection, prices, by)})

    return change(request, principal, raw, work)


def _apply(
    session: WriteSession, selection: Selection, prices: Prices, by: Mapping[str, Any]
) -> dict[str, object]:
    report = rerate.rerate(
        session, selection, prices, actor_id=by["actor_id"], now_us=by["now_us"]
    ).wire()
    audit.record(
        session,
        organization_id=selection.organization_id,
        action="pricing.rerate",
        resource_type="pricing",
        resource_id=str(report["rerate_id"]),
        after=report,
        **by,
    )
    return report


@router.get(
    "/pricing/unpriced",
    operation_id="listUnpriced",
    tags=["pricing"],
    responses=openapi.UNPRICED,
    dependencies=[Depends(paging_parameters)],
)
def list_unpriced(
    request: Request,
    principal: Principal = Reader,
    start_date: str | None = None,
    end_date: str | None = None,
    timezone: str = "UTC",
    provider: str | None = None,
    model: str | None = None,
) -> Response:
    """Providers and models whose calls wait for a price, most calls first."""
    refuse_unknown(request, _UNPRICED_PARAMETERS)
    window = window_between(start_date, end_date, time_zone(timezone))
    asked = (start_date, end_date, timezone, provider, model)
    subject = f"{principal.organization_id} unpriced {asked}"
    page = page_request(request.query_params, subject, (int,))
    with read(deps.database(request)) as session:
        found = unpriced.listing(
            session,
            principal.organization_id,
            window,
            provider=provider and (provider_id(provider) or provider),
            model=model,
            offset=rows_before(page),
            limit=page.limit + 1,
        )
    return json_response(counted_page(found, page, subject))


@router.get(
    "/ledger/verify",
    operation_id="verifyLedger",
    responses=openapi.PROOF,
    dependencies=[Untimed],
)
def verify_ledger(request: Request, principal: Principal = Reader) -> Response:
    """Prove that the rollups equal the ledger to the last digit."""
    with snapshot(deps.database(request)) as session:
        return json_response(wire(verify(session, principal.organization_id)))


def backfill(request: Request) -> Change:
    """What a new price does in its own transaction: it prices the calls that waited for it."""
    prices = prices_of(request)

    def after_change(
        session: WriteSession, actor: Actor, price: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        start, end = price.get("effective_date"), price.get("end_date")
        selection = Selection(
            actor.organization_id,
            ALL_TIME.start_us if start is None else to_micros(parse_instant(start)),
            ALL_TIME.end_us if end is None else to_micros(parse_instant(end)),
            provider=price["provider"],
        )
        priced = rerate.backfill(
            session, selection, prices, actor_id=actor.actor_id, now_us=actor.now_us
        )
        return {"priced_records": priced}

    return after_change


def _check_reached(session: WriteSession, principal: Principal, record_id: str) -> None:
    if not reaches(session, principal.organization_id, record_id, principal.reach):
        raise amend.CallUnknown("Cost entry not found")


def _by(request: Request, principal: Principal) -> dict[str, Any]:
    return {
        "actor_id": principal.key_id,
        "request_id": request_id(request.scope),
        "now_us": deps.clock(request).micros(),
    }


def _selection(organization_id: str, body: Mapping[str, object]) -> Selection:
    known = ("start_date", "end_date", "provider", "model", "dry_run", "timezone", "unpriced_only")
    for name in body:
        if name not in known:
            raise UsageError(name, "is not a known field")
    for name in ("start_date", "end_date"):
        if body.get(name) is None:
            raise UsageError(name, "is required")
    zone = time_zone(_text(body, "timezone", 64) or "UTC")
    window = window_between(_text(body, "start_date", 40), _text(body, "end_date", 40), zone)
    provider = _text(body, "provider", 64)
    unpriced_only = body.get("unpriced_only", False)
    if not isinstance(unpriced_only, bool):
        raise UsageError("unpriced_only", "must be true or false")
    return Selection(
        organization_id,
        window.start_us,
        window.end_us,
        provider=provider and (provider_id(provider) or provider),
        model=_text(body, "model", 255),
        unpriced_only=unpriced_only,
    )


def _text(body: Mapping[str, object], name: str, limit: int) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= limit or not value.isprintable():
        raise UsageError(name, f"must be a string of 1 to {limit} printable characters")
    return value
