"""Paging: the cursor is canonical; page/per_page, limit/offset and page_size are read too.

A cursor is a position in one query, encoded with a digest of that query. It is not a secret and
grants nothing, because every query is bound to the caller's organization anyway; the digest only
tells a cursor of another query from a damaged one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import Query

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.jsontext import JsonError, dumps, loads
from llm_cost_ops.server.http.problems import Problem

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_OFFSET = 1_000_000
MAX_CURSOR_LENGTH = 8192
PARAMETERS = frozenset({"cursor", "limit", "offset", "page", "per_page", "page_size"})
_SIZES = ("limit", "per_page", "page_size")
_VERSION = 1
Position = Sequence[int | str | None]
_Size = Annotated[int | None, Query(ge=1, description="Rows of a page; more than 1000 mean 1000.")]


async def paging_parameters(
    limit: _Size = None,
    per_page: _Size = None,
    page_size: _Size = None,
    page: Annotated[int | None, Query(ge=1, description="Number of the page, from 1.")] = None,
    offset: Annotated[int | None, Query(ge=0, description="Rows to leave out.")] = None,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> None:
    """Documents the parameters of a list; `page_request` reads them together.

    For use as `dependencies=[Depends(paging_parameters)]`.
    """


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which rows are wanted: at most `limit`, after `position` or after `offset` rows."""

    limit: int
    offset: int = 0
    position: tuple[int | str | None, ...] | None = None
    page: int | None = None


def page_request(
    query: Mapping[str, str],
    subject: str,
    kinds: Sequence[type[int] | type[str]],
    *,
    default: int = DEFAULT_LIMIT,
) -> PageRequest:
    """The page that the query parameters ask for.

    `subject` names the query (organization, filters, order): a cursor is valid for the same one
    only. `kinds` are the types of the values of a position. A size above 1000 means 1000. Raises
    Problem 422 with every wrong field.
    """
    errors: dict[str, str] = {}
    limit = _size(query, default, errors)
    offset = _number(query, "offset", 0, MAX_OFFSET, errors) or 0
    page = _number(query, "page", 1, MAX_OFFSET, errors)
    by_page = (page - 1) * limit if page is not None else 0
    cursor = query.get("cursor")
    position: tuple[int | str | None, ...] | None = None
    if cursor and (offset or by_page):
        errors["cursor"] = "cannot be combined with page or offset"
    elif cursor:
        position = _position(cursor, subject, kinds, errors)
    if page is not None and "offset" in query and offset != by_page:
        errors["offset"] = "contradicts page"
    if by_page > MAX_OFFSET:
        errors["page"] = "is too far: follow next_cursor instead"
    if errors:
        raise Problem(422, "VALIDATION_ERROR", "The request is not valid.", errors)
    return PageRequest(limit, offset or by_page, position, page)


def _size(query: Mapping[str, str], default: int, errors: dict[str, str]) -> int:
    found: dict[str, int] = {}
    for name in _SIZES:
        value = _number(query, name, 1, 10**12, errors)
        if value is not None:
            found[name] = value
    if len(set(found.values())) > 1:
        errors[list(found)[-1]] = f"contradicts {next(iter(found))}"
    return min(next(iter(found.values()), default), MAX_LIMIT)


def _number(
    query: Mapping[str, str], name: str, low: int, high: int, errors: dict[str, str]
) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        errors[name] = f"must be a whole number of at least {low}"
    elif not low <= int(text) <= high:
        errors[name] = f"must be between {low} and {high}"
    else:
        return int(text)
    return None


def encode_cursor(subject: str, position: Position) -> str:
    """The opaque text of a position."""
    text = dumps([_VERSION, _digest(subject), *position])
    return base64.urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")


def _position(
    cursor: str,
    subject: str,
    kinds: Sequence[type[int] | type[str]],
    errors: dict[str, str],
) -> tuple[int | str | None, ...] | None:
    try:
        return decode_cursor(cursor, subject, kinds)
    except CursorError as error:
        errors["cursor"] = error.message
        return None


class CursorError(DomainError):
    """Text that is no cursor of this query."""


def decode_cursor(
    cursor: str, subject: str, kinds: Sequence[type[int] | type[str]]
) -> tuple[int | str | None, ...]:
    """The position that `encode_cursor` wrote. Raises CursorError."""
    values = _values(cursor)
    if values[:1] != [_VERSION]:
        raise CursorError("is not a cursor of this server", field="cursor")
    position = tuple(values[2:])
    if len(values) < 2 or len(position) != len(kinds):
        raise CursorError("is not a cursor of this query", field="cursor")
    if values[1] != _digest(subject):
        raise CursorError("belongs to a query with other filters or another order", field="cursor")
    for value, kind in zip(position, kinds, strict=True):
        if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
            raise CursorError("is not a cursor of this query", field="cursor")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise CursorError("is not a cursor of this query", field="cursor")
        if isinstance(value, str) and "\x00" in value:
            raise CursorError("is not a cursor of this query", field="cursor")
    return position


def _values(cursor: str) -> list[Any]:
    if len(cursor) > MAX_CURSOR_LENGTH or not cursor.isascii():
        raise CursorError("is not a cursor of this server", field="cursor")
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        values = loads(raw.decode("utf-8"))
    except (binascii.Error, UnicodeDecodeError, JsonError):
        raise CursorError("is not a cursor of this server", field="cursor") from None
    return cast("list[Any]", values) if isinstance(values, list) else []


def _digest(subject: str) -> str:
    return hashlib.sha256(subject.encode()).hexdigest()[:16]


def page_answer(
    rows: Sequence[object],
    request: PageRequest,
    next_cursor: str | None,
    **more: object,
) -> dict[str, object]:
    """The documented list: `{data, has_more, next_cursor, pagination}` and what `more` adds."""
    pagination: dict[str, object] = {
        "limit": request.limit,
        "per_page": request.limit,
        "page_size": request.limit,
        "count": len(rows),
        "has_more": next_cursor is not None,
        "next_cursor": next_cursor,
    }
    if request.position is None:
        pagination["offset"] = request.offset
        pagination["page"] = request.page or request.offset // request.limit + 1
    return {
        "data": rows,
        "has_more": next_cursor is not None,
        "next_cursor": next_cursor,
        "pagination": pagination,
        **more,
    }


def rows_before(request: PageRequest) -> int:
    """How many rows a page leaves out, where the cursor of a list is a count of rows."""
    if request.position is None:
        return request.offset
    (start,) = request.position
    if isinstance(start, int) and 0 <= start <= MAX_OFFSET:
        return start
    raise CursorError("is not a cursor of this query", field="cursor")


def counted_page(found: Sequence[object], request: PageRequest, subject: str) -> dict[str, object]:
    """The answer of such a list; `found` are the rows of the page and one more if any."""
    more = len(found) > request.limit
    position = [rows_before(request) + request.limit]
    cursor = encode_cursor(subject, position) if more else None
    return page_answer(found[: request.limit], request, cursor)
