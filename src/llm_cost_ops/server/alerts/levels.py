"""Levels: how much was used, and what share of calls failed, in a window up to now."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.money import from_e10, to_e10
from llm_cost_ops.core.period import DAY_US, HOUR_US, Window, named_period
from llm_cost_ops.core.scope import Scope
from llm_cost_ops.server.alerts import measures, text
from llm_cost_ops.server.alerts.finding import Finding
from llm_cost_ops.server.alerts.look import Look
from llm_cost_ops.server.alerts.rules import ERROR_RATE, USAGE, Rule
from llm_cost_ops.server.delivery.notice import Fact
from llm_cost_ops.server.ledger import watched
from llm_cost_ops.server.ledger.scoped import Sums, breakdown, sums

_MINUTE_US = 60_000_000
_LONGEST_US = 25 * HOUR_US
"""A window that is looked at with every batch; longer ones once a minute."""


class Level(NamedTuple):
    """What a rule measured about a subject, and what it says when that is too much."""

    subject: str
    reached: bool
    finding: Finding | None


def levels(look: Look, *, quick: bool = False) -> dict[str, list[Level]]:
    """What the rules of usage and errors measure now, by rule; `quick` leaves out long windows."""
    found: dict[str, list[Level]] = {}
    for rule in look.of(USAGE, ERROR_RATE):
        window = _window(look, rule)
        if quick and window.end_us - window.start_us > _LONGEST_US:
            continue
        if rule.type == USAGE:
            found[rule.id or ""] = _usage(look, rule, window)
        else:
            found[rule.id or ""] = [_errors(look, rule, window)]
    return found


def reached(measured: dict[str, list[Level]]) -> list[Finding]:
    """The findings among what was measured."""
    every: Sequence[Level] = [level for each in measured.values() for level in each]
    return [level.finding for level in every if level.finding is not None]


def _window(look: Look, rule: Rule) -> Window:
    """The window under way: of the calendar, or that which ends now."""
    minutes = rule.given.get("window_minutes")
    if minutes is not None:
        return Window(look.now_us - minutes * _MINUTE_US + 1, look.now_us + 1)
    named = rule.given["window"]
    if named == "hour":
        start_us = look.now_us // HOUR_US * HOUR_US
        return Window(start_us, start_us + HOUR_US)
    name = "today" if named == "day" else f"this-{named}"
    return named_period(name, from_micros(look.now_us), look.zone)


def _usage(look: Look, rule: Rule, window: Window) -> list[Level]:
    currency = look.currency(rule)
    by = rule.given.get("group_by")
    if by is None:
        whole = sums(look.session, look.organization.id, [rule.scope], window, currency)
        return [_level(look, rule, window, "", rule.scope, whole)]
    found = breakdown(look.session, look.organization.id, rule.scope, window, currency, (by,))
    return [
        _level(look, rule, window, f"{by}={value}", _narrowed(rule.scope, by, value), each)
        for (value,), each in found.items()
        if value is not None
    ]


def _narrowed(scope: Scope, dimension: str, value: str) -> Scope:
    others = [(name, values) for name, values in scope.dimensions if name != dimension]
    return Scope(tuple(sorted([*others, (dimension, frozenset({value}))])))


def _level(
    look: Look, rule: Rule, window: Window, subject: str, scope: Scope, found: Sums
) -> Level:
    metric, bound = rule.given["metric"], Decimal(rule.given["threshold"])
    units = {"tokens": found.tokens, "requests": found.requests, "cost": found.e10}[metric]
    over = units >= (to_e10(bound) if metric == "cost" else int(bound))
    if not over:
        return Level(subject, reached=False, finding=None)
    return Level(subject, True, _usage_finding(look, rule, window, subject, scope, units))


def _usage_finding(
    look: Look, rule: Rule, window: Window, subject: str, scope: Scope, units: int
) -> Finding:
    metric, bound = rule.given["metric"], Decimal(rule.given["threshold"])
    currency = look.currency(rule)
    if metric == "cost":
        used, limit = text.money(from_e10(units), currency), text.money(bound, currency)
    else:
        used, limit = f"{units:,} {metric}", f"{text.count(bound)} {metric}"
    where = text.scope(scope)
    minutes = rule.given.get("window_minutes")
    span = (
        f"this {rule.given['window']}" if minutes is None
        else f"the last {text.minutes(minutes * _MINUTE_US)}"
    )  # fmt: skip
    return Finding(
        rule=rule,
        subject=subject,
        period=_period(rule, window),
        severity="warning",
        title=f"{text.name(rule.name)}: {used} in {span}",
        summary=f"{where[:1].upper()}{where[1:]} used {used} in {span}; the bound is {limit}.",
        facts=(
            Fact("Used", used),
            Fact("Bound", limit),
            Fact("Window", f"{span}, from {text.instant(window.start_us, look.zone)}"),
            Fact("Scope", where),
        ),
        details={
            "metric": metric,
            "value": from_e10(units) if metric == "cost" else units,
            "threshold": bound,
            "currency": currency if metric == "cost" else None,
            "subject": subject,
        },
        since_us=window.start_us,
        joins=minutes is not None,
        scope=scope,
        window=window,
        currency=currency,
    )


def _errors(look: Look, rule: Rule, window: Window) -> Level:
    found = watched.failures(look.session, look.organization.id, rule.scope, window)
    bound = Decimal(rule.given["threshold"])
    if found.requests < rule.given["min_requests"] or found.share < bound:
        return Level("", reached=False, finding=None)
    span = text.minutes(rule.given["window_minutes"] * _MINUTE_US)
    where = text.scope(rule.scope)
    finding = Finding(
        rule=rule,
        subject="",
        period=_period(rule, window),
        severity="critical" if found.share >= Decimal("0.5") else "warning",
        title=f"{text.name(rule.name)}: {text.percent(found.share)} of calls failed",
        summary=f"{found.failed:,} of {found.requests:,} calls of {where} failed within the last "
        f"{span} ({text.percent(found.share)}); the bound is {text.percent(bound)}.",
        facts=(
            Fact("Failed", f"{found.failed:,} of {found.requests:,} calls"),
            Fact("Share", text.percent(found.share)),
            Fact("Bound", text.percent(bound)),
            Fact("Statuses", measures.shares(found.by_status, found.failed)),
            Fact("Scope", where),
        ),
        details={
            "failed": found.failed,
            "requests": found.requests,
            "value": round(found.share, 6),
            "threshold": bound,
            "metric": "requests",
        },
        since_us=window.start_us,
        joins=True,
        scope=rule.scope,
        window=window,
        currency=look.organization.currency,
    )
    return Level("", True, finding)


def _period(rule: Rule, window: Window) -> str:
    """A window of the calendar is its own period; of one that slides each stretch of its length."""
    minutes = rule.given.get("window_minutes")
    if minutes is None:
        return str(window.start_us)
    width = min(minutes * _MINUTE_US, DAY_US)
    return str(window.end_us // width)
