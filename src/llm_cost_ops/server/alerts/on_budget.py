"""Budgets that reached a threshold or went over: from what the counters tell, and from where
budgets stand for rules with thresholds of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.budget import WHOLE_SHARE, Amounts, Budget, Limits
from llm_cost_ops.core.instant import format_minute, parse_instant, to_micros
from llm_cost_ops.core.money import from_e10, to_e10
from llm_cost_ops.core.period import Window
from llm_cost_ops.core.scope import is_label
from llm_cost_ops.server.alerts import text
from llm_cost_ops.server.alerts.finding import Finding
from llm_cost_ops.server.alerts.look import Look
from llm_cost_ops.server.alerts.rules import BUDGET, Rule
from llm_cost_ops.server.budgets.standings import standings
from llm_cost_ops.server.delivery.notice import Fact, Severity
from llm_cost_ops.server.spend.counters import Standing
from llm_cost_ops.server.spend.index import Labels, index_seen
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
    now = standings(look.session, [budget], look.now_us)[budget.id]
    reached = _Reached.of_event(payload, budget, now)
    found: list[Finding] = []
    for rule in look.or_default(BUDGET):
        level = payload.get("threshold")
        if level is not None and rule.given.get("thresholds"):
            continue  # of its own, which `standing` looks at
        if _concerns(rule, budget):
            found.append(_finding(look, rule, budget, reached, level))
    return found


def with_thresholds(look: Look) -> list[Rule]:
    """The rules with thresholds of their own."""
    return [rule for rule in look.of(BUDGET) if rule.given.get("thresholds")]


def counting(look: Look, labels: Iterable[Labels]) -> list[Budget]:
    """The budgets in which calls with these labels count."""
    index = index_seen(look.session, look.organization.id)
    found = {budget.id: budget for each in labels for budget in index.of(each)}
    return [found[budget_id] for budget_id in sorted(found)]


def sees_labels(look: Look) -> bool:
    """Whether any budget looks at tags or metadata of calls."""
    index = index_seen(look.session, look.organization.id)
    return any(is_label(name) for b in index.budgets.values() for name, _ in b.scope.dimensions)


def standing(look: Look, among: Sequence[Budget] | None = None) -> list[Finding]:
    """What rules with thresholds of their own find where budgets stand now, of all budgets or of
    some."""
    rules = with_thresholds(look)
    if not rules:
        return []
    index = index_seen(look.session, look.organization.id)
    concerned = [
        budget
        for budget in (index.budgets.values() if among is None else among)
        if any(_concerns(rule, budget) for rule in rules)
    ]
    where = standings(look.session, concerned, look.now_us)
    found: list[Finding] = []
    for rule in rules:
        for budget in concerned:
            now = where[budget.id]
            if now is not None and _concerns(rule, budget):
                found += _over(look, rule, budget, now)
    return found


def gone(look: Look, alerts: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Of open alerts of budgets those whose reason is gone, with why: `details` by alert id."""
    index = index_seen(look.session, look.organization.id)
    known = {str(each["budget_id"]) for each in alerts} & index.budgets.keys()
    where = standings(look.session, [index.budgets[b] for b in sorted(known)], look.now_us)
    newest = {str(each["subject"]): each["id"] for each in alerts}  # they come by id
    for alert in alerts:
        why = _why_gone(where, alert)
        if why is None and newest[str(alert["subject"])] != alert["id"]:
            why = "A newer alert tells of the limits that the budget has now."
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


def _concerns(rule: Rule, budget: Budget) -> bool:
    named = rule.given.get("budget_ids")
    return (not named or budget.id in named) and budget.scope.is_within(rule.scope)


def _over(look: Look, rule: Rule, budget: Budget, now: Standing) -> Iterator[Finding]:
    for level in rule.given["thresholds"]:
        if now.share >= int(level * WHOLE_SHARE):
            found = _finding(look, rule, budget, _Reached.of_standing(now), level)
            yield replace(found, joins=True)  # with other terms it may hold still


