"""What only the clock tells, part by part: long windows, thresholds of rules, and what is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.alerts import levels, on_budget, on_calls, store
from llm_cost_ops.server.alerts.finding import Finding, subject_key
from llm_cost_ops.server.alerts.look import Look
from llm_cost_ops.server.alerts.rules import BUDGET, ERROR_RATE, UNPRICED, USAGE, Rule

GONE = "The rule was removed or switched off."
Over = Sequence[tuple[str, str]]
"""Alerts whose reason is gone, with why."""
Evaluated = tuple[Sequence[Finding], Over]
Part = Callable[[Look], Evaluated]


def parts(look: Look) -> list[Part]:
    """Each can fail without the others: no alert is over because it could not be measured."""
    measured: list[Part] = [partial(_level, rule=rule) for rule in levels.rules_of(look)]
    return [*measured, _thresholds, _ruled, _priced, _within]


def _level(look: Look, rule: Rule) -> Evaluated:
    """What a rule of usage or errors finds, and its open alerts that are below the bound now."""
    measured = levels.levels(look, rule)
    holding = {subject_key(rule, level.subject) for level in measured if level.reached}
    over = [
        (alert["id"], "It is below the bound again.")
        for alert in store.open_alerts(look.session, look.organization.id, (rule.type,))
        if alert["rule_id"] == rule.id and alert["subject"] not in holding
    ]
    return levels.reached(measured), over


def _thresholds(look: Look) -> Evaluated:
    return on_budget.standing(look), ()


def _ruled(look: Look) -> Evaluated:
    """Open alerts of levels whose rule is in force no more."""
    kinds = (USAGE, ERROR_RATE, UNPRICED)
    rules = {rule.id for rule in look.of(*kinds)}
    found = store.open_alerts(look.session, look.organization.id, kinds)
    return (), [(alert["id"], GONE) for alert in found if alert["rule_id"] not in rules]


def _priced(look: Look) -> Evaluated:
    """Open alerts of calls without a price of which there are no such calls any more."""
    rules = {rule.id: rule for rule in look.of(UNPRICED)}
    over: list[tuple[str, str]] = []
    for alert in store.open_alerts(look.session, look.organization.id, (UNPRICED,)):
        rule = rules.get(alert["rule_id"])
        if rule is None:
            continue
        details = loads(alert["details"])
        model = (details["provider"], details["model"])
        if on_calls.unpriced_calls(look, rule, *model):
            continue
        left = on_calls.unpriced_calls(look, rule, *model, since_us=int(alert["fired_at"]))
        why = (
            "No further call came without a price; those before have none still."
            if left
            else "All of these calls have a price now."
        )
        over.append((alert["id"], why))
    return (), over


def _within(look: Look) -> Evaluated:
    """Open alerts of budgets that are within their thresholds again."""
    found = store.open_alerts(look.session, look.organization.id, (BUDGET,))
    opened = [{**alert, "details": loads(alert["details"])} for alert in found]
    return (), list(on_budget.gone(look, opened))
