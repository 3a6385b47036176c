"""Reads over HTTP: lists, single calls, aggregates, summaries, breakdowns, queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from llm_cost_ops.core.jsontext import JsonError
from llm_cost_ops.server.access.deps import require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.analytics import answers, schemas
from llm_cost_ops.server.analytics.asked import Asked
from llm_cost_ops.server.analytics.record import get_call, get_entries
from llm_cost_ops.server.analytics.request import Home, home
from llm_cost_ops.server.analytics.stream import stream_calls
from llm_cost_ops.server.db.session import ReadSession, read, report, snapshot
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import decode, json_response
from llm_cost_ops.server.http.openapi import answers as documented
from llm_cost_ops.server.http.openapi import list_of
from llm_cost_ops.server.http.problems import invalid

Reader = Depends(require("read:costs", conditions="applied"))
Read = Callable[[ReadSession, Asked, Principal, Home], Mapping[str, object]]

router = APIRouter(prefix="/api/v1", tags=["costs"])


async def json_object(request: Request) -> dict[str, object]:
    """The body as a JSON object with exact numbers. Raises JsonError."""
    value = decode(await request.body())
    if not isinstance(value, dict):
        raise JsonError("The body must be a JSON object.")
    return cast("dict[str, object]", value)


Body = Depends(json_object)


def asked_in_url(request: Request) -> Asked:
    """The parameters of the URL."""
    return Asked.of_url(request.query_params.multi_items())


def _answer(request: Request, principal: Principal, asked: Asked, read_it: Read) -> Response:
    """The answer of a read, all of whose statements see one state of the ledger."""
    with report(deps.database(request)) as session:
        at = home(session, principal, deps.clock(request).now())
        return json_response(read_it(session, asked, principal, at))


@router.get(
    "/costs",
    operation_id="listCosts",
    openapi_extra=schemas.takes(
        *schemas.WHICH, *schemas.PAGED, schemas.STREAMED, *schemas.GROUPED[:2]
    ),
    responses=schemas.LISTED,
)
@router.get("/costs/records", operation_id="listCostRecords", include_in_schema=False)
def list_costs(request: Request, principal: Principal = Reader) -> Response:
    """Calls, one row each; with `group_by` their totals and a breakdown."""
    asked = asked_in_url(request)
    if asked.holds("group_by"):
        named = asked.pop("group_by")
        if named == "":
            raise invalid("group_by", "must name a dimension, or none")
        asked.put("group_by", named)
        return _answer(request, principal, asked, answers.grouped_summary_answer)
    if asked.flag("stream") or schemas.NDJSON in request.headers.get("accept", ""):
        return _stream(request, principal, asked)
    return _answer(request, principal, asked, answers.list_answer)


def _stream(request: Request, principal: Principal, asked: Asked) -> Response:
    database = deps.database(request)
    paging = asked.paging()
    limit_text = paging.pop("limit", None)
    if limit_text is not None and not (limit_text.isascii() and limit_text.isdigit()):
        raise invalid("limit", "must be a whole number")
    for name in paging:
        asked.errors[name] = "has no meaning in a stream"
    with read(database) as session:
        at = home(session, principal, deps.clock(request).now())
    selection, wanted, fields = answers.list_parts(asked, principal, at)
    if wanted.by:
        raise invalid("order_by", "a stream is in the order of time")
    limit = None if limit_text is None else int(limit_text)
    chunks = stream_calls(database, selection, wanted, fields, limit)
    return StreamingResponse(chunks, media_type=schemas.NDJSON)


@router.get(
    "/usage/history",
    operation_id="listUsageHistory",
    openapi_extra=schemas.takes(*schemas.WHICH, *schemas.PAGED),
    responses=documented(200, list_of(schemas.ROW), "A page of calls."),
)
def usage_history(request: Request, principal: Principal = Reader) -> Response:
    """Calls in pages of 20 by default and 100 at most."""

    def history(
        session: ReadSession, asked: Asked, principal: Principal, at: Home
    ) -> Mapping[str, object]:
        return answers.list_answer(
            session,
            asked,
            principal,
            at,
            default=answers.HISTORY_DEFAULT,
            most=answers.HISTORY_MOST,
        )

    return _answer(request, principal, asked_in_url(request), history)


@router.get(
    "/costs/aggregate",
    operation_id="aggregateCosts",
    openapi_extra=schemas.takes(*schemas.WHICH, *schemas.GROUPED),
    responses=documented(200, list_of(schemas.GROUP), "Groups of calls."),
)
def aggregate_costs(request: Request, principal: Principal = Reader) -> Response:
    """Groups of calls with exact sums. Groups by `tag` overlap: a call is in that of each tag."""
    return _answer(request, principal, asked_in_url(request), answers.aggregate_answer)


@router.get(
    "/costs/summary",
    operation_id="summarizeCosts",
    openapi_extra=schemas.takes(*schemas.WHICH, schemas.GROUPED[1]),
    responses=documented(200, schemas.SUMMARY, "Totals of a period."),
)
@router.get("/analytics/summary", operation_id="summarizeAnalytics", include_in_schema=False)
def summarize_costs(request: Request, principal: Principal = Reader) -> Response:
    """Totals of a period, the dearest models and a trend by day."""
    return _answer(request, principal, asked_in_url(request), answers.summary_answer)


@router.get(
    "/analytics",
    operation_id="analyzeCosts",
    openapi_extra=schemas.takes(schemas.INTERVAL, *schemas.WHICH, *schemas.GROUPED),
    responses=documented(200, schemas.ANY_OBJECT, "Metrics per interval and group, or in total."),
)
def analyze_costs(request: Request, principal: Principal = Reader) -> Response:
    """Metrics per interval and group; without either, one object of totals."""
    return _answer(request, principal, asked_in_url(request), answers.analytics_answer)


@router.get(
    "/costs/breakdown",
    operation_id="breakDownCosts",
    openapi_extra=schemas.takes(*schemas.WHICH, *schemas.GROUPED[:4]),
    responses=documented(200, list_of(schemas.GROUP), "Groups by each dimension on its own."),
)
def break_down_costs(request: Request, principal: Principal = Reader) -> Response:
    """Groups by each dimension on its own, with their share of the total."""
    return _answer(request, principal, asked_in_url(request), answers.breakdown_answer)


@router.post(
    "/costs/breakdown",
    operation_id="breakDownCostsByBody",
    openapi_extra=schemas.QUERY_BODY,
    responses=documented(200, list_of(schemas.GROUP), "Groups by each dimension on its own."),
)
def break_down_by_body(
    request: Request, body: dict[str, object] = Body, principal: Principal = Reader
) -> Response:
    """The same with the parameters in a body."""
    asked = Asked(body, in_url=False)
    return _answer(request, principal, asked, answers.breakdown_answer)


@router.post(
    "/costs/query",
    operation_id="queryCosts",
    openapi_extra=schemas.QUERY_BODY,
    responses=documented(200, list_of(schemas.ANY_OBJECT), "Calls, or groups of calls."),
)
def query_costs(
    request: Request, body: dict[str, object] = Body, principal: Principal = Reader
) -> Response:
    """Calls that meet filters with operators; groups with `group_by` or `metrics`."""
    with report(deps.database(request)) as session:
        at = home(session, principal, deps.clock(request).now())
        return json_response(answers.query_answer(session, body, principal, at))


@router.get(
    "/costs/{record_id}/entries",
    operation_id="listCostEntries",
    responses=documented(200, list_of(schemas.ENTRY), "The call and each correction."),
)
def list_entries(record_id: str, request: Request, principal: Principal = Reader) -> Response:
    """The entries of the ledger that a call is made of, oldest first."""
    with snapshot(deps.database(request)) as session:
        rows = get_entries(session, principal.organization_id, record_id, principal.reach)
    pagination = {"count": len(rows), "has_more": False}
    return json_response(
        {"data": rows, "has_more": False, "next_cursor": None, "pagination": pagination}
    )


@router.get(
    "/costs/{record_id}",
    operation_id="getCost",
    responses=documented(200, schemas.CALL, "The call."),
)
@router.get(
    "/usage/{record_id}",
    operation_id="getUsage",
    responses=documented(200, schemas.CALL, "The call."),
)
def get_cost(record_id: str, request: Request, principal: Principal = Reader) -> Response:
    """One call with the lines of its cost."""
    with snapshot(deps.database(request)) as session:
        found = get_call(session, principal.organization_id, record_id, principal.reach)
    return json_response(found)
