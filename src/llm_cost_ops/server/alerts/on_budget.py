"""Budgets that reached a threshold or went over: from what the counters tell, and from where
budgets stand for rules with thresholds of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.budget import WHOLE_SHARE, Budget
from llm_cost_ops.core.instant import parse_instant, to_micros
from llm_cost_ops.core.money import from_e10
from llm_cost_ops.core.period import Window
from llm_cost_ops.server.alerts import text
from llm_cost_ops.server.alerts.finding import Finding
from llm_cost_ops.server.alerts.look import Look
from llm_cost_ops.server.alerts.rules import BUDGET, Rule
from llm_cost_ops.server.budgets.standings import standings
from llm_cost_ops.server.delivery.notice import Fact, Severity
from llm_cost_ops.server.spend.counters import Standing
from llm_cost_ops.server.spend.index import Index, index_seen
from llm_cost_ops.server.spend.move import EXCEEDED_TOPIC, THRESHOLD_TOPIC

TOPICS = (THRESHOLD_TOPIC, EXCEEDED_TOPIC)
EXCEEDED = "exceeded"
_WARNING, _CRITICAL = Decimal("0.8"), Decimal(1)
_TEXTS: Mapping[str, str] = {
    "soft": "calls go on",
    "throttle": "calls are slowed down",
    "hard": "calls that do not fit are refused",
}


def told(look: Look, event: Mapping[str, Any]) -> list[Finding]:
    """What the event of a budget means to the rules of budgets, or without any."""
    payload: Mapping[str, Any] = event["payload"]
    index = index_seen(look.session, look.organization.id)
    budget = index.budgets.get(str(payload["budget_id"]))
    if budget is None:
        return []  # removed since
    found: list[Finding] = []
    for rule in look.or_default(BUDGET):
        level = payload.get("threshold")
        if level is not None and rule.given.get("thresholds"):
            continue  # of its own, which `standing` looks at
        if _concerns(rule, budget):
            found.append(_finding(look, rule, budget, _Reached.of_event(payload), level))
    return found


def standing(look: Look, *, named_only: bool = False) -> list[Finding]:
    """What rules with thresholds of their own find where budgets stand now; with `named_only` those
    rules that name their budgets, which are few enough for every batch of calls."""
    rules = [
        rule
        for rule in look.of(BUDGET)
        if rule.given.get("thresholds") and (rule.given.get("budget_ids") or not named_only)
    ]
    if not rules:
        return []
    index = index_seen(look.session, look.organization.id)
    concerned = {
        budget.id: budget
        for rule in rules
        for budget in _candidates(index, rule)
        if _concerns(rule, budget)
    }
    where = standings(look.session, list(concerned.values()), look.now_us)
    found: list[Finding] = []
    for rule in rules:
        for budget in concerned.values():
            now = where[budget.id]
            if now is not None and _concerns(rule, budget):
                found += _reached(look, rule, budget, now)
    return found


def gone(look: Look, alerts: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Of open alerts of budgets those whose reason is gone, with why: `details` by alert id."""
    index = index_seen(look.session, look.organization.id)
    known = {str(each["budget_id"]) for each in alerts} & index.budgets.keys()
    where = standings(look.session, [index.budgets[b] for b in sorted(known)], look.now_us)
    for alert in alerts:
        why = _why_gone(where, alert)
        if why is not None:
            yield str(alert["id"]), why


def _why_gone(where: Mapping[str, Standing | None], alert: Mapping[str, Any]) -> str | None:
    details: Mapping[str, Any] = alert["details"]
    if alert["budget_id"] not in where:
        return "The budget was removed."
    now = where[alert["budget_id"]]
    if now is None:
        return "The budget is not in force any more."
    if now.budget.slide is None and str(now.window.start_us) != str(details["period_start_us"]):
        return "A new period began."
    level = details.get("threshold")
    if level is None:
        return "The budget is not exceeded any more." if now.limits.fits(now.used) else None
    if now.share < int(Decimal(str(level)) * WHOLE_SHARE):
        return f"The budget is below {text.percent(Decimal(str(level)))} again."
    return None


