"""Budgets and reservations as the API shows them: money as exact numbers, shares as fractions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.budget import Budget
from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.core.money import from_e10
from llm_cost_ops.core.period import ALL_TIME
from llm_cost_ops.server.budgets import store
from llm_cost_ops.server.budgets.ask import NO_PRICE, Ask
from llm_cost_ops.server.http.body import encode
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.spend.counters import Standing
from llm_cost_ops.server.spend.holdings import OPEN
from llm_cost_ops.server.spend.reserve import Decision

_MILLION = 1_000_000


def share(millionths: int) -> Decimal:
    """A share as a fraction."""
    return Decimal(millionths) / _MILLION


def money(units: int | None) -> Decimal | None:
    """Units of 1e-10; None stays None."""
    return None if units is None else from_e10(units)


def remaining(standing: Standing) -> Decimal | None:
    """What can still be reserved: the limit without what is used and held, 0 when overspent."""
    if standing.limits.e10 is None:
        return None
    return from_e10(max(0, standing.limits.e10 - standing.used.e10 - standing.held.e10))


def budget_row(budget: Budget, row: Mapping[str, Any], standing: Standing | None) -> dict[str, Any]:
    """One budget with where it stands; without a standing it is not in force."""
    limits = budget.limits if standing is None else standing.limits
    definition: dict[str, Any] = loads(row["definition"])
    shown: dict[str, Any] = {
        "id": budget.id,
        "name": budget.name,
        "description": definition.get("description"),
        "amount": money(budget.limits.e10),
        "limit": money(limits.e10),
        "request_limit": budget.limits.requests,
        "token_limit": budget.limits.tokens,
        "currency": budget.currency,
        "period": definition.get("period", budget.period),
        "every": budget.every,
        "rolling": budget.rolling,
        "recurring": budget.recurring,
        "timezone": budget.zone,
        "enforcement": budget.enforcement,
        "scope": budget.scope.wire(),
        "team_id": budget.scope.wire().get("team_id"),
        "alert_thresholds": [share(level) for level in budget.thresholds],
        "throttle": _throttle(budget),
        "rollover": _rollover(budget),
        "parent_id": budget.parent_id,
        "allocation_percent": None if budget.share is None else share(budget.share) * 100,
        "allow_overallocation": budget.overallocate,
        "start_date": _bound(budget.starts_us, ALL_TIME.start_us),
        "end_date": _bound(budget.ends_us, ALL_TIME.end_us),
        "created_at": format_micros(row["created_at"]),
        "updated_at": format_micros(row["updated_at"]),
        "active": standing is not None,
    }
    return {**shown, **standing_row(standing)}


def standing_row(standing: Standing | None) -> dict[str, Any]:
    """What is used, held and left in the period of now."""
    if standing is None:
        nothing = ("spent", "reserved", "remaining", "utilization", "period_start", "period_end")
        return {**dict.fromkeys(nothing), "status": "inactive"}
    used, held, limits = standing.used, standing.held, standing.limits
    return {
        "spent": from_e10(used.e10),
        "current_spend": from_e10(used.e10),
        "reserved": from_e10(held.e10),
        "remaining": remaining(standing),
        "utilization": share(standing.share),
        "requests": used.requests,
        "reserved_requests": held.requests,
        "tokens": used.tokens,
        "reserved_tokens": held.tokens,
        "carried_over": from_e10(standing.carried_e10),
        "adjusted": from_e10(standing.adjusted_e10),
        "unpriced_requests": standing.unpriced,
        "other_currency_requests": standing.other_currency,
        "period_start": format_micros(standing.window.start_us),
        "period_end": format_micros(standing.window.end_us),
        "status": "ok" if limits.fits(used) else "exceeded",
    }


def _bound(micros: int, open_end: int) -> str | None:
    return None if micros == open_end else format_micros(micros)


def _throttle(budget: Budget) -> dict[str, Any] | None:
    found = budget.throttling
    if found is None:
        return None
    return {
        "above": share(found.above),
        "per_minute": found.per_minute,
        "delay_ms": found.delay_ms,
    }


def _rollover(budget: Budget) -> dict[str, Any] | None:
    found = budget.rollover
    if found is None:
        return None
    return {"percent": share(found.share) * 100, "cap": money(found.cap_e10)}


def change_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """One change of a budget's amount."""
    return {
        "id": row["id"],
        "budget_id": row["budget_id"],
        "type": row["kind"],
        "amount": from_e10(int(row["amount_e10"])),
        "period_start": format_micros(int(row["period_start"])),
        "other_budget_id": row["other_budget_id"],
        "reason": row["reason"],
        "actor_id": row["actor_id"],
        "created_at": format_micros(int(row["created_at"])),
    }


