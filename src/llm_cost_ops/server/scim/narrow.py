"""Filters as conditions of the database: the whole of a filter, or a part that narrows it down.

What the database cannot decide is decided on the resources that are left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scim2_models.path import (
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    LogicalExpr,
    LogicalOperator,
)
from sqlalchemy import ColumnElement, and_, func, or_

from llm_cost_ops.server.scim.resources import GROUP, USER
from llm_cost_ops.server.scim.store import SAID, TEAM, name_key
from llm_cost_ops.server.scim.store import USER as ROW

Column = Callable[[str], "ColumnElement[bool] | None"]


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A condition, and whether it is the whole filter."""

    condition: ColumnElement[bool] | None
    exact: bool


def _user_name(value: str) -> ColumnElement[bool]:
    """A person whom no provider named is called by the address, one without that by the id."""
    key = name_key(value)
    unnamed = SAID.user_id.is_(None)
    by_address = unnamed & (ROW.email == key)
    by_id = unnamed & ROW.email.is_(None) & (ROW.id == value)
    return (SAID.user_name_key == key) | by_address | by_id


def _team_name(value: str) -> ColumnElement[bool] | None:
    """A database's lower case need not be Unicode's: names beyond ASCII are not for it."""
    return func.lower(TEAM.name) == value.lower() if value.isascii() else None


USERS: Mapping[str, Column] = {
    "id": lambda value: ROW.id == value,
    "externalid": lambda value: ROW.external_id == value,
    "username": _user_name,
}
GROUPS: Mapping[str, Column] = {
    "id": lambda value: TEAM.id == value,
    "externalid": lambda value: TEAM.external_id == value,
    "displayname": _team_name,
}
_URN = {id(USERS): USER, id(GROUPS): GROUP}


def narrow(node: FilterNode, columns: Mapping[str, Column]) -> Narrowed:
    """What of a filter the database can decide."""
    if isinstance(node, Comparison):
        condition = _comparison(node, columns)
        return Narrowed(condition, condition is not None)
    if isinstance(node, LogicalExpr):
        parts = [narrow(term, columns) for term in node.terms]
        found = [part.condition for part in parts if part.condition is not None]
        exact = all(part.exact for part in parts)
        if node.op is LogicalOperator.and_ and found:
            return Narrowed(and_(*found), exact)
        if node.op is LogicalOperator.or_ and len(found) == len(parts):
            return Narrowed(or_(*found), exact)
    return Narrowed(None, exact=False)


def _comparison(node: Comparison, columns: Mapping[str, Column]) -> ColumnElement[bool] | None:
    path: AttrPath = node.attr_path
    if node.op is not CompareOperator.eq or path.sub_attr is not None:
        return None
    if path.uri is not None and path.uri.lower() != _URN[id(columns)].lower():
        return None
    column = columns.get(path.attr.lower())
    if column is None or not isinstance(node.value, str):
        return None
    return column(node.value)
