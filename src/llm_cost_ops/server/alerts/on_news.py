"""Anomalies and changed prices, published by other rooms, read with care for what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import parse_instant, to_micros
from llm_cost_ops.core.period import day_start
from llm_cost_ops.core.scope import COLUMNS, Facts, Scope
from llm_cost_ops.server.alerts import text
from llm_cost_ops.server.alerts.finding import Finding
from llm_cost_ops.server.alerts.look import Look
from llm_cost_ops.server.alerts.rules import ANOMALY, PRICE_CHANGE, Rule
from llm_cost_ops.server.delivery.notice import Driver, Fact, Severity

_RANKS: Mapping[str, int] = {"low": 0, "info": 0, "medium": 1, "warning": 1, "high": 2,
                             "critical": 3}  # fmt: skip
_SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical", "critical")
_TOP = 3
_MAX_TEXT = 120


def anomaly(look: Look, event: Mapping[str, Any]) -> list[Finding]:
    """What an anomaly means to the rules of anomalies, or without any."""
    payload: Mapping[str, Any] = event["payload"]
    rank = _RANKS.get(str(payload.get("severity", "")).lower(), 1)
    dimension, value = payload.get("dimension"), payload.get("value")
    named = dimension in COLUMNS and isinstance(value, str)
    facts = Facts({str(dimension): str(value)} if named else {})
    actual, expected = _number(payload, "actual_cost"), _number(payload, "expected_cost")
    at_risk = abs(actual - expected) if actual is not None and expected is not None else None
    found: list[Finding] = []
    for rule in look.or_default(ANOMALY):
        given = rule.given
        least = given.get("min_amount")
        if rank < _RANKS[given.get("min_severity", "low")]:
            continue
        if given.get("dimension") is not None and given["dimension"] != dimension:
            continue
        if least is not None and (at_risk is None or at_risk < least):
            continue
        if rule.scope.dimensions and not rule.scope.holds(facts):
            continue
        found.append(_anomaly_finding(look, rule, event, rank))
    return found


def _anomaly_finding(look: Look, rule: Rule, event: Mapping[str, Any], rank: int) -> Finding:
    payload: Mapping[str, Any] = event["payload"]
    currency = str(payload.get("currency") or look.organization.currency)
    dimension, value = payload.get("dimension"), payload.get("value")
    day = str(payload.get("date") or "")
    where = _where(dimension, value)
    actual, expected = _number(payload, "actual_cost"), _number(payload, "expected_cost")
    shown = "unknown" if actual is None else text.money(actual, currency)
    usual = "unknown" if expected is None else text.money(expected, currency)
    since_us = _since(day, look)
    return Finding(
        rule=rule,
        subject=f"{dimension or ''}={value or ''}",
        period=day or str(event["id"]),
        severity=_SEVERITIES[rank],
        title=f"Unusual cost of {where}: {shown}",
        summary=f"{where[:1].upper()}{where[1:]} cost {shown} on {text.name(day)}; "
        f"{usual} was expected.",
        facts=(
            Fact("Cost", shown),
            Fact("Expected", _expected(payload, usual, currency)),
            Fact("Date", text.name(day)),
            Fact("Of", where),
            *_why(payload.get("causes"), currency),
            *_optional("Score", payload.get("score")),
            *_optional("Severity", payload.get("severity")),
        ),
        details={
            name: payload[name]
            for name in ("date", "dimension", "value", "actual_cost", "expected_cost", "lower",
                         "upper", "severity", "score")
            if payload.get(name) is not None
        },
        since_us=since_us,
        drivers=_causes(payload.get("causes"), currency),
        currency=currency,
    )  # fmt: skip


def _where(dimension: object, value: object) -> str:
    if dimension in COLUMNS and isinstance(value, str):
        return text.scope(Scope(((str(dimension), frozenset({value})),)))
    if isinstance(value, str) and value:
        return text.name(f"{dimension or 'part'} {value}")
    return "the whole organization"


def _expected(payload: Mapping[str, Any], usual: str, currency: str) -> str:
    lower, upper = _number(payload, "lower"), _number(payload, "upper")
    if lower is None or upper is None:
        return usual
    return f"{usual} ({text.money(lower, currency)} to {text.money(upper, currency)})"


def _optional(label: str, value: object) -> tuple[Fact, ...]:
    return () if value is None else (Fact(label, text.name(str(value), _MAX_TEXT)),)


def _causes(given: object, currency: str) -> tuple[Driver, ...]:
    """The three that a jump comes from most: members of dimensions where the causes name some, else
    what changed; else a list of causes that have a name."""
    if isinstance(given, Mapping):
        causes = cast("Mapping[str, object]", given)
        members = causes.get("members")
        named: Mapping[str, object] = {}
        if isinstance(members, Mapping):
            named = cast("Mapping[str, object]", members)
        found = [
            (f"{dimension} {member.get('name') or member.get('value') or 'none'}", member)
            for dimension, listed in named.items()
            for member in _objects(listed)
        ]
        return _ranked(found, currency) or _ranked(_labelled(causes.get("drivers")), currency)
    return _ranked(_labelled(given), currency)


def _why(given: object, currency: str) -> tuple[Fact, ...]:
    """How much of the jump is price, volume and so on."""
    if not isinstance(given, Mapping):
        return ()
    drivers = _labelled(cast("Mapping[str, object]", given).get("drivers"))
    parts = [f"{each.name} {each.amount}" for each in _ranked(drivers, currency) if each.amount]
    return (Fact("Why", ", ".join(parts)),) if parts else ()


def _objects(given: object) -> list[Mapping[str, Any]]:
    items = cast("list[object]", given) if isinstance(given, list) else []
    return [cast("Mapping[str, Any]", item) for item in items if isinstance(item, Mapping)]


def _labelled(given: object) -> list[tuple[str, Mapping[str, Any]]]:
    found: list[tuple[str, Mapping[str, Any]]] = []
    for cause in _objects(given):
        keys = ("name", "value", "label", "kind")
        label = next((str(cause[key]) for key in keys if cause.get(key)), None)
        if label is not None:
            dimension = cause.get("dimension")
            found.append((f"{dimension} {label}" if dimension else label, cause))
    return found


def _ranked(found: Sequence[tuple[str, Mapping[str, Any]]], currency: str) -> tuple[Driver, ...]:
    sized = [(label, cause, _amount(cause)) for label, cause in found]
    sized.sort(key=lambda each: -abs(each[2] or 0))
    return tuple(
        Driver(
            text.name(label),
            "" if amount is None else text.money(amount, currency),
            "" if (share := _number(cause, "share")) is None else text.percent(share),
        )
        for label, cause, amount in sized[:_TOP]
    )


def _amount(cause: Mapping[str, Any]) -> Decimal | None:
    keys = ("amount", "change", "difference", "cost")
    return next((n for key in keys if (n := _number(cause, key)) is not None), None)


def _since(day: str, look: Look) -> int | None:
    """The instant, or the first one of the day, that an anomaly names."""
    try:
        if len(day) == len("2026-01-01"):
            return day_start(date.fromisoformat(day), look.zone)
        return to_micros(parse_instant(day))
    except (ValueError, DomainError):
        return None


def price_change(look: Look, event: Mapping[str, Any]) -> list[Finding]:
    """What a changed price means to the rules of price changes."""
    payload: Mapping[str, Any] = event["payload"]
    provider, model = payload.get("provider"), payload.get("model")
    facts = Facts({"provider": _text(provider), "model": _text(model)})
    parts = [str(part) for part in (provider, model) if part] or [str(payload.get("label") or "")]
    shown = text.name("/".join(parts)) or "a model"
    since = payload.get("effective_date")
    known = [
        Fact(text.name(name.replace("_", " ").capitalize()), _shown(payload[name]))
        for name in payload
        if name not in ("provider", "model", "id") and _is_plain(payload[name])
    ]
    return [
        Finding(
            rule=rule,
            subject=f"{provider or ''}/{model or ''}",
            period=str(event["id"]),
            severity="info",
            title=f"The price of {shown} has changed",
            summary=f"The price of {shown} has changed"
            + (f" from {text.name(str(since))} on." if since else "."),
            facts=(Fact("Model", shown), *known[:8]),
            details={"provider": _text(provider), "model": _text(model)},
            since_us=int(event["created_at"]),
            event_id=str(event["id"]),
        )
        for rule in look.of(PRICE_CHANGE)
        if not rule.scope.dimensions or rule.scope.holds(facts)
    ]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | Decimal) and not isinstance(value, bool) and value != ""


def _shown(value: object) -> str:
    return text.name(str(value), _MAX_TEXT)


def _number(given: Mapping[str, Any], name: str) -> Decimal | None:
    value = given.get(name)
    if value is None or isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
