"""Single calls of a batch: those that cost much, and those without a price."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import groupby
from typing import Any

from llm_cost_ops.core.money import to_e10
from llm_cost_ops.core.period import HOUR_US, Window
from llm_cost_ops.core.scope import Scope
from llm_cost_ops.server.alerts import measures, text
from llm_cost_ops.server.alerts.finding import Finding
from llm_cost_ops.server.alerts.look import Look
from llm_cost_ops.server.alerts.rules import CALL_COST, UNPRICED, Rule
from llm_cost_ops.server.alerts.store import Row
from llm_cost_ops.server.delivery.notice import Driver, Fact
from llm_cost_ops.server.ledger import watched
from llm_cost_ops.server.ledger.scoped import sums

_MINUTE_US = 60_000_000


def recorded(look: Look, event: Mapping[str, Any]) -> list[Finding]:
    """What the rules of single calls find in the records that an event tells of."""
    payload: Mapping[str, Any] = event["payload"]
    batch = watched.Batch(str(payload["first_id"]), str(payload["last_id"]))
    found: list[Finding] = []
    for rule in look.of(CALL_COST):
        found += _dear(look, rule, batch, str(event["id"]))
    for rule in look.of(UNPRICED):
        for provider, model in watched.unpriced_models(
            look.session, look.organization.id, batch, rule.scope
        ):
            found += _unpriced(look, rule, provider, model, str(event["id"]))
    return found


def _dear(look: Look, rule: Rule, batch: watched.Batch, event_id: str) -> list[Finding]:
    currency, bound = look.currency(rule), Decimal(rule.given["threshold"])
    rows = watched.costly(
        look.session, look.organization.id, batch, rule.scope, currency, to_e10(bound)
    )
    rows.sort(key=_model)
    return [
        _dear_finding(look, rule, list(each), currency, event_id)
        for _, each in groupby(rows, key=_model)
    ]


def _model(row: Row) -> tuple[str, str]:
    return row["provider"], row["model_name"]


def _dear_finding(look: Look, rule: Rule, rows: list[Row], currency: str, event_id: str) -> Finding:
    first = max(rows, key=lambda row: (int(row["cost_e10"]), row["id"]))
    amount, bound = measures.amount_of(first), Decimal(rule.given["threshold"])
    model = text.name(first["model_name"])
    more = "" if len(rows) == 1 else f" and {len(rows) - 1} more of the same batch"
    attributed = [
        (label, first[name])
        for label, name in (("Project", "project_id"), ("User", "user_id"), ("Team", "team_id"))
        if first[name]
    ]
    return Finding(
        rule=rule,
        subject=f"{first['provider']}/{first['model_name']}",
        period=min(row["id"] for row in rows),
        severity="warning",
        title=f"A call of {model} cost {text.money(amount, currency)}",
        summary=f"One call{more} cost {text.money(amount, currency)}; "
        f"the bound is {text.money(bound, currency)}.",
        facts=(
            Fact("Cost", text.money(amount, currency)),
            Fact("Bound", text.money(bound, currency)),
            Fact("Model", f"{model} ({text.name(first['provider'])})"),
            Fact("Tokens", text.count(first["total_tokens"])),
            Fact("Time of the call", text.instant(int(first["timestamp"]), look.zone)),
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
        times=len(rows),
        drivers=tuple(
            Driver(
                text.driver(measures.DRIVEN_BY, (row["model_name"], row["project_id"])),
                text.money(measures.amount_of(row), currency),
                "",
            )
            for row in sorted(rows, key=lambda row: -int(row["cost_e10"]))[: measures.TOP]
        ),
    )


def unpriced_window(rule: Rule, now_us: int) -> Window:
    """The whole hours that a rule of unpriced calls looks back on, with that under way."""
    end_us = -(-(now_us + 1) // HOUR_US) * HOUR_US
    return Window(end_us - rule.given["window_minutes"] * _MINUTE_US // HOUR_US * HOUR_US, end_us)


def unpriced_calls(look: Look, rule: Rule, provider: str, model: str) -> int:
    """How many calls of a model have no price."""
    scope = Scope((("model", frozenset({model})), ("provider", frozenset({provider}))))
    window = unpriced_window(rule, look.now_us)
    found = sums(look.session, look.organization.id, [scope], window, look.organization.currency)
    return found.unpriced


def _unpriced(look: Look, rule: Rule, provider: str, model: str, event_id: str) -> list[Finding]:
    calls = unpriced_calls(look, rule, provider, model)
    if calls < rule.given["min_requests"]:
        return []
    shown = f"{text.name(provider)}/{text.name(model)}"
    window = unpriced_window(rule, look.now_us)
    return [
        Finding(
            rule=rule,
            subject=f"{provider}/{model}",
            period=str(window.end_us),
            severity="warning",
            title=f"No price is known for {shown}",
            summary=f"{calls:,} calls of {shown} have no price and count in no cost until one is "
            "given.",
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
    ]
