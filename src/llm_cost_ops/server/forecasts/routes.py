"""Forecasts and anomalies over HTTP. All paths are also served below `/forecast`."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.access.change import KEYED, Raw
from llm_cost_ops.server.access.deps import own_fields, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.analytics.asked import Asked
from llm_cost_ops.server.analytics.request import home
from llm_cost_ops.server.db.session import WriteSession, read, report, write_retrying
from llm_cost_ops.server.forecasts import examine, findings, kept, openapi, store, wire
from llm_cost_ops.server.forecasts.breach import breach_of
from llm_cost_ops.server.forecasts.make import make_forecast, read_past
from llm_cost_ops.server.forecasts.plans import course_of, plan_of
from llm_cost_ops.server.forecasts.terms import Terms, examination_of, terms_of
from llm_cost_ops.server.forecasts.turns import in_turn
from llm_cost_ops.server.http import deps, idempotency
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.pagination import (
    PARAMETERS,
    encode_cursor,
    page_answer,
    page_request,
    paging_parameters,
)
from llm_cost_ops.server.http.problems import not_found
from llm_cost_ops.server.http.routing import beside, refuse_unknown
from llm_cost_ops.server.ledger.routes import Body
from llm_cost_ops.server.queue.outbox import Event, publish

Reader = Depends(require("read:forecasts", conditions="applied"))
Writer = Depends(require("write:forecasts", conditions="applied"))
TOPIC = "forecast.generated"
PATH = "/api/v1/forecasts"
Document = dict[str, Any]

router = APIRouter(prefix=PATH, tags=["forecasts"])


@router.post(
    "",
    status_code=201,
    operation_id="createForecast",
    openapi_extra={**KEYED, **openapi.NEW_FORECAST},
    responses=openapi.MADE,
)
async def create_forecast(
    request: Request,
    body: dict[str, object] = Body,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Forecast what will be spent, and keep the forecast."""
    return await in_turn(request, partial(_created, request, body, raw, principal))


