"""Prices over HTTP: an organization's own, its discounts and deployments, and the public book."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, cast

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from llm_cost_ops.core.errors import PricingError
from llm_cost_ops.core.instant import parse_instant
from llm_cost_ops.server.access.change import KEYED, Raw, change
from llm_cost_ops.server.access.deps import own_fields, own_organization, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import decode, json_response
from llm_cost_ops.server.http.pagination import (
    PARAMETERS,
    counted_page,
    page_request,
    paging_parameters,
    rows_before,
)
from llm_cost_ops.server.http.routing import refuse_unknown
from llm_cost_ops.server.pricing import catalogue, manage, openapi, own, store
from llm_cost_ops.server.pricing.change import Untimed
from llm_cost_ops.server.pricing.deps import prices as prices_of
from llm_cost_ops.server.pricing.lock import take_turn

Reader = Depends(require("read:costs", conditions="apart"))
Writer = Depends(require("write:pricing"))
Alter = Callable[[WriteSession, Actor], Response]
Change = Callable[[WriteSession, Actor, Mapping[str, Any]], Mapping[str, Any]]
_LIST_PARAMETERS = PARAMETERS | {
    "provider", "model", "active", "active_only", "source", "date", "known_at", "organization_id",
}  # fmt: skip
AfterChange = Callable[[Request], Change]
"""Called in the transaction of a new price; what it returns is added to the answer."""


async def json_object(request: Request) -> dict[str, object]:
    """The body as a JSON object with exact numbers. Raises JsonError, PricingError."""
    value = decode(await request.body())
    if not isinstance(value, dict):
        raise PricingError("must be a JSON object", field="body")
    return cast("dict[str, object]", value)


Body = Depends(json_object)


def create_router(after_change: AfterChange) -> APIRouter:
    """The routes under `/api/v1/pricing`. `after_change` prices what waited for this price."""
    router = APIRouter(prefix="/api/v1/pricing", tags=["pricing"])
    _add_discounts(router)  # these two first: `deployments` is no id of a price
    _add_deployments(router, after_change)
    _add_writes(router, after_change)
    _add_reads(router)
    return router


def _add_writes(router: APIRouter, after_change: AfterChange) -> None:
    @router.post(
        "",
        status_code=201,
        operation_id="createPricing",
        openapi_extra={**KEYED, **openapi.NEW_PRICE},
        responses=openapi.MADE,
        dependencies=[Untimed],
    )
    def create(
        request: Request,
        body: dict[str, object] = Body,
        raw: bytes = Raw,
        principal: Principal = Writer,
    ) -> Response:
        """Set a price from a date on."""
        view = prices_of(request).view(principal.organization_id)
        after, fields = after_change(request), own_fields(principal, body)

        def work(session: WriteSession, actor: Actor) -> Response:
            shown = manage.create(session, fields, view, actor)
            return json_response({**shown, **after(session, actor, shown)}, 201)

        return _changed(request, principal, raw, work)

    @router.put(
        "/{pricing_id}",
        operation_id="updatePricing",
        openapi_extra={**KEYED, **openapi.NEW_VERSION},
        responses=openapi.PRICE,
        dependencies=[Untimed],
    )
    def update(
        pricing_id: str,
        request: Request,
        body: dict[str, object] = Body,
        raw: bytes = Raw,
        principal: Principal = Writer,
    ) -> Response:
        """Make a new version of a price."""
        view = prices_of(request).view(principal.organization_id)
        after, fields = after_change(request), own_fields(principal, body)

        def work(session: WriteSession, actor: Actor) -> Response:
            shown = manage.update(session, pricing_id, fields, view, actor)
            return json_response({**shown, **after(session, actor, shown)})

        return _changed(request, principal, raw, work)

    @router.delete(
        "/{pricing_id}",
        operation_id="endPricing",
        openapi_extra=KEYED,
        responses=openapi.PRICE,
    )
    def delete(
        pricing_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
    ) -> Response:
        """End a price now; what it rated stays rated."""
        return _changed(
            request, principal, raw, lambda s, a: json_response(manage.end(s, pricing_id, a))
        )


def _add_reads(router: APIRouter) -> None:
    @router.get(
        "",
        operation_id="listPricing",
        responses=openapi.PRICES,
        dependencies=[Depends(paging_parameters)],
    )
    def list_prices(
        request: Request,
        principal: Principal = Reader,
        provider: str | None = None,
        model: str | None = None,
        active: bool | None = None,
        active_only: bool | None = None,
        source: str | None = None,
        date: str | None = None,
        known_at: str | None = None,
        organization_id: str | None = None,
    ) -> Response:
        """Prices of the organization, the operator and the public book: those in force now, or on
        `date`, unless `active` is false."""
        refuse_unknown(request, _LIST_PARAMETERS)
        own_organization(principal, organization_id)
        wanted = catalogue.Wanted(
            provider=provider,
            model=model,
            at=parse_instant(date, "date") if date else deps.clock(request).now(),
            active_only=active if active is not None else active_only is not False,
            source=source,
            known_at=parse_instant(known_at, "known_at") if known_at else None,
        )
        filters = sorted(
            pair for pair in request.query_params.multi_items() if pair[0] not in PARAMETERS
        )
        subject = f"{principal.organization_id} pricing {filters}"
        page = page_request(request.query_params, subject, (int,))
        with read(deps.database(request)) as session:
            rows = catalogue.listing(
                session, prices_of(request).book, principal.organization_id, wanted
            )
            start = rows_before(page)
            found = list(islice(rows, start, start + page.limit + 1))
        return json_response(counted_page(found, page, subject))

    @router.get("/{pricing_id}", operation_id="getPricing", responses=openapi.PRICE)
    def get_price(pricing_id: str, request: Request, principal: Principal = Reader) -> Response:
        """One price with all its versions."""
        with read(deps.database(request)) as session:
            return json_response(_one(session, request, principal.organization_id, pricing_id))


def _one(
    session: ReadSession, request: Request, organization_id: str, pricing_id: str
) -> dict[str, Any]:
    rows = store.history(session, organization_id, pricing_id)
    if rows:
        return {**manage.wire(rows[-1]), "versions": [manage.wire(row) for row in rows]}
    card = prices_of(request).book.card(pricing_id)
    if card is None:
        raise manage.PriceUnknown("Pricing not found")
    return catalogue.card_wire(card)


def _add_discounts(router: APIRouter) -> None:
    @router.get("/adjustments", operation_id="listPriceAdjustments", responses=openapi.ADJUSTMENTS)
    def list_adjustments(request: Request, principal: Principal = Reader) -> Response:
        """Negotiated discounts in their order."""
        with read(deps.database(request)) as session:
            return json_response(own.adjustments(session, principal.organization_id))

    @router.post(
        "/adjustments",
        status_code=201,
        operation_id="createPriceAdjustment",
        openapi_extra={**KEYED, **openapi.NEW_ADJUSTMENT},
        responses=openapi.ADJUSTED,
    )
    def add_adjustment(
        request: Request,
        body: dict[str, object] = Body,
        raw: bytes = Raw,
        principal: Principal = Writer,
    ) -> Response:
        """Add a negotiated discount: a factor on the prices it names, from a date on."""
        fields = own_fields(principal, body)
        return _changed(
            request,
            principal,
            raw,
            lambda s, a: json_response(own.add_adjustment(s, fields, a), 201),
        )

    @router.delete(
        "/adjustments/{adjustment_id}",
        status_code=204,
        operation_id="removePriceAdjustment",
        openapi_extra=KEYED,
    )
    def remove_adjustment(
        adjustment_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
    ) -> Response:
        """Remove a discount from now on; what it rated stays rated."""

        def work(session: WriteSession, actor: Actor) -> Response:
            own.remove_adjustment(session, adjustment_id, actor)
            return Response(status_code=204)

        return _changed(request, principal, raw, work)


def _add_deployments(router: APIRouter, after_change: AfterChange) -> None:
    @router.get("/deployments", operation_id="listDeployments", responses=openapi.DEPLOYMENTS)
    def list_deployments(request: Request, principal: Principal = Reader) -> Response:
        """Names of own deployments and the model behind each."""
        with read(deps.database(request)) as session:
            return json_response(own.deployments_of(session, principal.organization_id))

    @router.put(
        "/deployments",
        operation_id="setDeployment",
        openapi_extra={**KEYED, **openapi.NEW_DEPLOYMENT},
        responses=openapi.DEPLOYED,
        dependencies=[Untimed],
    )
    def set_deployment(
        request: Request,
        body: dict[str, object] = Body,
        raw: bytes = Raw,
        principal: Principal = Writer,
    ) -> Response:
        """Map a deployment name to a model; calls of it that waited for a price get one."""
        after, fields = after_change(request), own_fields(principal, body)

        def work(session: WriteSession, actor: Actor) -> Response:
            shown = own.set_deployment(session, fields, actor)
            return json_response({**shown, **after(session, actor, shown)})

        return _changed(request, principal, raw, work)


def _changed(request: Request, principal: Principal, raw: bytes, alter: Alter) -> Response:
    """Change prices while nobody else does, and let this process see it at once."""
    answer = change(request, principal, raw, alter, hold=take_turn)
    prices_of(request).forget(principal.organization_id)
    return answer
