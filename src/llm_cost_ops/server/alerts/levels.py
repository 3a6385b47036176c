"""Levels: how much was used, and what share of calls failed, in a window up to now."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from llm_cost_ops.core.instant import format_minute, from_micros
from llm_cost_ops.core.money import from_e10, to_e10
from llm_cost_ops.core.period import HOUR_US, Window, named_period
from llm_cost_ops.core.scope import Scope
from llm_cost_ops.server.alerts import measures, text
from llm_cost_ops.server.alerts.finding import Finding
from llm_cost_ops.server.alerts.look import Look
from llm_cost_ops.server.alerts.rules import ERROR_RATE, USAGE, Rule
from llm_cost_ops.server.delivery.notice import Fact
from llm_cost_ops.server.ledger import watched
from llm_cost_ops.server.ledger.scoped import Sums, breakdown, is_rolled_up, sums

_MINUTE_US = 60_000_000
_LONGEST_US = 25 * HOUR_US
"""A window that is looked at with every batch; longer ones once a minute."""
MAX_GROUPS = 100
"""Of the values of `group_by` the largest alert: ten thousand at once are read by nobody."""


class Level(NamedTuple):
    """What a rule measured about a subject, and what it says when that is too much."""

    subject: str
    reached: bool
    finding: Finding | None


def rules_of(look: Look, *, quick: bool = False) -> list[Rule]:
    """The rules of usage and errors; `quick` leaves out those of long windows."""
    return [
        rule
        for rule in look.of(USAGE, ERROR_RATE)
        if not quick or _width(_window(look, rule)) <= _LONGEST_US
    ]


def levels(look: Look, rule: Rule) -> list[Level]:
    """What a rule of usage or errors measures now."""
    window = _window(look, rule)
    if rule.type == ERROR_RATE:
        return [_errors(look, rule, window)]
    return _usage(look, rule, window)


def reached(measured: Iterable[Level]) -> list[Finding]:
    """The findings among what was measured."""
    return [level.finding for level in measured if level.finding is not None]


def _width(window: Window) -> int:
    return window.end_us - window.start_us


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
        whole = _summed(look, rule.scope, window, currency)
        return [_level(look, rule, window, "", rule.scope, whole)]
    found = breakdown(look.session, look.organization.id, rule.scope, window, currency, (by,))
    known = ((value, each) for (value,), each in found.items() if value is not None)
    ranked = sorted(known, key=lambda group: (-_units(rule, group[1]), group[0]))
    return [
        _level(
            look, rule, window, f"{by}={value}", rule.scope.also(by, value), each,
            silent=place >= MAX_GROUPS,
        )
        for place, (value, each) in enumerate(ranked)
    ]  # fmt: skip


def _summed(look: Look, scope: Scope, window: Window, currency: str) -> Sums:
    """The sums of a window: its whole hours by the rollup where that knows the scope, what is left
    before and after them by the calls."""
    first_us = -(-window.start_us // HOUR_US) * HOUR_US
    last_us = window.end_us // HOUR_US * HOUR_US
    edges = (window.start_us, first_us, last_us, window.end_us)
    if last_us <= first_us or not is_rolled_up([scope], Window(first_us, last_us)):
        edges = (window.start_us, window.end_us)
    whole = Sums()
    for start_us, end_us in pairwise(edges):
        if start_us < end_us:
            part = Window(start_us, end_us)
            whole.plus(sums(look.session, look.organization.id, [scope], part, currency))
    return whole


def _units(rule: Rule, found: Sums) -> int:
    return {"tokens": found.tokens, "requests": found.requests, "cost": found.e10}[
        rule.given["metric"]
    ]


def _level(
    look: Look,
    rule: Rule,
    window: Window,
    subject: str,
    scope: Scope,
    found: Sums,
    *,
    silent: bool = False,
) -> Level:
    units, bound = _units(rule, found), Decimal(rule.given["threshold"])
    over = units >= (to_e10(bound) if rule.given["metric"] == "cost" else int(bound))
    if not over or silent:
        return Level(subject, over, None)
    return Level(subject, over, _usage_finding(look, rule, window, subject, scope, units))


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
            Fact("Window", f"{span}, from {format_minute(window.start_us, look.zone)}"),
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
            "metric": measures.FAILURES,
        },
        since_us=window.start_us,
        joins=True,
        scope=rule.scope,
        window=window,
        currency=look.organization.currency,
    )
    return Level("", True, finding)


def _period(rule: Rule, window: Window) -> str:
    """A window of the calendar is its own period. One that slides has a new one at each look: what
    goes on joins the open alert, and what comes again after its end is another."""
    minutes = rule.given.get("window_minutes")
    return str(window.start_us if minutes is None else window.end_us)
