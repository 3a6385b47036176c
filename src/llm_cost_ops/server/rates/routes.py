"""Exchange rates over HTTP: given, listed, imported, taken back, and used for an amount."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from llm_cost_ops.core.exchange import converted_exactly
from llm_cost_ops.core.instant import format_micros, parse_day
from llm_cost_ops.core.money import check_currency, from_e10, parse_decimal, to_e10
from llm_cost_ops.server.access.change import KEYED, Raw, change, changed
from llm_cost_ops.server.access.deps import own_organization, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.admin.bodies import Named
from llm_cost_ops.server.admin.lists import paged
from llm_cost_ops.server.admin.wire import COUNT, INSTANT, MAYBE, TEXT, shape
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers, list_of
from llm_cost_ops.server.http.pagination import PARAMETERS, paging_parameters
from llm_cost_ops.server.http.routing import refuse_unknown, room_router
from llm_cost_ops.server.rates import store
from llm_cost_ops.server.rates.give import RateUnknown, give, give_file, rate_of, take_back
from llm_cost_ops.server.rates.store import Filter, Kept

router = room_router("/api/v1/exchange-rates", "exchange-rates")

Reader = Depends(require("read:costs", conditions="apart"))
Writer = Depends(require("write:pricing"))
MAX_CSV = 1_000_000
_NUMBER = {"type": "number"}
_MAYBE_NUMBER = {"type": ["number", "null"]}
_DATE = {"type": "string", "format": "date"}
_FILTERS = frozenset({"from_currency", "to_currency", "start_date", "end_date"})
_ASKED = frozenset({"amount", "from_currency", "to_currency", "date", "organization_id"})
SCHEMA = shape(
    id=TEXT, from_currency=TEXT, to_currency=TEXT, date=_DATE, rate=_NUMBER, source=TEXT,
    created_by=MAYBE, created_at=INSTANT,
)  # fmt: skip
CONVERTED = shape(
    amount=_NUMBER, from_currency=TEXT, to_currency=TEXT, date=_DATE, converted=_MAYBE_NUMBER,
    rate=_MAYBE_NUMBER, rate_date={"type": ["string", "null"], "format": "date"}, source=MAYBE,
    rate_id=MAYBE,
)  # fmt: skip
Currency = Annotated[str, Field(min_length=3, max_length=3)]


class NewRate(Named):
    """`POST /api/v1/exchange-rates`."""

    from_currency: Currency
    to_currency: Currency
    date: Annotated[str, Field(max_length=10)]
    rate: Any
    source: Annotated[str, Field(min_length=1, max_length=255)]


class RateFile(Named):
    """`POST /api/v1/exchange-rates/import`."""

    csv: Annotated[str, Field(min_length=1, max_length=MAX_CSV)]


@router.get(
    "",
    operation_id="listExchangeRates",
    dependencies=[Depends(paging_parameters)],
    responses=answers(200, list_of(SCHEMA), "In the order in which they were given."),
)
def list_rates(
    request: Request,
    principal: Principal = Reader,
    from_currency: str | None = Query(default=None, max_length=3),
    to_currency: str | None = Query(default=None, max_length=3),
    start_date: str | None = Query(default=None, max_length=10),
    end_date: str | None = Query(default=None, max_length=10),
) -> Response:
    """The rates that the organization gave."""
    refuse_unknown(request, PARAMETERS | _FILTERS | {"organization_id"})
    wanted = Filter(
        None if from_currency is None else check_currency(from_currency, "from_currency"),
        None if to_currency is None else check_currency(to_currency, "to_currency"),
        None if start_date is None else parse_day(start_date, "start_date"),
        None if end_date is None else parse_day(end_date, "end_date"),
    )
    own = principal.organization_id
    return paged(
        request,
        f"{own} exchange rates {wanted}",
        partial(store.listed, organization_id=own, wanted=wanted),
        lambda _session, found: [wire(each) for each in found],
    )


@router.post(
    "",
    status_code=201,
    operation_id="createExchangeRate",
    openapi_extra=KEYED,
    responses=answers(201, SCHEMA, "The rate that is kept."),
)
def create_rate(
    request: Request, body: NewRate, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Give the rate of a day, from which on it counts. The same again changes nothing; another one
    for the same pair and day is refused."""
    fields = body.model_dump(exclude={"organization_id"})

    def work(session: WriteSession, actor: Actor) -> dict[str, object]:
        return wire(give(session, actor, rate_of(fields)))

    return changed(request, principal, raw, body.organization_id, work, 201)


