"""Sending many records: in batches, with one result per record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, cast

from llm_cost_ops.client.caller import Caller
from llm_cost_ops.client.pages import BatchResult
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.records import Batch, batches
from llm_cost_ops.client.rows import Row
from llm_cost_ops.exceptions import APIError, CostOpsError

RowT = TypeVar("RowT", bound=Row)


def send_batches(
    caller: Caller,
    path: str,
    records: Iterable[dict[str, Any]],
    kind: type[RowT],
    *,
    atomic: bool,
    echo: bool = False,
) -> Flow[BatchResult[RowT]]:
    """Send records in as many batches as the limits need; `echo` adds the sent fields to results.

    An error carries what earlier batches had stored as `completed`.
    """
    results: BatchResult[RowT] = BatchResult()
    params = {"atomic": True} if atomic else None
    try:
        for batch in batches(records):
            body = yield from caller.write("POST", path, batch.body, params=params)
            results.extend(_results(body, batch, kind, echo=echo))
    except CostOpsError as error:
        error.completed = cast("BatchResult[Any]", results)
        raise
    return results


def _results(body: Any, batch: Batch, kind: type[RowT], *, echo: bool) -> Iterable[RowT]:
    answers = _answers(body)
    if len(answers) != len(batch.records):
        raise APIError(
            f"the server answered {len(answers)} results for {len(batch.records)} records",
            status_code=200,
        )
    for offset, (sent, answer) in enumerate(zip(batch.records, answers, strict=True)):
        own = sent if echo else {"event_id": sent["event_id"]}
        yield kind({**own, "status": "created", **answer, "index": batch.start + offset})


def _answers(body: Any) -> list[dict[str, Any]]:
    found = cast("dict[str, Any]", body) if isinstance(body, dict) else {"results": body}
    answers = found.get("results", found.get("data"))
    if not isinstance(answers, list):
        raise APIError("the answer to a batch has no results", status_code=200)
    return cast("list[dict[str, Any]]", answers)
