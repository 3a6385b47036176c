"""Charges that are no calls over HTTP: entered, listed with what is left of them, taken back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from llm_cost_ops.core.focus.commitments import Drawdown
from llm_cost_ops.core.instant import day_of, format_micros
from llm_cost_ops.core.money import from_e10
from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.server.access.change import KEYED, Raw, change
from llm_cost_ops.server.access.deps import own_organization, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.admin.bodies import Maybe, Named, Text
from llm_cost_ops.server.admin.lists import paged
from llm_cost_ops.server.admin.wire import INSTANT, MAYBE, TEXT, shape
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.charges import store
from llm_cost_ops.server.charges.charge import COMMITMENT, FREQUENCIES, KINDS, Charge
from llm_cost_ops.server.charges.draw import drawn_before
from llm_cost_ops.server.charges.enter import ChargeUnknown, enter, take_back
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers, list_of
from llm_cost_ops.server.http.pagination import PARAMETERS, paging_parameters
from llm_cost_ops.server.http.problems import invalid
from llm_cost_ops.server.http.routing import refuse_unknown, room_router
from llm_cost_ops.server.spend.lock import hold_alone

router = room_router("/api/v1/charges", "charges")

Reader = Depends(require("read:costs"))
Writer = Depends(require("write:budgets"))
STATUSES = ("planned", "active", "used_up", "ended")
_NUMBER = {"type": "number"}
_MAYBE_NUMBER = {"type": ["number", "null"]}
_DATE = {"type": "string", "format": "date"}
_MAYBE_DATE = {"type": ["string", "null"], "format": "date"}
SCHEMA = shape(
    id=TEXT, kind={"enum": [*KINDS]}, provider=TEXT, name=TEXT, currency=TEXT, amount=_NUMBER,
    start_date=_DATE, end_date=_MAYBE_DATE, billing_period=TEXT, type=MAYBE, granted=_MAYBE_NUMBER,
    drawn=_MAYBE_NUMBER, remaining=_MAYBE_NUMBER, status={"enum": [*STATUSES, None]},
    quantity=_MAYBE_NUMBER, unit=MAYBE, frequency={"enum": [*FREQUENCIES, None]},
    virtual_currency=MAYBE, virtual_units=_MAYBE_NUMBER, contract_id=MAYBE, invoice_id=MAYBE,
    invoice_issuer=MAYBE, created_by=MAYBE, created_at=INSTANT,
)  # fmt: skip
Date = Annotated[str, Field(max_length=10)]


class NewCharge(Named):
    """`POST /api/v1/charges`."""

    kind: Annotated[str, Field(max_length=16)]
    provider: Text
    name: Text
    currency: Annotated[str, Field(min_length=3, max_length=3)]
    amount: Any
    start_date: Date
    end_date: Date | None = None
    granted: Any = None
    type: Maybe = None
    quantity: Any = None
    unit: Maybe = None
    frequency: Annotated[str, Field(max_length=16)] | None = None
    virtual_currency: Maybe = None
    virtual_units: Any = None
    contract_id: Maybe = None
    invoice_id: Maybe = None
    invoice_issuer: Maybe = None


@router.get(
    "",
    operation_id="listCharges",
    dependencies=[Depends(paging_parameters)],
    responses=answers(200, list_of(SCHEMA), "In the order in which they came."),
)
def list_charges(
    request: Request,
    principal: Principal = Reader,
    kind: str | None = Query(default=None, max_length=16),
    provider: str | None = Query(default=None, max_length=64),
) -> Response:
    """What was charged that is no call, and what calls have drawn from each commitment until now,
    as calls are now."""
    refuse_unknown(request, PARAMETERS | {"kind", "provider", "organization_id"})
    if kind is not None and kind not in KINDS:
        raise invalid("kind", f"must be one of: {', '.join(KINDS)}")
    named = provider and (provider_id(provider) or provider)
    own, now_us = principal.organization_id, deps.clock(request).micros()

    def show(session: ReadSession, found: Sequence[Charge]) -> list[dict[str, object]]:
        drawdown = _drawdown(session, own, found, now_us)
        return [wire(each, drawdown, now_us) for each in found]

    return paged(
        request,
        f"{own} charges {kind} {named}",
        partial(store.listed, organization_id=own, kind=kind, provider=named),
        show,
    )


@router.post(
    "",
    status_code=201,
    operation_id="createCharge",
    openapi_extra=KEYED,
    responses=answers(201, SCHEMA, "The charge that is kept."),
)
def create_charge(
    request: Request, body: NewCharge, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Enter a commitment that calls draw from, another purchase, or a credit. Where the month of
    its first day is closed it is in the books of the next open one."""
    own_organization(principal, body.organization_id)
    fields = body.model_dump(exclude={"organization_id"})

    def work(session: WriteSession, actor: Actor) -> Response:
        charge = enter(session, actor, fields)
        drawdown = _drawdown(session, actor.organization_id, [charge], actor.now_us)
        return json_response(wire(charge, drawdown, actor.now_us), 201)

    return change(request, principal, raw, work, hold=hold_alone)