@router.post(
    "/import",
    operation_id="importExchangeRates",
    openapi_extra=KEYED,
    responses=answers(200, shape(created=COUNT, unchanged=COUNT), "How many are new."),
)
def import_rates(
    request: Request, body: RateFile, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Give the rates of a CSV file with the columns from_currency, to_currency, date, rate and
    source: all of them or none."""

    def work(session: WriteSession, actor: Actor) -> dict[str, object]:
        return dict(give_file(session, actor, body.csv))

    return changed(request, principal, raw, body.organization_id, work)


@router.get(
    "/convert",
    operation_id="convertAmount",
    responses=answers(200, CONVERTED, "The amount, and the rate that made it."),
)
def convert_amount(
    request: Request,
    amount: str,
    from_currency: str,
    to_currency: str,
    date: str,
    principal: Principal = Reader,
) -> Response:
    """An amount in another currency, at the last rate on or before a day. Without such a rate
    `converted` is null: no rate is guessed, turned round or made of two others."""
    refuse_unknown(request, _ASKED)
    own_organization(principal, request.query_params.get("organization_id"))
    given = parse_decimal(amount, "amount")
    units = to_e10(given)
    one, other = check_currency(from_currency, "from_currency"), to_currency
    check_currency(other, "to_currency")
    day = parse_day(date, "date")
    answer: dict[str, object] = {
        "amount": given, "from_currency": one, "to_currency": other,
        "date": day.isoformat(), "converted": None, "rate": None, "rate_date": None,
        "source": None, "rate_id": None,
    }  # fmt: skip
    if one == other:
        return json_response({**answer, "converted": from_e10(units)})
    with read(deps.database(request)) as session:
        kept = store.rate_on(session, principal.organization_id, one, other, day)
    return json_response(answer if kept is None else answer | _conversion(given, kept))


@router.get(
    "/{rate_id}",
    operation_id="getExchangeRate",
    responses=answers(200, SCHEMA, "The rate."),
)
def get_rate(rate_id: str, request: Request, principal: Principal = Reader) -> Response:
    """One rate."""
    with read(deps.database(request)) as session:
        kept = store.get(session, principal.organization_id, rate_id)
    if kept is None:
        raise RateUnknown("Exchange rate not found")
    return json_response(wire(kept))


@router.delete(
    "/{rate_id}", status_code=204, operation_id="deleteExchangeRate", openapi_extra=KEYED
)
def delete_rate(
    rate_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Take a rate back. Days that it counted for have the one before it again, or none."""

    def work(session: WriteSession, actor: Actor) -> Response:
        take_back(session, actor, rate_id)
        return Response(status_code=204)

    return change(request, principal, raw, work)


def wire(kept: Kept) -> dict[str, object]:
    """A rate as the API shows it."""
    rate = kept.rate
    return {
        "id": kept.id,
        "from_currency": rate.from_currency,
        "to_currency": rate.to_currency,
        "date": rate.day.isoformat(),
        "rate": rate.rate,
        "source": rate.source,
        "created_by": kept.created_by,
        "created_at": format_micros(kept.created_at),
    }


def _conversion(amount: Decimal, kept: Kept) -> dict[str, object]:
    rate = kept.rate
    return {
        "converted": from_e10(converted_exactly(amount, rate.rate)),
        "rate": rate.rate,
        "rate_date": rate.day.isoformat(),
        "source": rate.source,
        "rate_id": kept.id,
    }