def reserved(row: Mapping[str, Any], decision: Decision, ask: Ask, hidden: frozenset[str]) -> bytes:
    """The answer to a reservation, with what is left now of each budget that is not hidden."""
    return encode(
        {
            "reservation_id": row["id"],
            "id": row["id"],
            "status": OPEN,
            "amount": from_e10(ask.amounts.e10),
            "currency": ask.currency,
            **_basis(ask),
            "expires_at": format_micros(row["expires_at"]),
            "delay_ms": decision.delay_ms,
            "budgets": [_left(s, ask) for s in decision.standings if s.budget.id not in hidden],
        }
    )


def _basis(ask: Ask) -> dict[str, Any]:
    assumed = {} if ask.max_tokens is None else {"max_tokens": ask.max_tokens}
    return {"basis": ask.basis, **assumed}


def _left(standing: Standing, ask: Ask) -> dict[str, Any]:
    """What is left once the asked amount is held, too."""
    limits, amounts = standing.limits, ask.amounts
    total = standing.used.plus(standing.held)
    if ask.currency == standing.budget.currency:
        total = total.plus(amounts)
    left = None if limits.e10 is None else from_e10(max(0, limits.e10 - total.e10))
    return {
        "id": standing.budget.id,
        "name": standing.budget.name,
        "enforcement": standing.budget.enforcement,
        "remaining": left,
        "utilization": share(standing.share),
        "exceeded": not limits.fits(total),
    }


def resolved(row: Mapping[str, Any]) -> bytes:
    """The answer to a settlement or a release."""
    amount = int(row["amount_e10"])
    shown: dict[str, Any] = {
        "reservation_id": row["id"],
        "id": row["id"],
        "status": row["status"],
        "currency": row["currency"],
    }
    if row["status"] == store.RELEASED:
        return encode({**shown, "released": from_e10(amount)})
    cost = int(row["cost_e10"] or 0)
    return encode(
        {
            **shown,
            "cost": from_e10(cost),
            "released": from_e10(max(0, amount - cost)),
            "record_id": row["record_id"],
        }
    )


