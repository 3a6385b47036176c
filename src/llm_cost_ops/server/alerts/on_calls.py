"""Single calls of a batch: those that cost much, and those without a price."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.instant import format_minute
from llm_cost_ops.core.money import to_e10
from llm_cost_ops.core.period import HOUR_US, Window
from llm_cost_ops.core.scope import Facts
from llm_cost_ops.server.alerts import measures, text
from llm_cost_ops.server.alerts.finding import Finding
from llm_cost_ops.server.alerts.look import Look
from llm_cost_ops.server.alerts.rules import CALL_COST, UNPRICED, Rule
from llm_cost_ops.server.alerts.store import Row
from llm_cost_ops.server.delivery.notice import Driver, Fact
from llm_cost_ops.server.ledger import watched
from llm_cost_ops.server.ledger.scoped import sums
from llm_cost_ops.server.spend.index import Labels, facts_of

_MINUTE_US = 60_000_000


def recorded(look: Look, events: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """What the rules of single calls find in the records that some events tell of, all read at
    once."""
    dear, unpriced = look.of(CALL_COST), look.of(UNPRICED)
    if not dear and not unpriced:
        return []
    told = _Told(events)
    least = min((to_e10(Decimal(rule.given["threshold"])) for rule in dear), default=None)
    rows = watched.noteworthy(
        look.session, look.organization.id, told.batches, least, unpriced=bool(unpriced)
    )
    found = _Noteworthy(look, dear, unpriced)
    for row, labels in rows:
        found.add(row, labels, told.event_of(row["id"]))
    return [*found.dear_findings(), *found.unpriced_findings()]


class _Told:
    """Some events, found by the records that they tell of."""

    def __init__(self, events: Sequence[Mapping[str, Any]]) -> None:
        batches = [(batch_of(event), str(event["id"])) for event in events]
        self._by_start = sorted(batches)
        self._starts = [batch.first_id for batch, _ in self._by_start]
        self.batches = [batch for batch, _ in self._by_start]

    def event_of(self, record_id: str) -> str:
        """The id of the last event whose range holds the record."""
        place = bisect_right(self._starts, record_id) - 1
        while place > 0 and self._by_start[place][0].last_id < record_id:
            place -= 1
        return self._by_start[place][1]


def batch_of(event: Mapping[str, Any]) -> watched.Batch:
    """The records that an event tells of."""
    payload: Mapping[str, Any] = event["payload"]
    return watched.Batch(str(payload["first_id"]), str(payload["last_id"]))


@dataclass(slots=True)
class _Dear:
    """The dear calls of one rule, model and event: how many, the first, and the dearest few."""

    calls: int = 0
    first_id: str = ""
    dearest: list[Row] = field(default_factory=list[Row])

    def add(self, row: Row) -> None:
        self.calls += 1
        self.first_id = min(self.first_id or row["id"], row["id"])
        self.dearest = sorted([*self.dearest, row], key=_dearest_first)[: measures.TOP]


def _dearest_first(row: Row) -> tuple[int, str]:
    return -int(row["cost_e10"]), row["id"]


class _Noteworthy:
    """What each rule makes of each noteworthy call, gathered by model and event."""

    def __init__(self, look: Look, dear: Sequence[Rule], unpriced: Sequence[Rule]) -> None:
        self._look = look
        self._dear = [
            (rule, look.currency(rule), to_e10(Decimal(rule.given["threshold"]))) for rule in dear
        ]
        self._unpriced = unpriced
        self._facts: dict[Labels, Facts] = {}
        self._dear_found: dict[tuple[int, str, str, str], _Dear] = {}
        self._unpriced_found: dict[tuple[int, str, str, str], None] = {}

    def add(self, row: Row, labels: Labels, event_id: str) -> None:
        facts = self._facts.get(labels)
        if facts is None:
            facts = self._facts[labels] = facts_of(labels)
        model: tuple[str, str] = (row["provider"], row["model_name"])
        if row["cost_e10"] is None:
            for place, rule in enumerate(self._unpriced):
                if rule.scope.holds(facts):
                    self._unpriced_found.setdefault((place, *model, event_id))
            return
        cost = int(row["cost_e10"])
        for place, (rule, currency, bound) in enumerate(self._dear):
            if cost >= bound and row["currency"] == currency and rule.scope.holds(facts):
                self._dear_found.setdefault((place, *model, event_id), _Dear()).add(row)

    def dear_findings(self) -> Iterator[Finding]:
        for key in sorted(self._dear_found):
            rule, currency, _ = self._dear[key[0]]
            yield _dear_finding(self._look, rule, self._dear_found[key], currency, key[-1])

    def unpriced_findings(self) -> Iterator[Finding]:
        counted: dict[tuple[int, str, str], int] = {}
        for place, provider, model, event_id in sorted(self._unpriced_found):
            rule, of = self._unpriced[place], (place, provider, model)
            if of not in counted:
                counted[of] = unpriced_calls(self._look, rule, provider, model)
            if counted[of] >= rule.given["min_requests"]:
                yield _unpriced(self._look, rule, provider, model, counted[of], event_id)


def _dear_finding(look: Look, rule: Rule, found: _Dear, currency: str, event_id: str) -> Finding:
    first = found.dearest[0]
    amount, bound = measures.amount_of(first), Decimal(rule.given["threshold"])
    model = text.name(first["model_name"])
    others = found.calls - 1
    more = f" {others:,} more of the same batch reached it, too." if others else ""
    attributed = [
        (label, first[name])
        for label, name in (("Project", "project_id"), ("User", "user_id"), ("Team", "team_id"))
        if first[name]
    ]
    return Finding(
        rule=rule,
        subject=f"{first['provider']}/{first['model_name']}",
        period=found.first_id,
        severity="warning",
        title=f"A call of {model} cost {text.money(amount, currency)}",
        summary=f"A call of {model} cost {text.money(amount, currency)}; "
        f"the bound is {text.money(bound, currency)}.{more}",
        facts=(
            Fact("Cost", text.money(amount, currency)),
            Fact("Bound", text.money(bound, currency)),
            Fact("Model", f"{model} ({text.name(first['provider'])})"),
            Fact("Tokens", text.count(first["total_tokens"])),
            Fact("Time of the call", format_minute(int(first["timestamp"]), look.zone)),
            *(Fact(label, text.name(value)) for label, value in attributed),
            Fact("Record", first["id"]),
        ),
        details={
            "record_id": first["id"],
            "cost": amount,
            "currency": currency,
            "threshold": bound,
            "provider": first["provider"],
            "model": first["model_name"],
        },
        since_us=int(first["timestamp"]),
        event_id=event_id,
        joins=True,
        times=found.calls,
        drivers=tuple(
            Driver(
                text.driver(measures.DRIVEN_BY, (row["model_name"], row["project_id"])),
                text.money(measures.amount_of(row), currency),
                "",
            )
            for row in found.dearest
        ),
    )


def unpriced_window(rule: Rule, now_us: int) -> Window:
    """The whole hours that a rule of unpriced calls looks back on, with that under way."""
    end_us = -(-(now_us + 1) // HOUR_US) * HOUR_US
    return Window(end_us - rule.given["window_minutes"] * _MINUTE_US // HOUR_US * HOUR_US, end_us)


def unpriced_calls(
    look: Look, rule: Rule, provider: str, model: str, since_us: int | None = None
) -> int:
    """How many calls of a model that the rule is about have no price: those that it looks back on,
    or did at `since_us`, and later ones."""
    scope = rule.scope.also("model", model).also("provider", provider)
    window = unpriced_window(rule, look.now_us)
    if since_us is not None:
        start_us = unpriced_window(rule, since_us).start_us
        window = Window(min(start_us, window.start_us), window.end_us)
    found = sums(look.session, look.organization.id, [scope], window, look.organization.currency)
    return found.unpriced


def _unpriced(
    look: Look, rule: Rule, provider: str, model: str, calls: int, event_id: str
) -> Finding:
    shown = f"{text.name(provider)}/{text.name(model)}"
    verbs = "has no price and counts" if calls == 1 else "have no price and count"
    window = unpriced_window(rule, look.now_us)
    return Finding(
        rule=rule,
        subject=f"{provider}/{model}",
        period=event_id,
        severity="warning",
        title=f"No price is known for {shown}",
        summary=f"{text.calls(calls)} of {shown} {verbs} in no cost until one is given.",
        facts=(
            Fact("Model", shown),
            Fact("Calls without a price", text.count(calls)),
            Fact("Within", text.minutes(rule.given["window_minutes"] * _MINUTE_US)),
            Fact("What to do", "cost-ops pricing set, or wait for the price book"),
        ),
        details={"provider": provider, "model": model, "requests": calls},
        since_us=window.start_us,
        event_id=event_id,
        joins=True,
    )
