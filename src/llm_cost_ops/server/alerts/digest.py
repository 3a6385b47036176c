"""Digests: what a day or week cost, beside the one before, and what there was to be told."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from llm_cost_ops.core.money import from_e10
from llm_cost_ops.core.period import Window, days_window, local_day
from llm_cost_ops.server.alerts import store, text
from llm_cost_ops.server.alerts.finding import Finding
from llm_cost_ops.server.alerts.look import Look
from llm_cost_ops.server.alerts.rules import DIGEST, TYPES, Rule
from llm_cost_ops.server.delivery.notice import Fact
from llm_cost_ops.server.ledger.scoped import Sums, sums

_DAYS = {"daily": 1, "weekly": 7}
_ONE_DAY = timedelta(days=1)


def digest(look: Look, rule: Rule, slot_us: int) -> Finding:
    """The digest of the whole days before the slot (microseconds)."""
    zone = text.zone_of(rule.given.get("timezone") or look.organization.time_zone)
    length = _DAYS[rule.given["frequency"]]
    last = local_day(slot_us, zone) - _ONE_DAY
    first = last - timedelta(days=length - 1)
    window = days_window(first, last, zone)
    before = days_window(first - timedelta(days=length), first - _ONE_DAY, zone)
    currency = look.organization.currency
    now, then = (_sums(look, rule, each, currency) for each in (window, before))
    spent = text.money(from_e10(now.e10), currency)
    days = _days(first, last)
    word = rule.given["frequency"].capitalize()
    change = _change(now.e10, then.e10)
    return Finding(
        rule=rule,
        subject="",
        period=str(slot_us),
        severity="info",
        title=f"{word} digest, {days}: {spent}",
        summary=f"{text.name(look.organization.name)} spent {spent} on {now.requests:,} calls, "
        f"{change} the {'day' if length == 1 else 'week'} before.",
        facts=(
            Fact("Spent", spent),
            Fact("Before", f"{text.money(from_e10(then.e10), currency)} ({change})"),
            Fact("Calls", f"{now.requests:,} (before: {then.requests:,})"),
            Fact("Tokens", f"{now.tokens:,} (before: {then.tokens:,})"),
            *_reserved(now),
            Fact("Alerts", _alerts(look, window)),
            Fact("Scope", text.scope(rule.scope)),
        ),
        details={
            "first_day": first.isoformat(),
            "last_day": last.isoformat(),
            "spent": from_e10(now.e10),
            "before": from_e10(then.e10),
            "currency": currency,
            "requests": now.requests,
            "tokens": now.tokens,
            "unpriced": now.unpriced,
        },
        since_us=window.start_us,
        scope=rule.scope,
        window=window,
        currency=currency,
    )


def _sums(look: Look, rule: Rule, window: Window, currency: str) -> Sums:
    return sums(look.session, look.organization.id, [rule.scope], window, currency)


def _days(first: date, last: date) -> str:
    return first.isoformat() if first == last else f"{first.isoformat()} to {last.isoformat()}"


def _change(now: int, then: int) -> str:
    """`12.5 % more than`; nothing before has no percentage."""
    if now == then:
        return "as much as"
    word = "more" if now > then else "less"
    if then <= 0:
        return f"{word} than"
    return f"{text.percent(abs(Decimal(now - then)) / then)} {word} than"


def _reserved(found: Sums) -> tuple[Fact, ...]:
    """What the amount leaves out."""
    facts: list[Fact] = []
    if found.unpriced:
        facts.append(Fact("Without a price", f"{found.unpriced:,} calls, not in the amount"))
    if found.other_currency:
        facts.append(Fact("Other currencies", f"{found.other_currency:,} calls, not in the amount"))
    return tuple(facts)


def _alerts(look: Look, window: Window) -> str:
    found = store.fired_between(
        look.session, look.organization.id, window.start_us, window.end_us, DIGEST
    )
    kinds = [kind for kind in TYPES if kind != DIGEST]
    still = len(store.open_alerts(look.session, look.organization.id, kinds))
    parts = [f"{found[name]} {name}" for name in ("critical", "warning", "info") if found.get(name)]
    return f"{', '.join(parts) or 'none'}; {still} open now"