def reservation_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A reservation as it stands."""
    return {
        "reservation_id": row["id"],
        "id": row["id"],
        "status": row["status"],
        "amount": from_e10(int(row["amount_e10"])),
        "currency": row["currency"],
        "cost": None if row["cost_e10"] is None else from_e10(int(row["cost_e10"])),
        "record_id": row["record_id"],
        "created_at": format_micros(int(row["created_at"])),
        "expires_at": format_micros(int(row["expires_at"])),
    }


def checked(decision: Decision, ask: Ask, hidden: frozenset[str]) -> dict[str, Any]:
    """Whether a call would fit now, with the budgets that are not hidden."""
    refusing = {s.budget.id for s in (*decision.refused_by, *decision.throttled_by)}
    return {
        "allowed": decision.admitted,
        "amount": from_e10(ask.amounts.e10) if ask.basis != NO_PRICE else None,
        "currency": ask.currency,
        **_basis(ask),
        "delay_ms": decision.delay_ms,
        "reason": None if decision.admitted else refusal(decision, ask, hidden).code,
        "budgets": [
            {**_left(s, ask), "allowed": s.budget.id not in refusing,
             "spent": from_e10(s.used.e10), "reserved": from_e10(s.held.e10),
             "limit": money(s.limits.e10)}
            for s in decision.standings
            if s.budget.id not in hidden
        ],
    }  # fmt: skip


def refusal(decision: Decision, ask: Ask, hidden: frozenset[str]) -> Problem:
    """402 with the first budget that refuses, 429 for one that slows down, 422 for an ask that a
    hard budget cannot judge. Of hidden ones nothing is told but that."""
    told = _without(decision, hidden) if hidden else decision
    return _of_others(decision, ask) if told.admitted else _refusal(told, ask)


def _without(decision: Decision, hidden: frozenset[str]) -> Decision:
    """The decision as the budgets that are not hidden made it."""
    named = ("refused_by", "throttled_by", "unpriced_for", "currency_of")
    kept = {
        name: [s for s in getattr(decision, name) if s.budget.id not in hidden] for name in named
    }
    return replace(decision, **kept)


def _of_others(decision: Decision, ask: Ask) -> Problem:
    """The refusal of a budget that who asks must not see."""
    if decision.unpriced_for or decision.currency_of:
        name = "estimated_cost" if decision.unpriced_for else "currency"
        text = "A budget outside of your roles cannot judge this call."
        return Problem(422, "VALIDATION_ERROR", text, {name: "does not suit a budget"})
    if decision.refused_by:
        return Problem(
            402,
            "BUDGET_EXCEEDED",
            "The call does not fit into a budget outside of your roles.",
            details={"requested": from_e10(ask.amounts.e10), "currency": ask.currency},
        )
    wait_s = decision.retry_after_s
    return Problem(
        429,
        "RATE_LIMIT_EXCEEDED",
        "A budget outside of your roles lets fewer calls through now.",
        headers={"Retry-After": str(wait_s)},
        details={"retry_after": wait_s},
    )


def _refusal(decision: Decision, ask: Ask) -> Problem:
    if decision.unpriced_for:
        return Problem(
            422,
            "COST_001",
            f"There is no price for {ask.call['provider']}/{ask.call['model']}, and the budget "
            f"{decision.unpriced_for[0].budget.name} is hard: give estimated_cost.",
            {"estimated_cost": "is required where no price is known"},
        )
    if decision.currency_of:
        own = decision.currency_of[0].budget
        return Problem(
            422,
            "VALIDATION_ERROR",
            f"The estimate is in {ask.currency}, the budget {own.name} in {own.currency}.",
            {"currency": f"must be {own.currency}"},
        )
    if decision.refused_by:
        return _exceeded(decision, ask)
    standing = decision.throttled_by[0]
    return Problem(
        429,
        "RATE_LIMIT_EXCEEDED",
        f"The budget {standing.budget.name} lets fewer calls through now.",
        headers={"Retry-After": str(decision.retry_after_s)},
        details={"budget_id": standing.budget.id, "retry_after": decision.retry_after_s},
    )


def _exceeded(decision: Decision, ask: Ask) -> Problem:
    standing = decision.refused_by[0]
    budget, limits, used, held = standing.budget, standing.limits, standing.used, standing.held
    asked = ask.amounts
    broken = limits.broken(used.plus(held).plus(asked))
    named = f": it would exceed its {' and '.join(broken)}" if broken else ""
    return Problem(
        402,
        "BUDGET_EXCEEDED",
        f"The call does not fit into the budget {budget.name}{named}.",
        details={
            "budget_id": budget.id,
            "budget_name": budget.name,
            "exceeded_limits": list(broken),
            "requested": from_e10(asked.e10),
            "limit": money(limits.e10),
            "spent": from_e10(used.e10),
            "reserved": from_e10(held.e10),
            "remaining": remaining(standing),
            **_counted("request", limits.requests, used.requests, held.requests, asked.requests),
            **_counted("token", limits.tokens, used.tokens, held.tokens, asked.tokens),
            "currency": budget.currency,
            "period_end": format_micros(standing.window.end_us),
            "budget_ids": [s.budget.id for s in decision.refused_by],
        },
    )


def _counted(
    name: str, limit: int | None, used: int, held: int, requested: int
) -> dict[str, int | None]:
    """What a limit of requests or tokens that there is has left."""
    if limit is None:
        return {}
    return {
        f"{name}_limit": limit,
        f"{name}s": used,
        f"reserved_{name}s": held,
        f"requested_{name}s": requested,
    }
