"""Check, reserve, settle and release over HTTP: plain routes, because every call may pass here."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, cast

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llm_cost_ops.core.jsontext import JsonError
from llm_cost_ops.server.access.deps import admitted, own_fields
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.budgets import store, wire
from llm_cost_ops.server.budgets.allowed import check_spends, hidden, is_own
from llm_cost_ops.server.budgets.ask import NO_PRICE, Ask, parse_ask
from llm_cost_ops.server.budgets.deps import desk as desk_of
from llm_cost_ops.server.budgets.desk import may_wait
from llm_cost_ops.server.budgets.errand import RELEASE, RESERVE, SETTLE, Denied, Errand, Outcome
from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason
from llm_cost_ops.server.db.session import read, snapshot
from llm_cost_ops.server.http import deps, idempotency
from llm_cost_ops.server.http.body import encode, json_bytes, json_response
from llm_cost_ops.server.http.problems import Problem, not_found
from llm_cost_ops.server.http.routing import require_json
from llm_cost_ops.server.ingest.strict import untyped
from llm_cost_ops.server.ingest.submission import Answer
from llm_cost_ops.server.pricing.deps import prices as prices_of
from llm_cost_ops.server.spend.counters import Counters, places_of
from llm_cost_ops.server.spend.index import index_seen
from llm_cost_ops.server.spend.reserve import Decision, decide

DEADLINE_S = 10.0


@admitted("write:costs", conditions="applied")
async def post_reserve(request: Request, principal: Principal) -> Response:
    """`POST /api/v1/budgets/reserve`: hold the most that a call can cost, or say why not."""
    raw, fields = await _fields(request, principal)
    ask = await _ask(request, principal, fields)
    desk = desk_of(request)
    call = idempotency.call_of(request, raw, principal.organization_id, principal.key_id)
    errand = Errand(
        RESERVE,
        principal.organization_id,
        principal.key_id,
        principal.reach,
        ask=ask,
        call=call,
    )
    with desk.in_flight.claim(call):
        outcome = await _outcome(request, errand)
        if may_wait(outcome) and ask.max_wait_ms:
            outcome = await _waited(request, errand, ask.max_wait_ms / 1_000)
    if isinstance(outcome, Denied):
        raise wire.refusal(outcome.decision, outcome.ask, outcome.hidden)
    answer = _answered(outcome)
    delay_ms = _delay_of(answer)
    if delay_ms:
        await asyncio.sleep(delay_ms / 1_000)
    return _response(answer)


async def _waited(request: Request, errand: Errand, seconds: float) -> Outcome:
    """Ask again when something was given back, for so long; the last outcome. Of equal asks one
    does so at a time."""
    waiting, clock = desk_of(request).waiting, deps.clock(request)
    until_s = clock.monotonic() + seconds
    turn = waiting.turn(errand.organization_id, _sameness(errand.ask))
    try:
        async with asyncio.timeout(seconds):
            await turn.acquire()
    except TimeoutError:
        return await _outcome(request, _again(errand))
    try:
        while True:
            outcome = await _outcome(request, _again(errand))
            left_s = until_s - clock.monotonic()
            if left_s <= 0 or not may_wait(outcome):
                return outcome
            await waiting.given_back(errand.organization_id, left_s)
    finally:
        turn.release()


def _again(errand: Errand) -> Errand:
    return replace(errand, future=Future(), waiter=None, tries=0)


def _sameness(ask: Ask | None) -> Hashable:
    """Asks in which this is the same fit in the same budgets or in none."""
    return ask and (ask.amounts, ask.currency, ask.basis == NO_PRICE, ask.labels)


def _delay_of(answer: Answer) -> int:
    """How long a throttled call is held up before it is told that it may go."""
    if answer.replayed or b'"delay_ms":0,' in answer.body:
        return 0
    return int(untyped(answer.body)["delay_ms"])


@admitted("write:costs", conditions="applied")
async def post_settle(request: Request, principal: Principal) -> Response:
    """`POST /api/v1/budgets/reservations/{id}/settle`: book what the call did cost."""
    return await _resolve(request, principal, SETTLE)


@admitted("write:costs", conditions="applied")
async def post_release(request: Request, principal: Principal) -> Response:
    """`POST /api/v1/budgets/reservations/{id}/release`: the call was not made."""
    return await _resolve(request, principal, RELEASE)


async def _resolve(request: Request, principal: Principal, kind: str) -> Response:
    _, fields = await _fields(request, principal, empty=kind == RELEASE)
    if kind == RELEASE and fields.keys() - {"reason"}:
        name = sorted(fields.keys() - {"reason"})[0]
        raise Problem(422, "VALIDATION_ERROR", f"{name} is not a known field",
                      {name: "is not a known field"})  # fmt: skip
    errand = Errand(
        kind,
        principal.organization_id,
        principal.key_id,
        principal.reach,
        reservation_id=request.path_params["reservation_id"],
        body=fields,
        digest=idempotency.request_digest(encode(fields)) if kind == SETTLE else "",
        prices=await prices_of(request).current(principal.organization_id),
    )
    return _response(_answered(await _outcome(request, errand)))


@admitted("read:budgets", conditions="applied")
async def post_check(request: Request, principal: Principal) -> Response:
    """`POST /api/v1/budgets/check`: would this call fit now? Nothing is held."""
    _, fields = await _fields(request, principal)
    ask = await _ask(request, principal, fields)
    now_us = deps.clock(request).micros()

    database = deps.database(request)

    def work() -> tuple[Decision, frozenset[str]]:
        # Decided as a reservation is, but without its locks: nothing is held and nothing written.
        organization_id = principal.organization_id
        with snapshot(database) as session:
            index = index_seen(session, organization_id)
            budgets = index.of(ask.labels)
            counters = Counters(session, organization_id)
            counters.look(place for budget in budgets for place in places_of(budget, now_us))
            decision = decide(
                counters,
                budgets,
                ask.amounts,
                ask.currency,
                priced=ask.basis != NO_PRICE,
                now_us=now_us,
            )
            return decision, hidden(principal.reach, index, budgets)

    decision, unseen = await to_thread.run_sync(work)
    return json_response(wire.checked(decision, ask, unseen))


@admitted("read:budgets", conditions="applied")
async def get_reservation(request: Request, principal: Principal) -> Response:
    """`GET /api/v1/budgets/reservations/{id}`: what became of it so far."""
    database = deps.database(request)
    reservation_id = request.path_params["reservation_id"]

    def work() -> dict[str, Any] | None:
        with read(database) as session:
            return store.one(session, principal.organization_id, reservation_id)

    row = await to_thread.run_sync(work)
    if row is None or not is_own(principal.reach, row):
        raise not_found("Reservation not found")
    return json_response(wire.reservation_row(row))


async def _fields(
    request: Request, principal: Principal, *, empty: bool = False
) -> tuple[bytes, dict[str, object]]:
    require_json(request.headers)
    raw = await request.body()
    if empty and not raw.strip():
        return raw, {}
    value = untyped(raw)
    if not isinstance(value, dict):
        raise JsonError("The body must be a JSON object.")
    return raw, own_fields(principal, cast("Mapping[str, object]", value))


async def _ask(request: Request, principal: Principal, fields: Mapping[str, object]) -> Ask:
    prices = await prices_of(request).current(principal.organization_id)
    ask = parse_ask(fields, prices, deps.clock(request).micros())
    check_spends(principal.reach, ask.labels)
    return ask


async def _outcome(request: Request, errand: Errand) -> Outcome:
    try:
        return await desk_of(request).outcome(errand, DEADLINE_S)
    except TimeoutError:
        raise DatabaseUnavailable(Reason.TIMEOUT, outcome_unknown=True) from None


def _answered(outcome: Outcome) -> Answer:
    if isinstance(outcome, Problem):
        raise outcome
    if not isinstance(outcome, Answer):
        raise AssertionError("an errand without an answer")
    return outcome


def _response(answer: Answer) -> Response:
    headers = {idempotency.REPLAYED: "true"} if answer.replayed else None
    return json_bytes(answer.body, answer.status, headers)


routes = [
    Route("/api/v1/budgets/reserve", post_reserve, methods=["POST"]),
    Route("/api/v1/budgets/check", post_check, methods=["POST"]),
    Route("/api/v1/budgets/reservations/{reservation_id}/settle", post_settle, methods=["POST"]),
    Route("/api/v1/budgets/reservations/{reservation_id}/release", post_release, methods=["POST"]),
    Route("/api/v1/budgets/reservations/{reservation_id}", get_reservation, methods=["GET"]),
]
