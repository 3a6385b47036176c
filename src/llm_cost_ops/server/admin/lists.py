"""Lists that are paged by the id of their last row, and answers after which keys may have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, cast

from anyio import from_thread
from fastapi import Request
from starlette.responses import Response

from llm_cost_ops.server.access.deps import keys
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.db.session import ReadSession, read
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.pagination import encode_cursor, page_answer, page_request


class HasId(Protocol):
    """A row of a list."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=HasId)


def paged(
    request: Request,
    subject: str,
    find: Callable[..., Sequence[T]],
    show: Callable[[ReadSession, Sequence[T]], Sequence[Any]],
) -> Response:
    """A page of what `find(session, limit=, offset=, after=)` gives, as `show` gives it form.
    `subject` names the query: organization and filters."""
    page = page_request(request.query_params, subject, (str,))
    after = cast("str | None", page.position[0]) if page.position else None
    with read(deps.database(request)) as session:
        found = find(session, limit=page.limit + 1, offset=page.offset, after=after)
        shown = found[: page.limit]
        rows = show(session, shown)
    following = encode_cursor(subject, [shown[-1].id]) if len(found) > page.limit else None
    return json_response(page_answer(rows, page, following))


def forgotten(request: Request, principal: Principal, user_id: str, answer: Response) -> Response:
    """The answer, after this process has forgotten what it knew of the user's keys; others look
    again within a second."""
    from_thread.run_sync(keys(request).forget_user, principal.organization_id, user_id)
    return answer
