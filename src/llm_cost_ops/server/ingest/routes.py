"""The ingest doors: single and batch usage, caller-priced costs.

Plain Starlette routes: what happens per record is decoded in C and committed by the writer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llm_cost_ops.core.errors import DomainError, UsageError
from llm_cost_ops.core.ids import is_id
from llm_cost_ops.server.access.deps import authenticate, rate_limits
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.audit.who import CALLER
from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason
from llm_cost_ops.server.http import deps, idempotency
from llm_cost_ops.server.http.body import json_bytes
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.http.request_id import request_id
from llm_cost_ops.server.http.routing import require_json
from llm_cost_ops.server.ingest import answer, decode
from llm_cost_ops.server.ingest.deps import writer as writer_of
from llm_cost_ops.server.ingest.draft import RESERVATION, Door, draft_cost, draft_usage
from llm_cost_ops.server.ingest.schema import WireCost, WireRecord
from llm_cost_ops.server.ingest.submission import (
    CONFLICT,
    CREATED,
    DUPLICATE,
    Answer,
    Item,
    Submission,
)
from llm_cost_ops.server.ingest.validate import Invalid, of_domain
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.pricing.deps import prices as prices_of

_THREAD_ABOVE_BYTES = 65_536
_DEADLINE_S = 10.0
_WRITE = "write:costs"
REFUSED = 422

Outcome = list[Entry | Invalid]


async def post_usage(request: Request) -> Response:
    """`POST /api/v1/usage`: one call, priced by us."""
    principal = await authenticate(request, _WRITE)
    require_json(request.headers)
    body = await request.body()
    record = decode.decode_record(body)
    door = await _door(request, principal)
    entry = _refuse_invalid(request, _draft(record, door))
    return await _submit(request, door, body, [entry], _single(request))


async def post_cost(request: Request) -> Response:
    """`POST /api/v1/costs`: one cost, priced by the caller."""
    principal = await authenticate(request, _WRITE)
    require_json(request.headers)
    body = await request.body()
    record = decode.decode_cost(body)
    door = await _door(request, principal)
    entry = _refuse_invalid(request, _draft(record, door))
    return await _submit(request, door, body, [entry], _single(request))


async def post_usage_batch(request: Request) -> Response:
    """`POST /api/v1/usage/batch`: up to the configured number of calls."""
    return await _post_batch(request, decode.decode_records, rows=False)


async def post_costs_bulk(request: Request) -> Response:
    """`POST /api/v1/costs/bulk`: the same for caller-priced costs; each result is the row."""
    return await _post_batch(request, decode.decode_costs, rows=True)


async def _post_batch(
    request: Request,
    decoder: Callable[[bytes, str, int], Sequence[WireRecord | WireCost | Invalid]],
    *,
    rows: bool,
) -> Response:
    principal = await authenticate(request, _WRITE)
    body = await request.body()
    atomic, correct = _flag(request, "atomic"), _flag(request, "correct")
    limit = deps.settings(request).ingest.max_batch_records
    media_type = require_json(request.headers, *decode.NDJSON_TYPES)
    door = await _door(request, principal)

    def prepare() -> Outcome:
        return [_draft(record, door) for record in decoder(body, media_type, limit)]

    if len(body) > _THREAD_ABOVE_BYTES:
        outcome = await run_in_threadpool(prepare)
    else:
        outcome = prepare()
    rate_limits(request).charge(request.scope, principal, len(outcome) - 1)
    entries = [item for item in outcome if isinstance(item, Entry)]

    def render(fate: list[Item]) -> Answer:
        items = iter(fate)
        merged = [o if isinstance(o, Invalid) else next(items) for o in outcome]
        return answer.batch(merged, request_id(request.scope), atomic=atomic, rows=rows)

    invalid = len(outcome) - len(entries)
    deps.metrics(request).ingested(invalid=invalid)
    if (not entries and door.import_id is None) or (atomic and invalid):
        return _response(render([Item(entry) for entry in entries]))
    return await _submit(
        request,
        door,
        body,
        entries,
        render,
        atomic=atomic,
        correct=correct,
        invalid=invalid,
        shows_rows=rows,
    )


def _single(request: Request) -> Callable[[list[Item]], Answer]:
    return lambda fate: answer.single(fate, request_id(request.scope))


def _draft(record: WireRecord | WireCost | Invalid, door: Door) -> Entry | Invalid:
    if isinstance(record, Invalid):
        return record
    try:
        if record.source == RESERVATION:
            raise UsageError("source", "is kept for calls that settle a reservation")
        if isinstance(record, WireCost):
            return draft_cost(record, door)
        return draft_usage(record, door)
    except DomainError as error:
        if error.code == "ORGANIZATION_MISMATCH":
            raise Problem(403, error.code, error.message, error.field_errors) from None
        return of_domain(error)


async def _door(request: Request, principal: Principal) -> Door:
    return Door(
        principal.organization_id,
        await prices_of(request).current(principal.organization_id),
        deps.clock(request).micros(),
        recorded_by=principal.key_id,
        import_id=_import_id(request),
        strict=_flag(request, "strict") or deps.settings(request).pricing.strict,
        max_future_us=deps.settings(request).ingest.max_future_seconds * 1_000_000,
        organization_slug=principal.organization_slug,
    )


def _refuse_invalid(request: Request, outcome: Entry | Invalid) -> Entry:
    if isinstance(outcome, Invalid):
        deps.metrics(request).ingested(invalid=1)
        raise Problem(422, outcome.code, outcome.message, outcome.field_errors)
    return outcome


async def _submit(
    request: Request,
    door: Door,
    body: bytes,
    entries: list[Entry],
    render: Callable[[list[Item]], Answer],
    *,
    atomic: bool = False,
    correct: bool = False,
    invalid: int = 0,
    shows_rows: bool = False,
) -> Response:
    call = idempotency.call_of(request, body, door.organization_id, door.recorded_by or "")
    committed: list[Item] = []

    def rendered(fate: list[Item]) -> Answer:
        committed[:] = fate  # of the last attempt: a transaction may run more than once
        return render(fate)

    submission = Submission(
        door.organization_id,
        entries,
        rendered,
        recorded_by=door.recorded_by,
        who=CALLER.get(),
        request_id=request_id(request.scope),
        atomic=atomic,
        correct=correct,
        shows_rows=shows_rows,
        invalid=invalid,
        import_id=door.import_id,
        prices=door.prices,
        call=call,
    )
    writer = writer_of(request)
    with writer.in_flight.claim(call):
        try:
            done = await writer.answer(submission, _DEADLINE_S)
        except TimeoutError:
            raise DatabaseUnavailable(Reason.TIMEOUT, outcome_unknown=True) from None
    if not done.replayed:
        stored = done.status != REFUSED
        # Counted when the answer is on its way: nobody should wait for our metrics.
        asyncio.get_running_loop().call_soon(
            _observe, request, door.organization_id, committed, stored
        )
    return _response(done)


def _observe(request: Request, organization_id: str, fate: list[Item], stored: bool) -> None:
    """Count what is committed; of a refused atomic batch only its conflicts."""
    fate = fate if stored else [item for item in fate if item.status == CONFLICT]
    counts = Counter(item.status for item in fate)
    metrics = deps.metrics(request)
    metrics.ingested(
        created=counts[CREATED], duplicate=counts[DUPLICATE], conflict=counts[CONFLICT]
    )
    metrics.entries_created(
        organization_id,
        (
            (item.entry.model_name, item.entry.user_id, item.cost_e10)
            for item in fate
            if item.status == CREATED
        ),
    )


def _response(done: Answer) -> Response:
    return json_bytes(done.body, done.status, _REPLAYED if done.replayed else None)


_REPLAYED = {idempotency.REPLAYED: "true"}


def _parameter(request: Request, name: str) -> str | None:
    return request.query_params.get(name) if request.scope["query_string"] else None


def _flag(request: Request, name: str) -> bool:
    value = _parameter(request, name)
    if value is None or value in ("false", "0"):
        return False
    if value in ("true", "1"):
        return True
    raise Problem(
        422, "VALIDATION_ERROR", f"{name} must be true or false", {name: "must be true or false"}
    )


def _import_id(request: Request) -> str | None:
    value = _parameter(request, "import_id")
    if value is not None and not is_id(value, "imp"):
        raise Problem(
            422, "VALIDATION_ERROR", "import_id is not an import", {"import_id": "is not an import"}
        )
    return value


routes = [
    Route("/api/v1/usage", post_usage, methods=["POST"]),
    Route("/api/v1/usage/batch", post_usage_batch, methods=["POST"]),
    Route("/api/v1/costs", post_cost, methods=["POST"]),
    Route("/api/v1/costs/bulk", post_costs_bulk, methods=["POST"]),
]