def _created(
    request: Request, body: Mapping[str, object], raw: bytes, principal: Principal
) -> Response:
    now_us = deps.clock(request).micros()
    call = idempotency.call_of(request, raw, principal.organization_id, principal.key_id)
    if call is not None:
        with read(deps.database(request)) as session:
            saved = idempotency.lookup(session, [call.scope], now_us).get(call.scope)
        if saved is not None:
            return idempotency.replay(saved, call)
    terms, answer = _computed(request, Asked(body, in_url=False), principal)
    row = {
        "id": single_id("fct", now_us // 1_000, secrets.randbits(80)),
        "organization_id": principal.organization_id,
        "frequency": terms.step,
        "request": dumps({k: v for k, v in body.items() if k != "organization_id"}),
        "answer": dumps(answer),
        "created_at": now_us,
        "created_by": principal.key_id,
    }

    def keep(session: WriteSession) -> Response:
        store.add_forecast(session, row)
        told = Event(principal.organization_id, TOPIC, wire.forecast_event(row, answer))
        publish(session, [told], now_us=now_us)
        return json_response(wire.forecast_row(row), 201)

    return write_retrying(
        deps.database(request),
        lambda session: idempotency.once(session, call, now_us, lambda: keep(session)),
    )


def _computed(request: Request, asked: Asked, principal: Principal) -> tuple[Terms, Document]:
    """A forecast; no connection is held while it is made."""
    with report(deps.database(request)) as session:
        at = home(session, principal, deps.clock(request).now())
        terms = terms_of(asked, principal, at)
        past = read_past(session, terms, at.currency, deps.clock(request).micros())
    made = make_forecast(past)
    return terms, made if principal.reach.is_everything else {**made, **kept.limits(principal)}


@router.get(
    "",
    operation_id="listForecasts",
    openapi_extra=openapi.LISTED,
    responses=openapi.FORECASTS,
    dependencies=[Depends(paging_parameters)],
)
async def list_forecasts(request: Request, principal: Principal = Reader) -> Response:
    """Forecasts that were kept, the newest first; with a horizon, a model or any other field of a
    forecast one that is not kept."""
    asked = set(request.query_params) - PARAMETERS - {"organization_id"}
    if asked:
        pairs = request.query_params.multi_items()
        work = partial(_computed, request, Asked.of_url(pairs), principal)
        return json_response((await in_turn(request, work))[1])
    return await to_thread.run_sync(partial(_listed, request, principal))


def _listed(request: Request, principal: Principal) -> Response:
    subject = f"{principal.organization_id} forecasts"
    page = page_request(request.query_params, subject, (str,))
    below = None if page.position is None else str(page.position[0])
    with read(deps.database(request)) as session:
        rows = kept.forecasts(session, principal, below, page.offset, page.limit + 1)
    shown = rows[: page.limit]
    cursor = encode_cursor(subject, [shown[-1]["id"]]) if len(rows) > page.limit else None
    return json_response(page_answer([wire.forecast_row(row) for row in shown], page, cursor))


@router.post(
    "/budget",
    operation_id="forecastBudget",
    openapi_extra=openapi.BUDGET_ASKED,
    responses=openapi.BUDGET,
)
async def forecast_budget(
    request: Request, body: dict[str, object] = Body, principal: Principal = Reader
) -> Response:
    """When a budget will be exceeded, and how likely; of one that is not stored, too."""

    def work() -> Document:
        plan = plan_of(Asked(own_fields(principal, body), in_url=False))
        with report(deps.database(request)) as session:
            at = home(session, principal, deps.clock(request).now())
            course = course_of(session, plan, at, principal.reach, deps.clock(request).micros())
        return breach_of(
            course, model=plan.model, confidence=plan.confidence, thresholds=plan.thresholds
        )

    return json_response(await in_turn(request, work))


@router.get(
    "/anomalies",
    operation_id="detectAnomalies",
    openapi_extra=openapi.SEARCHED,
    responses=openapi.ANOMALIES,
)
async def detect_anomalies(request: Request, principal: Principal = Reader) -> Response:
    """The anomalies of a range; nothing is stored."""
    asked = Asked.of_url(request.query_params.multi_items())
    return json_response(await in_turn(request, partial(_examined, request, asked, principal)))


@router.post(
    "/anomalies",
    operation_id="detectAnomaliesByBody",
    openapi_extra=openapi.EXAMINED,
    responses=openapi.ANOMALIES,
)
async def detect_by_body(
    request: Request, body: dict[str, object] = Body, principal: Principal = Reader
) -> Response:
    """The same with the parameters in a body."""
    asked = Asked(body, in_url=False)
    return json_response(await in_turn(request, partial(_examined, request, asked, principal)))


def _examined(request: Request, asked: Asked, principal: Principal) -> Document:
    with report(deps.database(request)) as session:
        at = home(session, principal, deps.clock(request).now())
        wanted = examination_of(asked, principal, at)
        material = examine.gather(session, wanted, at, deps.clock(request).micros())
    found = examine.judge(material)
    answer = examine.answer_of(material, found)
    if wanted.explain and found:
        with report(deps.database(request)) as session:
            examine.explain(session, answer, material, found)
    return answer


@router.get(
    "/anomalies/found",
    operation_id="listAnomalies",
    openapi_extra=openapi.FOUND_ASKED,
    responses=openapi.ANOMALIES,
    dependencies=[Depends(paging_parameters)],
)
def list_anomalies(request: Request, principal: Principal = Reader) -> Response:
    """The anomalies that were found as they happened, the latest first."""
    refuse_unknown(request, PARAMETERS | {*openapi.FOUND_FILTERS, "organization_id"})
    with read(deps.database(request)) as session:
        at = home(session, principal, deps.clock(request).now())
        return json_response(findings.listed(session, request.query_params, at, principal.reach))


@router.get("/anomalies/{anomaly_id}", operation_id="getAnomaly", responses=openapi.ANOMALY)
def get_anomaly(anomaly_id: str, request: Request, principal: Principal = Reader) -> Response:
    """One anomaly with its causes, as they were when it was found."""
    with read(deps.database(request)) as session:
        return json_response(findings.one(session, principal, anomaly_id))


@router.get("/anomalies/{anomaly_id}/causes", operation_id="getCauses", responses=openapi.CAUSES)
async def get_causes(anomaly_id: str, request: Request, principal: Principal = Reader) -> Response:
    """The causes of an anomaly by the ledger of now: late calls and corrections count."""

    def work() -> Document:
        with report(deps.database(request)) as session:
            return findings.causes(session, principal, anomaly_id)

    return json_response(await in_turn(request, work))


@router.post(
    "/anomalies/{anomaly_id}/feedback",
    operation_id="judgeAnomaly",
    openapi_extra=openapi.JUDGED,
    responses=openapi.ANOMALY,
)
def judge_anomaly(
    anomaly_id: str,
    request: Request,
    body: dict[str, object] = Body,
    principal: Principal = Writer,
) -> Response:
    """Say whether it was one: after a false alarm only what is further out is flagged there."""
    said = findings.said_of(own_fields(principal, body))
    now_us = deps.clock(request).micros()

    def work(session: WriteSession) -> Document:
        return findings.judge(session, principal, anomaly_id, said, now_us)

    return json_response(write_retrying(deps.database(request), work))


@router.get("/{forecast_id}", operation_id="getForecast", responses=openapi.READ)
def get_forecast(forecast_id: str, request: Request, principal: Principal = Reader) -> Response:
    """One forecast as it was made."""
    with read(deps.database(request)) as session:
        row = store.forecast(session, principal.organization_id, forecast_id)
    if row is None or not kept.is_reached(principal.reach, row):
        raise not_found("Forecast not found")
    return json_response(wire.forecast_row(row))


singular = beside(router, PATH, PATH[:-1], "Singular")