@router.get("/{charge_id}", operation_id="getCharge", responses=answers(200, SCHEMA, "The charge."))
def get_charge(charge_id: str, request: Request, principal: Principal = Reader) -> Response:
    """One charge, and what calls have drawn from it until now."""
    own, now_us = principal.organization_id, deps.clock(request).micros()
    with read(deps.database(request)) as session:
        charge = store.get(session, own, charge_id)
        if charge is None:
            raise ChargeUnknown("Charge not found")
        return json_response(wire(charge, _drawdown(session, own, [charge], now_us), now_us))


@router.delete("/{charge_id}", status_code=204, operation_id="deleteCharge", openapi_extra=KEYED)
def delete_charge(
    charge_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Take a charge back that is in no closed month. Calls of open months are billed then, or draw
    from other commitments."""

    def work(session: WriteSession, actor: Actor) -> Response:
        take_back(session, actor, charge_id)
        return Response(status_code=204)

    return change(request, principal, raw, work, hold=hold_alone)


def _drawdown(
    session: ReadSession, organization_id: str, shown: Sequence[Charge], now_us: int
) -> Drawdown:
    """The drawdown as calls are now, of all commitments: they share calls. Of those that are shown
    it tells also where they were taken back since they were read."""
    bought = {each.id: each for each in shown if each.kind == COMMITMENT}
    if not bought:
        return Drawdown([])
    bought |= {each.id: each for each in store.listed(session, organization_id, COMMITMENT)}
    commitments = [each.commitment() for each in bought.values()]
    return drawn_before(session, organization_id, commitments, now_us + 1)


def wire(charge: Charge, drawdown: Drawdown, now_us: int) -> dict[str, object]:
    """A charge as the API shows it."""
    drawn = drawdown.of(charge.commitment()) if charge.kind == COMMITMENT else None
    return {
        "id": charge.id,
        "kind": charge.kind,
        "provider": charge.provider,
        "name": charge.name,
        "currency": charge.currency,
        "amount": from_e10(charge.amount_e10),
        "start_date": day_of(charge.start_day).isoformat(),
        "end_date": None if charge.end_day is None else day_of(charge.end_day).isoformat(),
        "billing_period": charge.billing_period,
        "type": charge.type,
        "granted": _told(charge.granted_e10),
        "drawn": _told(drawn),
        "remaining": None if drawn is None else _told((charge.granted_e10 or 0) - drawn),
        "status": None if drawn is None else _status(charge, drawn, now_us),
        "quantity": charge.quantity,
        "unit": charge.unit,
        "frequency": charge.frequency,
        "virtual_currency": charge.virtual_currency,
        "virtual_units": charge.virtual_units,
        "contract_id": charge.contract_id,
        "invoice_id": charge.invoice_id,
        "invoice_issuer": charge.invoice_issuer,
        "created_by": charge.created_by,
        "created_at": format_micros(charge.created_at),
    }


def _status(charge: Charge, drawn: int, now_us: int) -> str:
    if charge.granted_e10 == drawn:
        return "used_up"
    if now_us < charge.start_us:
        return "planned"
    return "ended" if charge.end_us is not None and charge.end_us <= now_us else "active"


def _told(units: int | None) -> object:
    return None if units is None else from_e10(units)
