"""Walking a list endpoint page by page, by cursor where the server gives one, else by offset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from llm_cost_ops.client.caller import Caller, many
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.rows import Row
from llm_cost_ops.exceptions import APIError

RowT = TypeVar("RowT", bound=Row)

SERVER_PAGE_LIMIT = 1000
"""The most rows the server gives in one page; a larger `limit` is collected from several."""


class PageWalk(Generic[RowT]):
    """All pages of one query, or the first `limit` rows of it.

    With `page_size` None the server's own page size is used.
    """

    def __init__(
        self,
        caller: Caller,
        path: str,
        params: Mapping[str, Any],
        kind: type[RowT],
        *,
        limit: int | None = None,
        page_size: int | None = SERVER_PAGE_LIMIT,
    ) -> None:
        self._caller = caller
        self._path = path
        self._params = dict(params)
        self._kind = kind
        self._left = limit
        self._page_size = page_size and min(page_size, SERVER_PAGE_LIMIT)
        self._last: Page[RowT] | None = None

    def step(self) -> Flow[Page[RowT]] | None:
        """The flow that fetches the next page; None after the last one."""
        done = self._last is not None and not self._last.has_more
        return None if done or self._left == 0 else self._fetch()

    def collect(self) -> Flow[Page[RowT]]:
        """All remaining rows as one page; `has_more` and `next_cursor` tell what lies beyond."""
        rows: list[RowT] = []
        last: Page[RowT] = Page()
        while (flow := self.step()) is not None:
            last = yield from flow
            rows += last
        return Page(
            rows, has_more=last.has_more, next_cursor=last.next_cursor, pagination=last.pagination
        )

    def _fetch(self) -> Flow[Page[RowT]]:
        sizes = [size for size in (self._page_size, self._left) if size is not None]
        size = min(sizes, default=None)
        body = yield from self._caller.get(self._path, {**self._params, "limit": size})
        page = many(body, self._kind)
        self._last = page
        if self._left is not None:
            if len(page) > self._left:
                del page[self._left :]
                page.has_more = True
            self._left -= len(page)
        self._advance(page)
        return page

    def _advance(self, page: Page[RowT]) -> None:
        if page.next_cursor is not None:
            if page.next_cursor == self._params.get("cursor"):
                raise APIError("the server gave the same cursor twice", status_code=200)
            self._params.pop("offset", None)
            self._params["cursor"] = page.next_cursor
        elif page.has_more and page:
            self._params["offset"] = int(self._params.get("offset") or 0) + len(page)
        else:
            page.has_more = False
