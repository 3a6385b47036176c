"""From what a caller asked for to the selection of calls: organization, period and filters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.period import (
    ALL_TIME,
    DateRangeError,
    Window,
    last_days,
    named_period,
    time_zone,
    window_between,
)
from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.server.access.deps import own_organization
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.analytics.asked import Asked
from llm_cost_ops.server.analytics.conditions import Condition, condition
from llm_cost_ops.server.analytics.fields import FIELD_NAMES, Field, Shape, find_field
from llm_cost_ops.server.analytics.reach import reach_conditions
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.identity.organizations import (
    DEFAULT_CURRENCY,
    DEFAULT_TIME_ZONE,
    get_organization,
)

MAX_DAYS = 10_000
MAX_CONDITIONS = 100
MAX_COMPARED = 10_000
"""Values in all conditions together. SQLite bears a depth of 1,000 in an expression, PostgreSQL
65,535 parameters in a statement, and a statement may hold each condition more than once."""
START_NAMES = ("start_date", "start", "start_time", "from", "since")
END_NAMES = ("end_date", "end", "end_time", "to", "until")
ZONE_NAMES = ("timezone", "time_zone", "tz")
PERIOD_NAMES = ("period", "range")
_BOUNDS = {"min_cost": ("cost", "gte"), "max_cost": ("cost", "lte")}


@dataclass(frozen=True, slots=True)
class Home:
    """The organization that asks: its currency names the zero of an empty result."""

    organization_id: str
    currency: str
    time_zone: str
    now: datetime


def home(session: ReadSession, principal: Principal, now: datetime) -> Home:
    """The organization of the principal."""
    found = get_organization(session, principal.organization_id)
    if found is None:
        return Home(principal.organization_id, DEFAULT_CURRENCY, DEFAULT_TIME_ZONE, now)
    return Home(found.id, found.currency, found.time_zone, now)


def selection_of(asked: Asked, principal: Principal, at: Home) -> Selection:
    """Reads the organization, the period and every filter, and adds what the principal reaches:
    whatever is read passes here. Faults are noted in `asked`.

    Raises Problem 403 for another organization and 422 INVALID_DATE_RANGE.
    """
    own_organization(principal, asked.text("organization_id", "organization", "org_id"))
    zone_name = asked.text(*ZONE_NAMES)
    try:
        zone = time_zone(zone_name or at.time_zone)
    except DomainError as error:
        asked.note(error, "timezone")
        zone = time_zone(DEFAULT_TIME_ZONE)
    selection = Selection(at.organization_id, ALL_TIME, zone)
    try:
        selection = selection.within(_window(asked, selection, at))
    except DateRangeError as error:
        raise Problem(422, error.code, "The period is not valid.", error.field_errors) from None
    except DomainError as error:
        asked.note(error, "period")
    given = asked.pop("filters", "filter")
    found = [*_nested(asked, given), *_flat(asked, asked.rest())]
    if len(found) > MAX_CONDITIONS or sum(len(each.values) for each in found) > MAX_COMPARED:
        asked.errors["filters"] = (
            f"must be at most {MAX_CONDITIONS} conditions with {MAX_COMPARED} values in all"
        )
    return selection.also(*found, *reach_conditions(principal.reach))


def _window(asked: Asked, selection: Selection, at: Home) -> Window:
    start, end = asked.text(*START_NAMES), asked.text(*END_NAMES)
    period = asked.text(*PERIOD_NAMES)
    days = asked.number("days", 1, MAX_DAYS)
    given = [start is not None or end is not None, period is not None, days is not None]
    if sum(given) > 1:
        asked.errors["period"] = "cannot be combined with dates or days"
    if period is not None:
        return named_period(period, at.now, selection.zone)
    if days is not None:
        return last_days(days, at.now, selection.zone)
    return window_between(start, end, selection.zone)


def _flat(asked: Asked, given: Mapping[str, object]) -> list[Condition]:
    """`name=value`, a list of values (any of them; of tags: all), or `{operator: value}`."""
    found: list[Condition] = []
    for name, value in given.items():
        bound, relation = _BOUNDS.get(name, (name, ""))
        field = find_field(bound)
        if field is None:
            asked.errors[name[:255]] = "is not a known parameter"
        elif relation:
            _add(asked, found, field, relation, value, name)
        elif isinstance(value, dict):
            for key, inner in cast("dict[str, object]", value).items():
                _add(asked, found, field, key, inner, name)
        elif field.shape is Shape.TAGS:
            listed = cast("list[object]", value if isinstance(value, list) else [value])
            for tag in listed:
                _add(asked, found, field, "eq", tag, name)
        else:
            _add(asked, found, field, _plain_relation(value), value, name)
    return found


def _nested(asked: Asked, given: object) -> list[Condition]:
    """`filters`: an object like the parameters, or a list of {field, operator, value}."""
    if given is None:
        return []
    if isinstance(given, dict):
        return _flat(asked, cast("dict[str, object]", given))
    found: list[Condition] = []
    listed = cast("list[object]", given) if isinstance(given, list) else [given]
    for item in listed:
        if not isinstance(item, dict):
            asked.errors["filters"] = "must be an object, or a list of {field, operator, value}"
            continue
        triple = cast("dict[str, object]", item)
        name = str(triple.get("field", ""))
        field = find_field(name)
        if field is None:
            asked.errors["filters"] = f"has no field {name[:255]!r}: {', '.join(FIELD_NAMES)}"
            continue
        relation = str(triple.get("operator", triple.get("op", "eq")))
        _add(asked, found, field, relation, triple.get("value", triple.get("values")), name)
    return found


def _plain_relation(value: object) -> str:
    return "in" if isinstance(value, list) else "eq"


def _add(
    asked: Asked, found: list[Condition], field: Field, relation: str, value: object, name: str
) -> None:
    try:
        found.append(condition(field, relation, _canonical(field, value), name))
    except DomainError as error:
        asked.note(error, name)


def _canonical(field: Field, value: object) -> object:
    """Provider names as they are stored: `vertex` and its kin stand for their canonical id."""
    if field.name != "provider":
        return value
    if isinstance(value, list):
        return [_canonical(field, item) for item in cast("list[object]", value)]
    return (provider_id(value) or value) if isinstance(value, str) else value
