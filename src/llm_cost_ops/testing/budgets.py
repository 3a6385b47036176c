"""Budgets of the fake server: the same definitions and periods as the real ones, counted anew from
its ledger at each look. Rollover, throttling and changes of the amount of a period are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from llm_cost_ops.core.budget import HARD, Amounts, Budget, ancestors, crossed, resolve_shares
from llm_cost_ops.core.definition import Defaults, canonical, make_budget
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import format_micros, parse_instant, to_micros
from llm_cost_ops.core.money import from_e10, parse_decimal, to_e10
from llm_cost_ops.core.period import Window
from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.core.scope import COLUMNS, Facts, metadata_texts
from llm_cost_ops.testing.ledger import FakeLedger
from llm_cost_ops.testing.refusal import Refusal, invalid, not_found

Row = dict[str, Any]
OPEN, SETTLED, RELEASED, EXPIRED = "open", "settled", "released", "expired"
FILTERS = ("name", "enforcement", "period", "parent_id")
_MILLION = 1_000_000
_DEFAULT_TTL_S = 300


class FakeBudgets:
    """Budgets, what counts against them, and what is held."""

    def __init__(
        self, ledger: FakeLedger, new_id: Callable[[str], str], now: Callable[[], datetime]
    ) -> None:
        self._ledger = ledger
        self._new_id = new_id
        self._now = now
        self._definitions: dict[str, Row] = {}
        self._budgets: dict[str, Budget] = {}
        self._reservations: dict[str, Row] = {}
        self._told: dict[tuple[str, int], tuple[int, bool]] = {}

    @property
    def now_us(self) -> int:
        return to_micros(self._now())

    # --- definitions --------------------------------------------------------------------------

    def add(self, given: Mapping[str, object]) -> Row:
        """A new budget. Raises DomainError naming the field."""
        budget_id = self._new_id("bud")
        self._put(budget_id, canonical(given), format_micros(self.now_us))
        return self.shown(budget_id)

    def change(self, budget_id: str, given: Mapping[str, object]) -> Row:
        """What is not named stays. Raises Refusal, DomainError."""
        self.of(budget_id)
        before = self._definitions[budget_id]
        self._put(budget_id, {**before["definition"], **canonical(given)}, before["created_at"])
        return self.shown(budget_id)

    def _put(self, budget_id: str, definition: Mapping[str, object], created_at: str) -> None:
        kept = {name: value for name, value in definition.items() if value is not None}
        made = make_budget(
            kept,
            budget_id=budget_id,
            organization_id="",
            defaults=Defaults(provider=lambda name: provider_id(name) or name),
            made_us=to_micros(parse_instant(created_at)),
        )
        if made.parent_id is not None and made.parent_id not in self._budgets:
            raise invalid("parent_id", "is no budget of the organization")
        whole = resolve_shares([*(b for b in self._budgets.values() if b.id != budget_id), made])
        order = dict.fromkeys([*self._budgets, budget_id])
        self._budgets = {each: whole[each] for each in order}
        self._definitions[budget_id] = {"definition": kept, "created_at": created_at}
        for key in [key for key in self._told if key[0] == budget_id]:
            told, exceeded = self._told[key]
            used, limits = self.used(made), self._budgets[budget_id].limits
            still = exceeded and not limits.fits(used)
            self._told[key] = (min(told, limits.share(used)), still)

    def remove(self, budget_id: str) -> None:
        """Raises Refusal for a budget with others below it."""
        self.of(budget_id)
        if any(budget.parent_id == budget_id for budget in self._budgets.values()):
            text = "Other budgets are below this one: move or remove them first."
            raise Refusal(409, "CONFLICT", text)
        del self._budgets[budget_id], self._definitions[budget_id]

    def of(self, budget_id: str) -> Budget:
        """Raises Refusal where there is none."""
        if budget_id not in self._budgets:
            raise not_found("Budget")
        return self._budgets[budget_id]

    def list(self, wanted: Mapping[str, str]) -> list[Row]:
        """In the order in which they were made."""
        rows = [self.shown(budget_id) for budget_id in self._budgets]
        return [row for row in rows if all(row[name] == value for name, value in wanted.items())]

    def current(self) -> Row:
        """The first budget of the whole organization; without one the topmost added up."""
        rows = [row for row in self.list({}) if row["active"]]
        whole = [row for row in rows if not row["scope"] and row["limit"] is not None]
        if whole:
            return whole[0]
        top = [row for row in rows if row["parent_id"] is None and row["limit"] is not None]
        if not top:
            raise Refusal(404, "NOT_FOUND", "No budget is in force: create one first")
        mine = [row for row in top if row["currency"] == top[0]["currency"]]
        names = ("amount", "limit", "spent", "current_spend", "reserved", "remaining")
        added: Row = {name: sum(row[name] for row in mine) for name in names}
        share = added["spent"] / added["limit"] if added["limit"] else Decimal(0)
        exceeded = [row["id"] for row in top if row["status"] == "exceeded"]
        return {
            "id": None,
            "name": "all budgets",
            "currency": top[0]["currency"],
            **added,
            "utilization": round(share, 6),
            "budget_ids": [row["id"] for row in mine],
            "status": "exceeded" if exceeded else "ok",
            "exceeded_budget_ids": exceeded,
        }

    # --- what counts --------------------------------------------------------------------------

    def window(self, budget: Budget) -> Window | None:
        """The period or sliding window of now."""
        return budget.in_force_at(self.now_us)

    def used(self, budget: Budget) -> Amounts:
        """What the ledger holds of the budget's period, and of the budgets below it."""
        window = self.window(budget)
        if window is None:
            return Amounts()
        below = [b for b in self._budgets.values() if budget.id in self._above(b)]
        scopes = [budget.scope, *(b.scope for b in below)]
        found = Amounts()
        for row in self._ledger.rows:
            at_us = to_micros(parse_instant(row["timestamp"]))
            inside = window.start_us <= at_us < window.end_us
            if inside and any(scope.holds(facts_of(row)) for scope in scopes):
                cost = row["total_cost"] if row["currency"] == budget.currency else None
                e10 = 0 if cost is None else to_e10(cost, "cost")
                found = found.plus(Amounts(e10, 1, row["total_tokens"]))
        return found

    def _above(self, budget: Budget) -> list[str]:
        return [*ancestors(budget.id, {b.id: b.parent_id for b in self._budgets.values()})]

    def _held(self, budget: Budget) -> Amounts:
        held = Amounts()
        for row in self._reservations.values():
            if self._status(row) == OPEN and budget.id in row["budget_ids"]:
                held = held.plus(row["held"])
        return held

    def shown(self, budget_id: str) -> Row:
        """A budget as the API shows it. Raises Refusal."""
        budget = self.of(budget_id)
        kept = self._definitions[budget_id]
        window, used, held = self.window(budget), self.used(budget), self._held(budget)
        limits, active = budget.limits, window is not None
        amount = None if limits.e10 is None else from_e10(limits.e10)
        left = None if limits.e10 is None else from_e10(max(0, limits.e10 - used.e10 - held.e10))
        status = "ok" if limits.fits(used) else "exceeded"
        return {
            "id": budget.id,
            "name": budget.name,
            "description": kept["definition"].get("description"),
            "amount": amount,
            "limit": amount,
            "request_limit": limits.requests,
            "token_limit": limits.tokens,
            "currency": budget.currency,
            "period": kept["definition"].get("period", budget.period),
            "rolling": budget.rolling,
            "timezone": budget.zone,
            "enforcement": budget.enforcement,
            "scope": budget.scope.wire(),
            "team_id": budget.scope.wire().get("team_id"),
            "alert_thresholds": [Decimal(level) / _MILLION for level in budget.thresholds],
            "parent_id": budget.parent_id,
            "created_at": kept["created_at"],
            "updated_at": kept["created_at"],
            "active": active,
            "spent": from_e10(used.e10),
            "current_spend": from_e10(used.e10),
            "reserved": from_e10(held.e10),
            "remaining": left,
            "utilization": Decimal(limits.share(used)) / _MILLION,
            "requests": used.requests,
            "tokens": used.tokens,
            "period_start": None if window is None else format_micros(window.start_us),
            "period_end": None if window is None else format_micros(window.end_us),
            "status": status if active else "inactive",
        }

    def reached(self) -> Iterator[tuple[Row, Decimal | None]]:
        """Budgets and the thresholds that they reached since the last look, None for the limit
        itself that was exceeded; each once a period."""
        for budget in list(self._budgets.values()):
            window = self.window(budget)
            if window is None:
                continue
            start_us = 0 if budget.slide is not None else window.start_us
            used = self.used(budget)
            told, exceeded = self._told.get((budget.id, start_us), (0, False))
            levels = crossed(budget.thresholds, told, budget.limits.share(used))
            over = not budget.limits.fits(used)
            self._told[(budget.id, start_us)] = (max([told, *levels]), exceeded or over)
            for level in levels:
                yield self.shown(budget.id), Decimal(level) / _MILLION
            if over and not exceeded:
                yield self.shown(budget.id), None

    # --- before and after a call --------------------------------------------------------------

    def check(self, ask: Mapping[str, Any], amounts: Amounts) -> Row:
        """Would it fit now? Nothing is held."""
        asked = list(self._asked(ask, amounts))
        refused = [budget.id for budget, fits in asked if not fits]
        return {
            "allowed": not refused,
            "amount": from_e10(amounts.e10),
            "currency": ask.get("currency", "USD"),
            "delay_ms": 0,
            "reason": "BUDGET_EXCEEDED" if refused else None,
            "budgets": [
                {**self._left(budget, amounts), **self._stands(budget), "allowed": fits}
                for budget, fits in asked
            ],
        }

    def reserve(self, ask: Mapping[str, Any], amounts: Amounts) -> Row:
        """Hold an amount in every budget or in none. Raises Refusal 402."""
        asked = list(self._asked(ask, amounts))
        refusing = next((budget for budget, fits in asked if not fits), None)
        if refusing is not None:
            raise _exceeded(self.shown(refusing.id), amounts)
        ttl_s = ask.get("ttl_seconds", _DEFAULT_TTL_S)
        if isinstance(ttl_s, bool) or not isinstance(ttl_s, int) or ttl_s < 1:
            raise invalid("ttl_seconds", "must be a whole number from 1 to 86400")
        left = [self._left(budget, amounts) for budget, _ in asked]
        row: Row = {
            "id": self._new_id("rsv"),
            "status": OPEN,
            "amount": from_e10(amounts.e10),
            "currency": ask.get("currency", "USD"),
            "cost": None,
            "record_id": None,
            "created_at": format_micros(self.now_us),
            "expires_at": format_micros(self.now_us + ttl_s * _MILLION),
            "held": amounts,
            "ask": dict(ask),
            "budget_ids": [budget.id for budget, _ in asked],
        }
        self._reservations[row["id"]] = row
        names = ("id", "status", "amount", "currency", "expires_at")
        shown = {name: row[name] for name in names}
        return {"reservation_id": row["id"], **shown, "delay_ms": 0, "budgets": left}

    def reservation(self, reservation_id: str) -> Row:
        """What became of it so far. Raises Refusal."""
        row = self._reservation(reservation_id)
        names = ("id", "amount", "currency", "cost", "record_id", "created_at", "expires_at")
        status = self._status(row)
        return {"reservation_id": row["id"], "status": status, **{n: row[n] for n in names}}

    def open_ask(self, reservation_id: str, end: str, given: object) -> Mapping[str, Any] | None:
        """What was asked, where the reservation is open; None where it has ended in the same way.
        Raises Refusal where it has ended in another."""
        row = self._reservation(reservation_id)
        if self._status(row) == OPEN:
            return cast("Mapping[str, Any]", row["ask"])
        if (row["status"], row.get("end_body")) == (end, given):
            return None
        raise Refusal(409, "CONFLICT", f"The reservation is {self._status(row)} already.")

    def end(
        self, reservation_id: str, status: str, given: object, cost: Decimal, record: str | None
    ) -> None:
        """Settle or release."""
        row = self._reservation(reservation_id)
        row.update(status=status, end_body=given, record_id=record)
        row["cost"] = None if status == RELEASED else cost

    def ended(self, reservation_id: str) -> Row:
        """The answer to a settlement or release."""
        row = self._reservation(reservation_id)
        cost = row["cost"] or Decimal(0)
        shown = {"reservation_id": row["id"], "id": row["id"], "status": row["status"]}
        shown["currency"] = row["currency"]
        released = max(Decimal(0), row["amount"] - cost)
        if row["status"] == RELEASED:
            return {**shown, "released": released}
        return {**shown, "cost": cost, "released": released, "record_id": row["record_id"]}

    def _reservation(self, reservation_id: str) -> Row:
        if reservation_id not in self._reservations:
            raise not_found("Reservation")
        return self._reservations[reservation_id]

    def _status(self, row: Row) -> str:
        late = to_micros(parse_instant(row["expires_at"])) <= self.now_us
        return EXPIRED if late and row["status"] == OPEN else row["status"]

    def _asked(self, ask: Mapping[str, Any], amounts: Amounts) -> Iterator[tuple[Budget, bool]]:
        """The budgets in which such a call counts, and whether it fits."""
        facts = facts_of(ask)
        meant = {b.id for b in self._budgets.values() if b.scope.holds(facts)}
        meant |= {above for each in meant for above in self._above(self._budgets[each])}
        for budget_id in sorted(meant):
            budget = self._budgets[budget_id]
            if self.window(budget) is not None:
                total = self.used(budget).plus(self._held(budget)).plus(amounts)
                yield budget, budget.enforcement != HARD or budget.limits.fits(total)

    def _stands(self, budget: Budget) -> Row:
        row = self.shown(budget.id)
        return {name: row[name] for name in ("spent", "reserved", "limit")}

    def _left(self, budget: Budget, amounts: Amounts) -> Row:
        row = self.shown(budget.id)
        total = self.used(budget).plus(self._held(budget)).plus(amounts)
        left = None
        if budget.limits.e10 is not None:
            left = from_e10(max(0, budget.limits.e10 - total.e10))
        shown = {name: row[name] for name in ("id", "name", "enforcement", "utilization")}
        return {**shown, "remaining": left, "exceeded": not budget.limits.fits(total)}


def facts_of(call: Mapping[str, Any]) -> Facts:
    """What scopes compare in a call, or in what is known of it."""
    columns = {name: call.get(name) for name in COLUMNS}
    tags = cast("list[str]", call.get("tags") or [])
    held = cast("Mapping[str, Any]", call.get("metadata") or {})
    return Facts(columns, frozenset(tags), dict(metadata_texts(held)))


def given_amount(ask: Mapping[str, Any]) -> Decimal | None:
    """The `estimated_cost` of an ask. Raises Refusal."""
    if ask.get("estimated_cost") is None:
        return None
    try:
        return parse_decimal(ask["estimated_cost"], "estimated_cost")
    except DomainError as error:
        raise invalid("estimated_cost", error.message) from None


def _exceeded(row: Row, amounts: Amounts) -> Refusal:
    names = ("limit", "spent", "reserved", "remaining", "currency", "period_end")
    details = {
        "budget_id": row["id"],
        "budget_name": row["name"],
        "requested": from_e10(amounts.e10),
        **{name: row[name] for name in names},
    }
    text = f"The call does not fit into the budget {row['name']}."
    return Refusal(402, "BUDGET_EXCEEDED", text, details=details)