@dataclass(frozen=True, slots=True)
class _Reached:
    """Where a budget stood when it reached something: in which window, with what used of which
    limits. `terms` are the limits that somebody set for the period, without what was carried into
    it: with others its thresholds begin anew."""

    window: Window
    used: Amounts
    limits: Limits
    share: Decimal
    terms: str

    @staticmethod
    def of_event(payload: Mapping[str, Any], budget: Budget, now: Standing | None) -> _Reached:
        window = Window(
            to_micros(parse_instant(payload["period_start"])),
            to_micros(parse_instant(payload["period_end"])),
        )
        amount = payload.get("amount")
        money = None if amount is None else to_e10(Decimal(amount))
        return _Reached(
            window,
            Amounts(to_e10(Decimal(payload["spent"])), payload["requests"], payload["tokens"]),
            replace(budget.limits, e10=money),
            Decimal(payload["utilization"]),
            _terms(budget, 0 if now is None else now.adjusted_e10),
        )

    @staticmethod
    def of_standing(now: Standing) -> _Reached:
        return _Reached(
            now.window,
            now.used,
            now.limits,
            Decimal(now.share) / WHOLE_SHARE,
            _terms(now.budget, now.adjusted_e10),
        )

    @property
    def metric(self) -> str:
        """Which limit is used most: the one that it is about."""
        shares = {
            "cost": Limits(e10=self.limits.e10).share(self.used),
            "requests": Limits(requests=self.limits.requests).share(self.used),
            "tokens": Limits(tokens=self.limits.tokens).share(self.used),
        }
        return max(shares, key=lambda name: shares[name])


def _terms(budget: Budget, adjusted_e10: int) -> str:
    limits = budget.limits
    amount = None if limits.e10 is None else limits.e10 + adjusted_e10
    return f"{amount}/{limits.requests}/{limits.tokens}"


def _measured(budget: Budget, reached: _Reached) -> list[Fact]:
    """What is used of each limit; of a budget without an amount what was spent, too."""
    used, limits = reached.used, reached.limits
    spent = text.money(from_e10(used.e10), budget.currency)
    if limits.e10 is not None:
        spent += f" of {text.money(from_e10(limits.e10), budget.currency)}"
    found = [Fact("Spent", spent)]
    if limits.requests is not None:
        found.append(Fact("Requests", f"{used.requests:,} of {limits.requests:,}"))
    if limits.tokens is not None:
        found.append(Fact("Tokens", f"{used.tokens:,} of {limits.tokens:,}"))
    return found


def _said(budget: Budget, reached: _Reached, facts: Sequence[Fact]) -> str:
    share = f"({text.percent(reached.share)} of the budget {text.name(budget.name)})"
    if len(facts) == 1:
        return f"{facts[0].value} is spent {share}"
    units = {"Spent": "", "Requests": " requests", "Tokens": " tokens"}
    of_limits = facts if reached.limits.e10 is not None else facts[1:]
    parts = [f"{fact.value}{units[fact.label]}" for fact in of_limits]
    return f"{' and '.join(parts)} are used {share}"


def _finding(look: Look, rule: Rule, budget: Budget, reached: _Reached, given: object) -> Finding:
    level = None if given is None else Decimal(str(given))
    name = text.name(budget.name)
    measured = _measured(budget, reached)
    verb = "is exceeded" if level is None else f"has reached {text.percent(level)}"
    subject = f"{budget.id}@{EXCEEDED if level is None else level.normalize()}"
    window = reached.window
    # A sliding budget has a new window every few minutes: its day of the zone is the period.
    period = (
        str(window.start_us)
        if budget.slide is None
        else format_minute(look.now_us, text.zone_of(budget.zone))[:10]
    )
    amount = reached.limits.e10
    return Finding(
        rule=rule,
        subject=subject,
        period=f"{period}/{reached.terms}",
        severity=_severity(level),
        title=f"Budget {name} {verb}",
        summary=f"{_said(budget, reached, measured)}; {_TEXTS[budget.enforcement]}.",
        facts=(
            Fact("Budget", name),
            *measured,
            Fact("Used", text.percent(reached.share)),
            Fact("Threshold", "the limit" if level is None else text.percent(level)),
            Fact("Period", _period(window, budget.zone)),
            Fact("Scope", text.scope(budget.scope)),
            Fact("Enforcement", f"{budget.enforcement}: {_TEXTS[budget.enforcement]}"),
        ),
        details={
            "budget_id": budget.id,
            "budget_name": budget.name,
            "threshold": level,
            "metric": reached.metric,
            "spent": from_e10(reached.used.e10),
            "amount": None if amount is None else from_e10(amount),
            "currency": budget.currency,
            "requests": reached.used.requests,
            "request_limit": reached.limits.requests,
            "tokens": reached.used.tokens,
            "token_limit": reached.limits.tokens,
            "utilization": reached.share,
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
    return f"{format_minute(window.start_us, zone)} to {format_minute(window.end_us, zone)}"
