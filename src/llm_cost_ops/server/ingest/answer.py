"""Answers of the ingest doors as JSON bytes, written straight from entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.money import format_e10
from llm_cost_ops.server.http.body import encode, encode_written
from llm_cost_ops.server.ingest.submission import (
    CLOSED,
    CONFLICT,
    CORRECTED,
    CREATED,
    DUPLICATE,
    Answer,
    Item,
)
from llm_cost_ops.server.ingest.validate import Invalid
from llm_cost_ops.server.ledger.closed import CLOSED_TEXT
from llm_cost_ops.server.ledger.wire import WRITTEN, call_row

ATOMIC_ERRORS = 100
CONFLICT_BODY = {
    "code": "CONFLICT",
    "message": "this event_id was already recorded with another payload",
    "field_errors": {"event_id": "was already recorded with another payload"},
}

CLOSED_BODY = {
    "code": "VALIDATION_ERROR",
    "message": f"timestamp {CLOSED_TEXT}",
    "field_errors": {"timestamp": CLOSED_TEXT},
}
_REFUSALS = {CONFLICT: CONFLICT_BODY, CLOSED: CLOSED_BODY}


def single(fate: Sequence[Item], request_id: str) -> Answer:
    """201 for a new call, 200 for a known one, 409 for another payload under its event id."""
    item = fate[0]
    if item.status == CONFLICT:
        return Answer(409, encode({"error": {**CONFLICT_BODY, "request_id": request_id}}))
    if item.status == CLOSED:
        return Answer(422, encode({"error": {**CLOSED_BODY, "request_id": request_id}}))
    status = 201 if item.status == CREATED else 200
    if item.stored is not None:
        return Answer(status, encode({**call_row(item.stored), "result": item.status}))
    row = call_row(_row_of(item), WRITTEN)
    row["result"] = item.status
    return Answer(status, encode_written(row))


def _row_of(item: Item) -> Mapping[str, object]:
    if item.stored is not None:
        return item.stored
    shown = {"id": item.id, "cost_e10": item.cost_e10, "cost_status": item.cost_status}
    return item.entry.mapping() | shown


def batch(
    outcome: Sequence[Item | Invalid], request_id: str, *, atomic: bool, rows: bool = False
) -> Answer:
    """One result per item in order. An atomic batch with any fault lists its first hundred."""
    statuses = [
        _INVALID if isinstance(item, Invalid) or item.status == CLOSED else item.status
        for item in outcome
    ]
    counts = Counter(statuses)
    failures = counts[_INVALID] + counts[CONFLICT]
    if atomic and failures:
        failed = [i for i, status in enumerate(statuses) if status in (_INVALID, CONFLICT)]
        return _atomic_refusal(outcome, failed, request_id)
    results = [
        _invalid(index, item)
        if isinstance(item, Invalid)
        else _row(index, item)
        if rows and item.status not in _REFUSALS
        else _result(index, item)
        for index, item in enumerate(outcome)
    ]
    corrected = counts[CORRECTED]
    extra = f'"corrected":{corrected},' if corrected else ""
    body = (
        f'{{"submitted":{len(outcome)},"created":{counts[CREATED]},'
        f'"duplicates":{counts[DUPLICATE]},{extra}"failed":{failures},'
        f'"results":[{",".join(results)}]}}'
    )
    return Answer(207 if failures else 200, body.encode())


_INVALID = "invalid"


def _invalid(index: int, item: Invalid) -> str:
    return f'{{"index":{index},"status":"{_INVALID}","error":{dumps(item.body())}}}'


def _row(index: int, item: Item) -> str:
    return dumps({"index": index, **call_row(_row_of(item)), "status": item.status})


def _result(index: int, item: Item) -> str:
    if item.status == CLOSED:
        return f'{{"index":{index},"status":"{_INVALID}","error":{_CLOSED_ITEM}}}'
    event = item.entry.event_id or ""
    # Control characters were refused at the door, so these two are all that JSON escapes.
    plain = '"' not in event and "\\" not in event
    shown = f'"{event}"' if plain else dumps(event)
    head = f'{{"index":{index},"status":"{item.status}","id":"{item.id}","event_id":{shown}'
    if item.status == CONFLICT:
        return f'{head},"error":{_CONFLICT_TEXT}}}'
    cost = "null" if item.cost_e10 is None else format_e10(item.cost_e10)
    return f'{head},"cost_status":"{item.cost_status}","total_cost":{cost}}}'


_CONFLICT_TEXT = dumps(CONFLICT_BODY)
_CLOSED_ITEM = dumps(CLOSED_BODY)


def _atomic_refusal(
    outcome: Sequence[Item | Invalid], failed: Sequence[int], request_id: str
) -> Answer:
    errors: list[Mapping[str, object]] = []
    fields: dict[str, str] = {}
    for index in failed[:ATOMIC_ERRORS]:
        item = outcome[index]
        body = item.body() if isinstance(item, Invalid) else _REFUSALS[item.status]
        errors.append({"index": index, **body})
        for name, message in _field_errors(body).items():
            fields[f"records[{index}].{name}"] = message
    error = {
        "code": "VALIDATION_ERROR",
        "message": f"{len(failed)} of {len(outcome)} records were refused; nothing was stored",
        "field_errors": fields,
        "errors": errors,
        "request_id": request_id,
    }
    return Answer(422, encode({"error": error}))


def _field_errors(body: Mapping[str, object]) -> Mapping[str, str]:
    errors = body.get("field_errors")
    return cast("Mapping[str, str]", errors) if isinstance(errors, Mapping) else {}
