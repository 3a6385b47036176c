"""Budgets that are heading for more than their limit, by the projection of the room `budgets`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.budget import Budget
from llm_cost_ops.core.instant import format_minute, parse_instant, to_micros
from llm_cost_ops.server.alerts import store, text
from llm_cost_ops.server.alerts.finding import Finding
from llm_cost_ops.server.alerts.look import Look
from llm_cost_ops.server.alerts.rules import PROJECTED, Rule
from llm_cost_ops.server.alerts.swept import GONE, Evaluated
from llm_cost_ops.server.budgets.standings import status
from llm_cost_ops.server.delivery.notice import Fact
from llm_cost_ops.server.spend import store as spend_store
from llm_cost_ops.server.spend.index import index_seen

EXCEEDED = "exceeded"
SLACK = Decimal("0.1")
"""An alert clears only when the probability is so much below the rule's: forecasts waver."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What rules of projected breaches find, of which rules and budgets it still holds, and which
    budgets came to be exceeded."""

    findings: tuple[Finding, ...]
    holding: frozenset[tuple[str, str]]
    exceeded: frozenset[str]


def outlook(look: Look) -> Outlook:
    """Looks at every budget that a rule concerns; each costs a query of its last days."""
    rules = look.of(PROJECTED)
    if not rules:
        return Outlook((), frozenset(), frozenset())
    index = index_seen(look.session, look.organization.id)
    rows = {row["id"]: row for row in spend_store.rows(look.session, look.organization.id)}
    findings: list[Finding] = []
    holding: set[tuple[str, str]] = set()
    exceeded: set[str] = set()
    for budget in index.budgets.values():
        concerned = [rule for rule in rules if _concerns(rule, budget)]
        if not concerned or budget.id not in rows:
            continue
        row = rows[budget.id]
        shown = status(look.session, index, budget, row, look.now_us)
        chance = _chance(shown)
        if shown.get("status") == EXCEEDED:
            exceeded.add(budget.id)
        for rule in concerned:
            bound = Decimal(rule.given["probability"])
            if chance is None or chance < bound - SLACK:
                continue
            holding.add((rule.id or "", budget.id))
            if chance >= bound:
                findings.append(_finding(look, rule, budget, shown, chance))
    return Outlook(tuple(findings), frozenset(holding), frozenset(exceeded))


def foreseen(look: Look) -> Evaluated:
    """What is to be alerted, and the open alerts that hold no more."""
    seen = outlook(look)
    rules = {rule.id for rule in look.of(PROJECTED)}
    over: list[tuple[str, str]] = []
    for alert in store.open_alerts(look.session, look.organization.id, (PROJECTED,)):
        if alert["rule_id"] not in rules:
            over.append((alert["id"], GONE))
        elif alert["budget_id"] in seen.exceeded:
            over.append((alert["id"], "The budget came to be exceeded."))
        elif (alert["rule_id"], alert["budget_id"]) not in seen.holding:
            over.append((alert["id"], "The budget is not heading for its limit any more."))
    return seen.findings, over


def _concerns(rule: Rule, budget: Budget) -> bool:
    named = rule.given.get("budget_ids")
    if named and budget.id not in named:
        return False
    return budget.limits.e10 is not None and budget.scope.is_within(rule.scope)


def _chance(shown: Mapping[str, Any]) -> Decimal | None:
    """How likely the limit is reached before the period ends; None for a budget that is not in
    force, or that is exceeded already, which is told elsewhere."""
    projection: Mapping[str, Any] | None = shown.get("projection")
    if projection is None or shown.get("status") != "ok":
        return None
    chance = projection.get("breach_probability")
    return None if chance is None else Decimal(chance)


def _finding(
    look: Look, rule: Rule, budget: Budget, shown: Mapping[str, Any], chance: Decimal
) -> Finding:
    projection: Mapping[str, Any] = shown["projection"]
    name, currency = text.name(budget.name), budget.currency
    projected = text.money(shown["projected_spend"], currency)
    limit = text.money(shown["limit"], currency)
    breach = projection.get("breach_date")
    when = "before the period ends"
    if breach is not None:
        at_us = to_micros(parse_instant(breach))
        when = f"about {format_minute(at_us, text.zone_of(budget.zone))}"
    lower, upper = projection.get("lower_bound"), projection.get("upper_bound")
    interval = (
        () if lower is None or upper is None
        else (Fact("Interval (95 %)",
                   f"{text.money(lower, currency)} to {text.money(upper, currency)}"),)
    )  # fmt: skip
    start_us = to_micros(parse_instant(shown["period_start"]))
    end_us = to_micros(parse_instant(shown["period_end"]))
    return Finding(
        rule=rule,
        subject=budget.id,
        period=shown["period_start"] if budget.slide is None else breach or "",
        severity="critical" if budget.enforcement == "hard" else "warning",
        title=f"Budget {name} is likely to be exceeded",
        summary=f"{name} is heading for {projected} against {limit}; it reaches its limit {when}, "
        f"with a probability of {text.percent(chance)}.",
        facts=(
            Fact("Budget", name),
            Fact("Spent", f"{text.money(shown['spent'], currency)} of {limit}"),
            Fact("Projected", projected),
            *interval,
            Fact("Reached", when),
            Fact("Probability", text.percent(chance)),
            Fact("A day", text.money(shown["daily_rate"], currency)),
            Fact("Scope", text.scope(budget.scope)),
        ),
        details={
            "budget_id": budget.id,
            "budget_name": budget.name,
            "projected_spend": shown["projected_spend"],
            "limit": shown["limit"],
            "spent": shown["spent"],
            "currency": currency,
            "probability": chance,
            "breach_date": breach,
        },
        since_us=start_us,
        until_us=None if budget.slide is not None else end_us,
        budget_id=budget.id,
        joins=True,
        scope=budget.scope,
        window=budget.in_force_at(look.now_us),
        currency=currency,
    )
