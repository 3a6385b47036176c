"""Raw provider responses, one per line: what an application logged, or what a batch job returned.

A line is a bare body (the caller names the provider), or an envelope
`{"provider": .., "response": {..}, ...}` with any fields of a record beside it, or a result line of
a batch job: OpenAI, Azure and Mistral (`custom_id`, `response.body`), Anthropic (`custom_id`,
`result.message`), Gemini and Vertex (`response` beside `key` or `request`). Batch lines are marked
`processing: "batch"`, because no body says so itself. What the body means is left to the extraction
of the provider; nothing of it is read here but ids and times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO, cast

from llm_cost_ops.importers.fields import object_of, text_of
from llm_cost_ops.importers.identity import Ordinals, natural_id
from llm_cost_ops.importers.jsonvalues import rows_of
from llm_cost_ops.importers.lines import HEAD_BYTES, peek
from llm_cost_ops.importers.problem import NothingToBill, RowError
from llm_cost_ops.importers.record import (
    ImportOptions,
    ItemStream,
    Record,
    Row,
    convert_rows,
    metadata,
)
from llm_cost_ops.importers.times import stamp

SOURCE = "responses"
BATCH = "batch"
_ID_FIELDS = ("id", "responseId", "response_id", "generation_id")
_EPOCHS = ("created", "created_at")
_BATCH_SIDE = frozenset({"key", "request", "instance", "status", "processed_time"})


def read_responses(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    rows = rows_of(stream, options.max_row_bytes, peek(stream, HEAD_BYTES), wrappers=())
    ordinals = Ordinals()

    def convert(row: Row) -> Iterable[Record]:
        record = _record_of(row)
        body = object_of(record.get("response"), "response")
        if not body:
            raise RowError("holds no response body", field="response")
        record["provider"] = options.provider or record.get("provider")
        if record["provider"] is None:
            raise RowError("the line names no provider: give one with --provider", field="provider")
        if options.model and "model" not in body and "modelVersion" not in body:
            record.setdefault("model", options.model)
        record["source"] = text_of(record.get("source"), "source") or SOURCE
        if record.get("timestamp") is None:
            record["timestamp"] = time_of(body)
        identity = text_of(record.get("event_id"), "event_id")
        if identity is None:
            response_id = _id_of(body)
            identity = natural_id(response_id) if response_id else ordinals.event_id(row)
        record["event_id"] = identity
        yield record

    return convert_rows(rows, convert)


def _record_of(row: Row) -> Record:
    """The line as a record with `response`; batch results are told by their keys."""
    if "custom_id" in row and ("response" in row or "error" in row):
        return _openai_batch(row)
    if "custom_id" in row and "result" in row:
        return _anthropic_batch(row)
    if isinstance(row.get("response"), Mapping):
        extra = row.keys() - {"response"}
        if extra and extra <= _BATCH_SIDE:
            return {"response": row["response"], "processing": BATCH}
        return dict(row)
    if "response" in row and "provider" in row:
        raise RowError("must be an object", field="response")
    return {"response": row}


def _openai_batch(row: Row) -> Record:
    answer = object_of(row.get("response"), "response")
    custom_id = text_of(row.get("custom_id"), "custom_id")
    status = answer.get("status_code")
    body = object_of(answer.get("body"), "response.body")
    if row.get("error") or (isinstance(status, int) and status >= 400) or not body:
        raise NothingToBill(f"batch request {custom_id} failed and is not billed", field="response")
    record: Record = {
        "response": body,
        "processing": BATCH,
        "metadata": metadata(custom_id=custom_id),
    }
    line_id = text_of(row.get("id"), "id")
    if _id_of(body) is None and line_id:
        record["event_id"] = natural_id(line_id)
    if line_id and line_id.startswith("batch_req_"):
        record["provider"] = "openai"
    return record


def _anthropic_batch(row: Row) -> Record:
    result = object_of(row.get("result"), "result")
    custom_id = text_of(row.get("custom_id"), "custom_id")
    if result.get("type") != "succeeded":
        raise NothingToBill(
            f"batch request {custom_id} is {result.get('type')} and not billed", field="result"
        )
    return {
        "response": object_of(result.get("message"), "result.message"),
        "provider": "anthropic",
        "processing": BATCH,
        "metadata": metadata(custom_id=custom_id),
    }


def _id_of(body: Mapping[str, object]) -> str | None:
    found = (body.get(name) for name in _ID_FIELDS)
    return next((value for value in found if isinstance(value, str) and value), None)


def time_of(body: Mapping[str, object]) -> str | None:
    """When the provider says that it made the response; None where the body has no time."""
    for name in _EPOCHS:
        value = body.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return stamp(value, name, unit="s")
        if isinstance(value, str):
            return stamp(value, name)
    return stamp(cast("object", body.get("createTime")), "createTime")
