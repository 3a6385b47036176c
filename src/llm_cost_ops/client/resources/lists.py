"""The documented ways to ask for part of a list, as one walk."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

from llm_cost_ops.client.caller import Caller, many
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.rows import Row
from llm_cost_ops.client.walks import SERVER_PAGE_LIMIT, PageWalk

RowT = TypeVar("RowT", bound=Row)
LOG = logging.getLogger("llm_cost_ops.client")

LIST_ALL_ROWS = 100_000
"""Where a list without a limit stops, with `has_more` set and a warning; list_stream goes on."""


def scoped(caller: Caller, params: Mapping[str, Any]) -> dict[str, Any]:
    """The query with the client's organization where the call names none."""
    organization = caller.settings.organization_id
    if organization is None or params.get("organization_id") is not None:
        return dict(params)
    return {**params, "organization_id": organization}


def listed(
    caller: Caller,
    path: str,
    params: Mapping[str, Any],
    kind: type[RowT],
    *,
    largest_page: int = SERVER_PAGE_LIMIT,
) -> Flow[Page[RowT]]:
    """The part asked for: one page for page/per_page or a cursor, `limit` rows, or all.

    A page above the server's `largest_page` is collected from several.
    """
    query = dict(params)
    page, per_page, size = (query.pop(name, None) for name in ("page", "per_page", "page_size"))
    limit = query.pop("limit", None)
    limit = size if limit is None else limit
    if page is not None and per_page is None:
        per_page, limit = limit, None
    if page is not None and (per_page is None or per_page <= largest_page):
        answer = yield from caller.get(path, {**query, "page": page, "per_page": per_page})
        return many(answer, kind)
    if page is not None:
        query["offset"], limit = (page - 1) * per_page, per_page
    elif limit is None:
        limit = per_page
    if limit is None and query.get("cursor") is not None:
        return many((yield from caller.get(path, query)), kind)
    bound = LIST_ALL_ROWS if limit is None else limit
    rows = yield from PageWalk(caller, path, query, kind, limit=bound).collect()
    if limit is None and rows.has_more:
        LOG.warning("%s has more than %d rows: iterate with list_stream()", path, LIST_ALL_ROWS)
    return rows


def streamed(
    caller: Caller, path: str, params: Mapping[str, Any], kind: type[RowT]
) -> PageWalk[RowT]:
    """All rows, or the first `limit`, one page in memory at a time."""
    query = dict(params)
    size = next(
        (query.pop(n) for n in ("per_page", "page_size") if query.get(n)), SERVER_PAGE_LIMIT
    )
    limit = query.pop("limit", None)
    return PageWalk(caller, path, query, kind, limit=limit, page_size=size)
