"""What roles give: permissions, each within conditions on calls.

Conditions name teams, models, projects or environments. A call meets them when it has one of the
values of every dimension that they name. Whoever holds several roles reaches, with a permission,
what any of the roles that hold this permission reaches, and no more: a role without conditions
does not widen the permissions of another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.permissions import common, holds
from llm_cost_ops.core.scope import WHOLE, Facts, Scope, ScopeError, parse_scope

DIMENSIONS: Mapping[str, str] = {
    "team": "team_id",
    "models": "model",
    "projects": "project_id",
    "environments": "environment",
}
"""The names of conditions, each with the dimension of calls that it is about."""
_ALIASES = {
    "environment": "environments",
    "model": "models",
    "project": "projects",
    "project_id": "projects",
    "team_id": "team",
    "teams": "team",
}
_NAMES = {dimension: name for name, dimension in DIMENSIONS.items()}


class ConditionsError(DomainError):
    """Conditions that name something else, or values that no call can have."""


def parse_conditions(given: Mapping[str, object] | None, field: str = "conditions") -> Scope:
    """The scope of a role's conditions: a value or a list of values by name; none for no limit.

    Raises ConditionsError.
    """
    named: dict[str, object] = {}
    for name, values in (given or {}).items():
        kept = _ALIASES.get(name, name)
        if kept not in DIMENSIONS:
            raise ConditionsError(
                f"has no {name[:64]!r}: {', '.join(DIMENSIONS)}", field=f"{field}.{name[:64]}"
            )
        if DIMENSIONS[kept] in named:
            raise ConditionsError("is named twice", field=f"{field}.{kept}")
        if values is None:
            raise ConditionsError("must name at least one value", field=f"{field}.{kept}")
        named[DIMENSIONS[kept]] = values
    try:
        return parse_scope(named, field_name=field)
    except ScopeError as error:
        raise ConditionsError(error.message, field=_renamed(error.field, field)) from None


def _renamed(field: str | None, start: str) -> str:
    dimension = (field or "").rpartition(".")[2]
    return f"{start}.{_NAMES.get(dimension, dimension)}"


def conditions_wire(scope: Scope) -> dict[str, list[str]]:
    """Conditions as they are stored and shown."""
    return {_NAMES[dimension]: sorted(values) for dimension, values in scope.dimensions}


@dataclass(frozen=True, slots=True)
class Reach:
    """The calls that somebody may see or change: those inside any of the scopes."""

    scopes: tuple[Scope, ...]

    @property
    def is_everything(self) -> bool:
        """Whether it is the whole organization."""
        return WHOLE in self.scopes

    def holds(self, facts: Facts) -> bool:
        """Whether a call is reached."""
        return any(scope.holds(facts) for scope in self.scopes)

    def covers(self, scope: Scope) -> bool:
        """Whether every call of a scope is reached, as far as can be seen from its dimensions."""
        return any(scope.is_within(own) for own in self.scopes)

    def narrowed(self, other: Reach) -> Reach:
        """What both reach."""
        if self.is_everything:
            return other
        if other.is_everything:
            return self
        both = (_both(own, its) for own in self.scopes for its in other.scopes)
        return _reach(scope for scope in both if scope is not None)

    def text(self) -> str:
        """For people: `team ml-team, models gpt-4`; alternatives are joined by `or`."""
        return " or ".join(_text(scope) for scope in self.scopes) or "nothing"


EVERYWHERE = Reach((WHOLE,))
NOWHERE = Reach(())


def _text(scope: Scope) -> str:
    named = conditions_wire(scope).items()
    return ", ".join(f"{name} {'/'.join(values)}" for name, values in named) or "everything"


def _both(one: Scope, other: Scope) -> Scope | None:
    """The calls inside both; None when there can be none."""
    found = dict(one.dimensions)
    for dimension, values in other.dimensions:
        found[dimension] = found.get(dimension, values) & values
        if not found[dimension]:
            return None
    return Scope(tuple(sorted(found.items())))


def _reach(scopes: Iterable[Scope]) -> Reach:
    """The scopes without those that lie inside another one."""
    kept: list[Scope] = []
    for scope in scopes:
        if any(scope.is_within(other) for other in kept):
            continue
        kept = [other for other in kept if not other.is_within(scope)]
        kept.append(scope)
    return Reach(tuple(kept))


@dataclass(frozen=True, slots=True)
class Grant:
    """Canonical permissions, and the calls that they are about."""

    scopes: frozenset[str]
    within: Scope = WHOLE


@dataclass(frozen=True, slots=True)
class Grants:
    """What the roles of a user give. `role_names` and `team_ids` in order. `enabled` is false for a
    user who is disabled or unknown: whose credentials are refused."""

    parts: tuple[Grant, ...] = ()
    role_names: tuple[str, ...] = ()
    team_ids: tuple[str, ...] = ()
    enabled: bool = True

    @property
    def scopes(self) -> frozenset[str]:
        """The permissions of all roles together."""
        return scopes_of(self.parts)

    @property
    def conditions(self) -> Reach:
        """What any of the permissions reaches."""
        return _reach(part.within for part in self.parts)

    def limited(self, scopes: Iterable[str]) -> Grants:
        """What a credential with these scopes can do of it."""
        return replace(self, parts=limited(self.parts, frozenset(scopes)))


NOBODY = Grants(enabled=False)


def scopes_of(parts: Iterable[Grant]) -> frozenset[str]:
    """The permissions of all parts together."""
    return frozenset[str]().union(*(part.scopes for part in parts))


def limited(parts: Iterable[Grant], scopes: frozenset[str]) -> tuple[Grant, ...]:
    """The parts with no more permissions than `scopes`."""
    found = (Grant(common(part.scopes, scopes), part.within) for part in parts)
    return tuple(part for part in found if part.scopes)


def reach_of(parts: Iterable[Grant], required: Iterable[str]) -> Reach:
    """The calls that all of the canonical permissions reach; everything when none is required."""
    held = tuple(parts)
    found = EVERYWHERE
    for permission in required:
        own = _reach(part.within for part in held if holds(part.scopes, (permission,)))
        found = found.narrowed(own)
    return found


def beyond(held: Iterable[Grant], wanted: Grant) -> list[str]:
    """The permissions of `wanted` that who holds `held` cannot give, because they are not held or
    only within narrower conditions."""
    parts = tuple(held)
    return [
        permission
        for permission in sorted(wanted.scopes)
        if not reach_of(parts, (permission,)).covers(wanted.within)
    ]


def stored_conditions(value: object) -> Scope:
    """The conditions that a row holds. Raises ConditionsError for what no version has stored."""
    if value is None:
        return WHOLE
    if not isinstance(value, Mapping):
        raise ConditionsError("must be an object", field="conditions")
    return parse_conditions(cast("Mapping[str, object]", value))