def _candidates(index: Index, rule: Rule) -> Sequence[Budget]:
    named = rule.given.get("budget_ids")
    if not named:
        return list(index.budgets.values())
    return [index.budgets[each] for each in named if each in index.budgets]


def _concerns(rule: Rule, budget: Budget) -> bool:
    named = rule.given.get("budget_ids")
    return (not named or budget.id in named) and budget.scope.is_within(rule.scope)


def _reached(look: Look, rule: Rule, budget: Budget, now: Standing) -> Iterator[Finding]:
    for level in rule.given["thresholds"]:
        if now.share >= int(level * WHOLE_SHARE):
            yield _finding(look, rule, budget, _Reached.of_standing(now), level)


class _Reached:
    """Where a budget stood when it reached something."""

    def __init__(
        self, window: Window, spent: Decimal, amount: Decimal | None, used: Decimal
    ) -> None:
        self.window = window
        self.spent = spent
        self.amount = amount
        self.used = used

    @staticmethod
    def of_event(payload: Mapping[str, Any]) -> _Reached:
        window = Window(
            to_micros(parse_instant(payload["period_start"])),
            to_micros(parse_instant(payload["period_end"])),
        )
        amount = payload.get("amount")
        return _Reached(
            window,
            Decimal(payload["spent"]),
            None if amount is None else Decimal(amount),
            Decimal(payload["utilization"]),
        )

    @staticmethod
    def of_standing(now: Standing) -> _Reached:
        amount = now.limits.e10
        return _Reached(
            now.window,
            from_e10(now.used.e10),
            None if amount is None else from_e10(amount),
            Decimal(now.share) / WHOLE_SHARE,
        )


def _finding(look: Look, rule: Rule, budget: Budget, reached: _Reached, given: object) -> Finding:
    level = None if given is None else Decimal(str(given))
    name = text.name(budget.name)
    spent = text.money(reached.spent, budget.currency)
    limit = "" if reached.amount is None else f" of {text.money(reached.amount, budget.currency)}"
    verb = "is exceeded" if level is None else f"has reached {text.percent(level)}"
    subject = f"{budget.id}@{EXCEEDED if level is None else level.normalize()}"
    window = reached.window
    # A sliding budget has a new window every few minutes: its day of the zone is the period.
    period = (
        str(window.start_us)
        if budget.slide is None
        else text.instant(look.now_us, text.zone_of(budget.zone))[:10]
    )
    return Finding(
        rule=rule,
        subject=subject,
        period=period,
        severity=_severity(level),
        title=f"Budget {name} {verb}",
        summary=f"{spent}{limit} is spent ({text.percent(reached.used)} of the budget {name}); "
        f"{_TEXTS[budget.enforcement]}.",
        facts=(
            Fact("Budget", name),
            Fact("Spent", f"{spent}{limit}"),
            Fact("Used", text.percent(reached.used)),
            Fact("Threshold", "the limit" if level is None else text.percent(level)),
            Fact("Period", _period(window, budget.zone)),
            Fact("Scope", text.scope(budget.scope)),
            Fact("Enforcement", f"{budget.enforcement}: {_TEXTS[budget.enforcement]}"),
        ),
        details={
            "budget_id": budget.id,
            "budget_name": budget.name,
            "threshold": level,
            "spent": reached.spent,
            "amount": reached.amount,
            "currency": budget.currency,
            "utilization": reached.used,
            "period_start_us": window.start_us,
        },
        since_us=window.start_us,
        budget_id=budget.id,
        scope=budget.scope,
        window=window,
        currency=budget.currency,
    )


def _severity(level: Decimal | None) -> Severity:
    if level is None or level >= _CRITICAL:
        return "critical"
    return "warning" if level >= _WARNING else "info"


def _period(window: Window, zone_name: str) -> str:
    zone = text.zone_of(zone_name)
    return f"{text.instant(window.start_us, zone)} to {text.instant(window.end_us, zone)}"
