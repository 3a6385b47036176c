"""What an evaluation found: why an alert is to be made, with the texts that people read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from llm_cost_ops.core.period import Window
from llm_cost_ops.core.scope import WHOLE, Scope
from llm_cost_ops.server.alerts.rules import Rule
from llm_cost_ops.server.delivery.notice import Driver, Fact, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`subject` is what it is about, `period` in what stretch of time: an alert is made once for
    rule, subject and period. One that `joins` goes to the open alert of its subject instead, if
    there is one, of whatever period.

    `scope` and `window` say whose calls are named as drivers; `until_us` when it clears by itself.
    Times are in microseconds.
    """

    rule: Rule
    subject: str
    period: str
    severity: Severity
    title: str
    summary: str
    facts: tuple[Fact, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict[str, object])
    since_us: int | None = None
    until_us: int | None = None
    budget_id: str | None = None
    event_id: str | None = None
    joins: bool = False
    times: int = 1
    scope: Scope = WHOLE
    window: Window | None = None
    currency: str = ""
    drivers: tuple[Driver, ...] = ()

    @property
    def shown_severity(self) -> Severity:
        """The rule's, where it names one."""
        return self.rule.severity or self.severity

    @property
    def dedup_key(self) -> str:
        return _digest(self.rule.organization_id, self.rule.id, self.subject, self.period)

    @property
    def subject_key(self) -> str:
        return subject_key(self.rule, self.subject)


def subject_key(rule: Rule, subject: str) -> str:
    """The digest under which alerts about a subject are found."""
    return _digest(rule.organization_id, rule.id, rule.type, subject)


def _digest(*parts: str | None) -> str:
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
