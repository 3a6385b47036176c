"""Reads as answers: what each endpoint gives for what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from llm_cost_ops.core.buckets import GRAINS
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.analytics.aggregate import (
    Answer,
    Question,
    Row,
    aggregate,
    order_of,
    question_of,
)
from llm_cost_ops.server.analytics.asked import Asked
from llm_cost_ops.server.analytics.breakdown import breakdown, grouped_summary, overall
from llm_cost_ops.server.analytics.groups import MAX_GROUPS
from llm_cost_ops.server.analytics.metrics import always, metrics
from llm_cost_ops.server.analytics.pages import Order, list_calls, order, page_of, projection
from llm_cost_ops.server.analytics.request import Home, selection_of
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.analytics.summary import period_of, summary, totals_of
from llm_cost_ops.server.analytics.totals import Totals
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.http.pagination import MAX_LIMIT, MAX_OFFSET, page_answer
from llm_cost_ops.server.http.problems import Problem

Document = dict[str, object]
MAX_QUERIES = 100
LIST_DEFAULT = 100
HISTORY_DEFAULT, HISTORY_MOST = 20, 100
T = TypeVar("T")


def list_answer(
    session: ReadSession,
    asked: Asked,
    principal: Principal,
    at: Home,
    *,
    default: int = LIST_DEFAULT,
    most: int = MAX_LIMIT,
) -> Document:
    """A page of calls."""
    paging = asked.paging()
    selection, wanted, fields = list_parts(asked, principal, at)
    subject = f"{selection.organization_id} {asked.subject}"
    page = page_of(paging, subject, wanted, default=default, most=most)
    rows, cursor = list_calls(session, selection, wanted, page, fields, subject)
    return page_answer(rows, page, cursor)


def list_parts(
    asked: Asked, principal: Principal, at: Home
) -> tuple[Selection, Order, tuple[str, ...]]:
    """Which calls, in which order, with which fields. Raises Problem 422."""
    wanted = _noted(asked, "order_by", lambda: order(order_of(asked)), Order())
    fields = _noted(asked, "fields", lambda: projection(asked.names("fields")), ())
    selection = selection_of(asked, principal, at)
    asked.check()
    return selection, wanted, fields


def aggregate_answer(
    session: ReadSession, asked: Asked, principal: Principal, at: Home
) -> Document:
    """Groups with their metrics."""
    question, selection = _grouped(asked, principal, at)
    return _rows_answer(aggregate(session, selection, question, at.currency), question, selection)


def summary_answer(session: ReadSession, asked: Asked, principal: Principal, at: Home) -> Document:
    """Totals of a period with the dearest models and a trend."""
    period = asked.text("period", "range")
    if period is not None:
        asked.put("period", period)
    wanted = _noted(asked, "metrics", lambda: metrics(asked.names("metrics", "metric")), None)
    selection = selection_of(asked, principal, at)
    asked.check()
    every = wanted is not None and wanted.kinds
    found = summary(session, selection, at, all_kinds=every)
    return {**found, "period": period}


def grouped_summary_answer(
    session: ReadSession, asked: Asked, principal: Principal, at: Home
) -> Document:
    """Totals with a breakdown by all dimensions together: `GET /costs?group_by=`."""
    question, selection = _grouped(asked, principal, at)
    return grouped_summary(session, selection, question, at.currency)


def breakdown_answer(
    session: ReadSession, asked: Asked, principal: Principal, at: Home
) -> Document:
    """Groups by each dimension on its own."""
    question, selection = _grouped(asked, principal, at)
    if not question.dimensions:
        raise Problem(
            422, "VALIDATION_ERROR", "The request is not valid.", {"dimensions": "is required"}
        )
    rows = breakdown(session, selection, question, at.currency)
    return {
        "data": rows,
        "has_more": False,
        "next_cursor": None,
        "pagination": {"count": len(rows), "has_more": False},
        **period_of(selection),
    }


def analytics_answer(
    session: ReadSession, asked: Asked, principal: Principal, at: Home
) -> Document:
    """Metrics per interval and group; without either, the metrics of everything as one object."""
    interval = asked.text("interval", "granularity")
    if interval not in (None, "none", *GRAINS):
        asked.errors["interval"] = f"must be one of: {', '.join(GRAINS)}"
    more = (interval,) if interval in GRAINS else ()
    question, selection = _grouped(asked, principal, at, more=more)
    found = aggregate(session, selection, question, at.currency)
    if not question.dimensions:
        totals = totals_of(overall(session, selection, at.currency), at.currency)
        one = found.rows[0] if len(found.rows) == 1 else {}
        return {**period_of(selection), **one, **totals}
    for row in found.rows:
        if interval in GRAINS:
            row["period"] = row[interval]
    return {**_rows_answer(found, question, selection), "interval": interval}


def query_answer(
    session: ReadSession, body: Mapping[str, object], principal: Principal, at: Home
) -> Document:
    """A query with operators: rows of calls, or groups; with `queries`, the totals or groups of
    each in order."""
    queries = body.get("queries")
    if queries is None:
        return _one_query(session, Asked(body, in_url=False), principal, at)
    listed = cast("list[object]", queries) if isinstance(queries, list) else []
    if len(body) > 1 or not 0 < len(listed) <= MAX_QUERIES:
        text = f"must be alone, and a list of 1 to {MAX_QUERIES} queries"
        raise Problem(422, "VALIDATION_ERROR", "The request is not valid.", {"queries": text})
    found: list[Document] = []
    for index, query in enumerate(listed):
        if not isinstance(query, dict):
            text = "must be an object"
            raise Problem(
                422, "VALIDATION_ERROR", "The request is not valid.", {f"queries.{index}": text}
            )
        given = cast("dict[str, object]", query)
        asked = Asked(given, in_url=False)
        found.append({"query": given, **_part(session, asked, principal, at)})
    return {
        "data": found,
        "has_more": False,
        "next_cursor": None,
        "pagination": {"count": len(found), "has_more": False},
    }


def _one_query(session: ReadSession, asked: Asked, principal: Principal, at: Home) -> Document:
    if any(asked.holds(name) for name in ("group_by", "dimensions", "metrics", "metric")):
        return aggregate_answer(session, asked, principal, at)
    return list_answer(session, asked, principal, at)


def _part(session: ReadSession, asked: Asked, principal: Principal, at: Home) -> Document:
    """One of several queries: groups where it asks for them, else totals."""
    if asked.holds("group_by") or asked.holds("dimensions"):
        return aggregate_answer(session, asked, principal, at)
    return analytics_answer(session, asked, principal, at)


def _grouped(
    asked: Asked, principal: Principal, at: Home, *, more: tuple[str, ...] = ()
) -> tuple[Question, Selection]:
    limit = asked.number("limit", 1, MAX_GROUPS)
    offset = asked.number("offset", 0, MAX_OFFSET) or 0
    question = question_of(asked, more=more, limit=limit, offset=offset)
    selection = selection_of(asked, principal, at)
    asked.check()
    return question, selection


def _rows_answer(found: Answer, question: Question, selection: Selection) -> Document:
    answer: Document = {
        "data": found.rows,
        "has_more": found.has_more,
        "next_cursor": None,
        "pagination": {
            "limit": question.limit,
            "offset": question.offset,
            "count": len(found.rows),
            "has_more": found.has_more,
        },
        "group_by": [dimension.key for dimension in question.dimensions],
        **period_of(selection),
    }
    if found.totals is not None:
        answer["totals"] = _per_currency(found.totals)
    return answer


def _per_currency(totals: Mapping[str, Totals]) -> list[Row]:
    return [{"currency": currency, **always(found)} for currency, found in totals.items()]


def _noted(asked: Asked, name: str, read: Callable[[], T], otherwise: T) -> T:
    try:
        return read()
    except DomainError as error:
        asked.note(error, name)
        return otherwise
