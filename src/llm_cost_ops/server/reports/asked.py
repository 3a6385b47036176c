"""What a report is asked for: of what, about which calls, converted and divided by which rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any, cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.exchange import ExchangeRate, parse_rate
from llm_cost_ops.core.grants import Reach
from llm_cost_ops.core.instant import from_micros, parse_day, to_micros
from llm_cost_ops.core.money import check_currency, parse_decimal
from llm_cost_ops.core.period import ALL_TIME, Window, day_start, local_day
from llm_cost_ops.core.report.allocate import BASES, Basis, Rule, check_rules
from llm_cost_ops.core.report.compare import PREVIOUS, earlier
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.analytics.aggregate import dimensions
from llm_cost_ops.server.analytics.asked import Asked
from llm_cost_ops.server.analytics.fields import find_dimension
from llm_cost_ops.server.analytics.request import (
    END_NAMES,
    PERIOD_NAMES,
    START_NAMES,
    ZONE_NAMES,
    Home,
    selection_of,
)
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.forecasts.terms import Terms, terms_of
from llm_cost_ops.server.reports.types import SECTIONS, TYPES, Plan, needs_of

FORMS = ("pdf", "xlsx", "html", "markdown", "json")
FORM_ALIASES = {"excel": "xlsx", "md": "markdown"}
COST_CENTER = "metadata.cost_center"
"""Calls name the cost centre that bears them in their metadata."""
MAX_SECTIONS = 30
MAX_RULES = 50
MAX_RATES = 1_000
MAX_TEXT = 255
HISTORY_DAYS, MAX_HISTORY_DAYS = 400, 1100
"""Days before a forecast where nothing is said, and at most."""
_WHEN = frozenset({*START_NAMES, *END_NAMES, *ZONE_NAMES, *PERIOD_NAMES, "days"})
_OWN = frozenset(
    {
        "type", "title", "format", "include_charts", "group_by", "compare", "currency", "rates",
        "allocation", "charge_by", "sections", "template", "horizon_days", "history_days",
        "forecast_model", "confidence_level", "organization_id", "organization", "org_id",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """A report that can be made. `filters` are those of the request, as they were given; `before`
    is the window compared with. `currency` is None for the one that there is."""

    kind: str
    plan: Plan
    title: str
    form: str
    selection: Selection
    before: Window | None
    compare: str
    group_by: tuple[str, ...]
    charge_by: str
    charts: bool
    currency: str | None
    rates: tuple[ExchangeRate, ...]
    rules: tuple[Rule, ...]
    terms: Terms | None
    reach: Reach
    filters: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def needs(self) -> tuple[str, ...]:
        """The permissions that who makes or reads it holds, besides those of all reports."""
        return needs_of(self.plan)


def wanted_of(
    body: Mapping[str, object],
    principal: Principal,
    at: Home,
    sections: object = None,
) -> Wanted:
    """Reads everything that was asked for; `sections` are those of the template that it names.
    Raises Problem 403 and 422."""
    asked = Asked({name: value for name, value in body.items() if name != "template"}, in_url=False)
    kind = form_name(asked.text("type") or "cost_summary", {})
    given = asked.pop("sections")
    if sections is not None and given is None:
        given = sections
    plan = _plan(asked, kind, given)
    title = asked.text("title") or TYPES.get(kind, "Report")
    if not 0 < len(title) <= MAX_TEXT or not title.isprintable():
        asked.errors["title"] = f"must have 1 to {MAX_TEXT} printable characters"
    form = form_name(asked.text("format") or "pdf", FORM_ALIASES)
    if form not in FORMS:
        asked.errors["format"] = f"must be one of: {', '.join((*FORMS, 'excel'))}"
    group_by = _names(asked, "group_by")
    charge_by = _charged(asked)
    charts = asked.flag("include_charts") is not False
    compare = asked.text("compare") or PREVIOUS
    currency = _currency(asked)
    rates, rules = _rates(asked, currency or at.currency), rules_of(asked)
    days = asked.number("history_days", 1, MAX_HISTORY_DAYS)
    terms = _terms(asked, body, plan, principal, at)
    selection = selection_of(asked, principal, at)
    before: Window | None = None
    try:
        before = earlier(selection.window, selection.zone, compare)
    except DomainError as error:
        asked.note(error, "compare")
    asked.check()
    if terms is not None:
        history = _history(selection, days, to_micros(at.now))
        terms = replace(terms, selection=terms.selection.within(history))
    filters = {name: value for name, value in body.items() if name not in _WHEN | _OWN}
    return Wanted(
        kind, plan, title, form, selection, before, compare, group_by,
        charge_by, charts, currency, rates, rules, terms, principal.reach, filters,
    )  # fmt: skip


def kept_request(body: Mapping[str, object], wanted: Wanted, sections: object) -> dict[str, object]:
    """The request as it is stored: its period as instants, so that it means the same later."""
    kept = {
        name: value
        for name, value in body.items()
        if name not in _WHEN | {"organization_id", "organization", "org_id"}
    }
    window = wanted.selection.window
    if window.start_us > ALL_TIME.start_us:
        kept["start_date"] = from_micros(window.start_us).isoformat()
    if window.end_us < ALL_TIME.end_us:
        kept["end_date"] = from_micros(window.end_us).isoformat()
    kept["timezone"] = wanted.selection.zone.key
    if sections is not None:
        kept["sections"] = sections
    return kept


def form_name(given: str, others: Mapping[str, str]) -> str:
    """The name of a type or format as it is kept."""
    name = given.strip().lower()
    return others.get(name, name.replace("-", "_"))


def _plan(asked: Asked, kind: str, given: object) -> Plan:
    if kind not in TYPES:
        asked.errors["type"] = f"must be one of: {', '.join(TYPES)}"
        return ()
    if kind != "custom":
        if given is not None:
            asked.errors["sections"] = "belongs to the type custom"
        return SECTIONS[kind]
    try:
        return sections_of(given)
    except DomainError as error:
        asked.note(error, "sections")
        return ()


class SectionsError(DomainError):
    """Sections of a custom report that cannot be made."""


def sections_of(given: object) -> Plan:
    """Sections of a custom report: names, or objects with `section`, `title` and `group_by`. Raises
    SectionsError."""
    listed = cast("list[object]", given) if isinstance(given, list) else []
    if not 0 < len(listed) <= MAX_SECTIONS:
        raise SectionsError(f"must be a list of 1 to {MAX_SECTIONS} sections", field="sections")
    return tuple(_section(each, f"sections.{place}") for place, each in enumerate(listed))


def _section(given: object, where: str) -> tuple[str, Mapping[str, object]]:
    known = sorted({name for plan in SECTIONS.values() for name, _ in plan})
    fields = cast("dict[str, object]", given) if isinstance(given, dict) else {"section": given}
    name = fields.get("section")
    if not isinstance(name, str) or name not in known:
        raise SectionsError(f"must be one of: {', '.join(known)}", field=where)
    options: dict[str, object] = {}
    for option, value in fields.items():
        if option == "title" and isinstance(value, str) and 0 < len(value) <= MAX_TEXT:
            options["title"] = value
        elif option == "group_by":
            named = cast("list[object]", value) if isinstance(value, list) else [value]
            if not all(isinstance(each, str) for each in named):
                raise SectionsError("must be names of dimensions", field=f"{where}.group_by")
            texts = [str(each) for each in named]
            dimensions(texts, f"{where}.group_by")
            options["group_by"] = texts
        elif option != "section":
            raise SectionsError("must be section, title or group_by", field=f"{where}.{option}")
    return name, MappingProxyType(options)


def _names(asked: Asked, name: str) -> tuple[str, ...]:
    names = asked.names(name)
    try:
        dimensions(names, name)
    except DomainError as error:
        asked.note(error, name)
        return ()
    return tuple(dict.fromkeys(names))


def _charged(asked: Asked) -> str:
    """The dimension whose values get statements; a call is in one of them alone."""
    given = asked.text("charge_by") or "project_id"
    name = {"cost_center": COST_CENTER, "cost_centre": COST_CENTER}.get(given, given)
    found = find_dimension(name)
    if found is None or found.field is None:
        asked.errors["charge_by"] = "must be team, project, cost_center or another field of calls"
        return "project_id"
    return name


def _currency(asked: Asked) -> str | None:
    given = asked.text("currency")
    try:
        return None if given is None else check_currency(given)
    except DomainError as error:
        asked.note(error, "currency")
        return None


def _rates(asked: Asked, to: str) -> tuple[ExchangeRate, ...]:
    """`rates`: a list of currency, date, rate and source, all to one currency and to no other that
    most calls happen to be in. The organization answers for them."""
    listed = _objects(asked, "rates", MAX_RATES)
    found: list[ExchangeRate] = []
    for place, each in enumerate(listed):
        where = f"rates.{place}"
        try:
            rate = parse_rate(each.get("rate"), f"{where}.rate")
            currency = check_currency(each.get("currency"), f"{where}.currency")
            day = parse_day(each.get("date"), f"{where}.date")
        except DomainError as error:
            asked.note(error, where)
            continue
        source = _text(asked, each, "source", where)
        if currency == to:
            asked.errors[f"{where}.currency"] = "is the currency that rates convert to"
        else:
            found.append(ExchangeRate(currency, to, day, rate, source))
    return tuple(found)


def rules_of(asked: Asked) -> tuple[Rule, ...]:
    """`allocation`: a list of name, shared, by and, for fixed, shares."""
    found: list[Rule] = []
    for place, each in enumerate(_objects(asked, "allocation", MAX_RULES)):
        where = f"allocation.{place}"
        by = each.get("by", "cost")
        if by not in BASES:
            asked.errors[f"{where}.by"] = f"must be one of: {', '.join(BASES)}"
            continue
        shared = each.get("shared")
        named = cast("list[object]", shared) if isinstance(shared, list) else [shared]
        if not all(name is None or isinstance(name, str) for name in named):
            asked.errors[f"{where}.shared"] = "must be names, null for calls that name nobody"
            continue
        names = frozenset(None if name is None else str(name) for name in named)
        shares = _shares(asked, each.get("shares"), f"{where}.shares")
        found.append(Rule(_text(asked, each, "name", where), names, cast("Basis", by), shares))
    try:
        check_rules(found)
    except DomainError as error:
        asked.note(error, "allocation")
    return tuple(found)


def _shares(asked: Asked, given: object, where: str) -> dict[str, Decimal]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        asked.errors[where] = "must be an object of names and parts of 1"
        return {}
    try:
        shares = cast("dict[str, object]", given)
        return {name: parse_decimal(value, where) for name, value in shares.items()}
    except DomainError as error:
        asked.note(error, where)
        return {}


def _objects(asked: Asked, name: str, most: int) -> list[dict[str, Any]]:
    given = asked.pop(name)
    if given is None:
        return []
    listed = cast("list[object]", given) if isinstance(given, list) else []
    if not 0 < len(listed) <= most or not all(isinstance(each, dict) for each in listed):
        asked.errors[name] = f"must be a list of 1 to {most} objects"
        return []
    return cast("list[dict[str, Any]]", listed)


def _text(asked: Asked, each: Mapping[str, object], name: str, where: str) -> str:
    value = each.get(name)
    if isinstance(value, str) and 0 < len(value) <= MAX_TEXT and value.isprintable():
        return value
    asked.errors[f"{where}.{name}"] = f"must have 1 to {MAX_TEXT} printable characters"
    return ""


def _terms(
    asked: Asked, body: Mapping[str, object], plan: Plan, principal: Principal, at: Home
) -> Terms | None:
    """What the forecast of a report with one is asked for."""
    own = ("horizon_days", "forecast_model", "confidence_level")
    for name in own:
        asked.pop(name)
    if not any(name == "forecast" for name, _ in plan):
        return None
    rest = {name: value for name, value in body.items() if name not in _OWN - {*own, "currency"}}
    model = rest.pop("model", None)  # a filter here, a model of forecasts there
    if model is not None and not isinstance(rest.get("filters"), list):
        nested = cast("dict[str, object]", rest.get("filters") or {})
        rest["filters"] = {**nested, "model": model}
    terms = Asked({**rest, "drivers": True, "include_history": True}, in_url=False)
    return terms_of(terms, principal, at)


def _history(selection: Selection, days: int | None, now_us: int) -> Window:
    """The span that a forecast is made of. It ends with the report's period but does not begin with
    it: a day or a month is too little to see how the cost goes on. A longer period is looked at
    whole, unless the days are given."""
    window, zone = selection.window, selection.zone
    last = local_day(min(window.end_us, now_us + 1) - 1, zone)
    span = HISTORY_DAYS if days is None else days
    first = max(date(1970, 1, 1).toordinal(), last.toordinal() - span + 1)
    start_us = min(day_start(date.fromordinal(first), zone), window.end_us)
    return Window(start_us if days is not None else min(start_us, window.start_us), window.end_us)
