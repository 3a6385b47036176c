"""What a batch of calls can have moved: the bounds and thresholds of the rules and budgets that its
calls are about, and of no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from llm_cost_ops.core.budget import Budget
from llm_cost_ops.core.scope import Facts, is_label
from llm_cost_ops.server.alerts import levels, on_budget
from llm_cost_ops.server.alerts.finding import Finding
from llm_cost_ops.server.alerts.look import Look
from llm_cost_ops.server.alerts.on_calls import batch_of
from llm_cost_ops.server.alerts.rules import Rule
from llm_cost_ops.server.ledger import watched
from llm_cost_ops.server.spend.index import facts_of

MAX_BUDGETS = 1_000
"""Budgets that are looked at with a batch; where it moved more, the sweep sees to all of them."""
Part = Callable[[Look], Sequence[Finding]]


def parts(look: Look, events: Sequence[Mapping[str, Any]]) -> list[Part]:
    """What is to be measured after the calls that the events tell of, part by part."""
    rules = levels.rules_of(look, quick=True)
    thresholds = bool(on_budget.with_thresholds(look))
    if not rules and not thresholds:
        return []
    whole = any(is_label(name) for rule in rules for name, _ in rule.scope.dimensions)
    whole = whole or (thresholds and on_budget.sees_labels(look))
    batches = [batch_of(event) for event in events]
    labels = watched.labels(look.session, look.organization.id, batches, whole=whole)
    facts = None if labels is None else [facts_of(each) for each in labels]
    found: list[Part] = [partial(_level, rule=rule) for rule in rules if _concerns(rule, facts)]
    if thresholds and labels is not None:
        budgets = on_budget.counting(look, labels)
        if 0 < len(budgets) <= MAX_BUDGETS:
            found.append(partial(_standing, among=budgets))
    return found


def _concerns(rule: Rule, facts: Sequence[Facts] | None) -> bool:
    """Whether the rule is about any of the calls; of too many to look at each, it is."""
    return facts is None or any(rule.scope.holds(each) for each in facts)


def _level(look: Look, rule: Rule) -> list[Finding]:
    return levels.reached(levels.levels(look, rule))


def _standing(look: Look, among: Sequence[Budget]) -> list[Finding]:
    return on_budget.standing(look, among)
