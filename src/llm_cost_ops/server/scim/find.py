"""Queries: filtered, ordered, a page of them; by the database where it can."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scim2_models import Resource, ScimFilter, SearchRequest
from sqlalchemy import ColumnElement

from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.scim import groups, store, users
from llm_cost_ops.server.scim.asked import Answer, Caller
from llm_cost_ops.server.scim.bounds import MAX_SCANNED
from llm_cost_ops.server.scim.discovery import LIST
from llm_cost_ops.server.scim.errors import refusal
from llm_cost_ops.server.scim.narrow import GROUPS, USERS, Column, Narrowed, narrow
from llm_cost_ops.server.scim.resources import Group, Person
from llm_cost_ops.server.scim.terms import dumped, search_of

AT_ONCE = 1_000
_Rows = Callable[..., Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of resource and how its rows are read."""

    name: str
    model: Any
    columns: Mapping[str, Column]
    count: Callable[[ReadSession, str, ColumnElement[bool] | None], int]
    rows: _Rows
    made: Callable[..., Sequence[Resource[Any]]]


KINDS: Mapping[str, Kind] = {
    "Users": Kind("Users", Person, USERS, store.count_people, store.people, users.resources),
    "Groups": Kind("Groups", Group, GROUPS, store.count_teams, store.team_rows, groups.resources),
}


def find(
    session: ReadSession, caller: Caller, query: Mapping[str, Any], names: Sequence[str]
) -> Answer:
    """A page of the resources of these kinds. Raises Problem 400 for a filter that is none, and
    for one that would look at more than MAX_SCANNED resources."""
    kinds = [KINDS[name] for name in names]
    wanted = search_of(_either(kinds), query)
    start = wanted.start_index or 1
    if len(kinds) == 1 and wanted.sort_by is None:
        narrowed = _narrowed(kinds[0], wanted)
        if narrowed.exact:
            return _by_database(session, caller, kinds[0], wanted, narrowed)
    found: list[Resource[Any]] = []
    for kind in kinds:
        found += _scan(session, caller, kind, wanted, MAX_SCANNED - len(found))
    ordered = wanted.sort(found)
    if wanted.sort_order == SearchRequest.SortOrder.descending and wanted.sort_by is None:
        ordered.reverse()
    page = ordered[start - 1 : start - 1 + (wanted.count or 0)]
    return _listed(page, len(ordered), wanted)


def _either(kinds: Sequence[Kind]) -> Any:
    """The type of a resource of any of these kinds."""
    return kinds[0].model if len(kinds) == 1 else kinds[0].model | kinds[1].model


def _narrowed(kind: Kind, wanted: SearchRequest[Any]) -> Narrowed:
    if wanted.filter is None:
        return Narrowed(None, exact=True)
    return narrow(wanted.filter.ast, kind.columns)


def _by_database(
    session: ReadSession,
    caller: Caller,
    kind: Kind,
    wanted: SearchRequest[Any],
    narrowed: Narrowed,
) -> Answer:
    organization_id, condition = caller.organization_id, narrowed.condition
    total = kind.count(session, organization_id, condition)
    start = wanted.start_index or 1
    rows: Sequence[Any] = ()
    if wanted.count and start <= total:
        rows = kind.rows(session, organization_id, condition, limit=wanted.count, offset=start - 1)
    return _listed(_made(session, caller, kind, rows, wanted), total, wanted)


def _made(
    session: ReadSession,
    caller: Caller,
    kind: Kind,
    rows: Sequence[Any],
    wanted: SearchRequest[Any],
) -> Sequence[Resource[Any]]:
    if kind.name == "Groups" and not _shows_members(wanted):
        return groups.resources(session, caller, rows, with_members=False)
    return kind.made(session, caller, rows)


def _shows_members(wanted: SearchRequest[Any]) -> bool:
    """Whether a query needs the members of groups: providers leave them out of large ones."""
    asked = " ".join(str(part) for part in (wanted.filter, wanted.sort_by) if part).lower()
    left_out = {str(path).lower() for path in wanted.excluded_attributes or ()}
    return "members" not in left_out or "members" in asked


def _scan(
    session: ReadSession,
    caller: Caller,
    kind: Kind,
    wanted: SearchRequest[Any],
    at_most: int,
) -> list[Resource[Any]]:
    """The resources that match, of those that the database could not tell apart."""
    organization_id, condition = caller.organization_id, _narrowed(kind, wanted).condition
    if kind.count(session, organization_id, condition) > at_most:
        raise refusal(
            400,
            f"More than {MAX_SCANNED} resources would have to be looked at: filter by userName, "
            "displayName, externalId or id, without sortBy.",
            "tooMany",
        )
    matcher: Any = None
    if wanted.filter is not None:
        bound: Any = ScimFilter
        matcher = bound[kind.model](str(wanted.filter))
    found: list[Resource[Any]] = []
    for offset in range(0, at_most, AT_ONCE):
        rows = kind.rows(session, organization_id, condition, limit=AT_ONCE, offset=offset)
        made = _made(session, caller, kind, rows, wanted)
        found += [each for each in made if matcher is None or matcher.match(each)]
        if len(rows) < AT_ONCE:
            break
    return found


def _listed(page: Sequence[Resource[Any]], total: int, wanted: SearchRequest[Any]) -> Answer:
    body = {
        "schemas": [LIST],
        "totalResults": total,
        "startIndex": wanted.start_index or 1,
        "itemsPerPage": len(page),
        "Resources": [dumped(each, wanted) for each in page],
    }
    return Answer(200, body)
