"""Budgets: limits, where they stand, and reservations before a call is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from llm_cost_ops.client.caller import Caller, many, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.fields import AskFields, BudgetFields, Money
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.lists import listed, scoped
from llm_cost_ops.client.rows import Alert, Budget, Reservation, Row


class BudgetCalls:
    _caller: Caller

    @endpoint
    def create(self, name: str, amount: Money | None = None, **fields: Any) -> Flow[Budget]:
        """Make a budget with any of `BudgetFields`; monthly and soft (alerts only) unless said
        otherwise. It begins with what its current period has spent already."""
        body = {"name": name, "amount": amount, **fields}
        return one((yield from self._caller.write("POST", "/budgets", _given(body))), Budget)

    @endpoint
    def list(self, **query: Any) -> Flow[Page[Budget]]:
        """Budgets, each with `.spent`, `.remaining` and `.utilization` of its current period."""
        return listed(self._caller, "/budgets", scoped(self._caller, query), Budget)

    @endpoint
    def get(self, budget_id: str, /) -> Flow[Budget]:
        """One budget. Raises NotFoundError."""
        return one((yield from self._caller.get(f"/budgets/{segment(budget_id)}")), Budget)

    @endpoint
    def get_current(self) -> Flow[Budget]:
        """The organization's own budget in its current period; without one all budgets together,
        exceeded when any is. `.utilization` is a fraction. Raises NotFoundError where there is
        none."""
        return one((yield from self._caller.get("/budgets/current")), Budget)

    @endpoint
    def status(self, budget_id: str, /) -> Flow[Budget]:
        """A budget with its burn rate, projected spend and when the limit is reached."""
        path = f"/budgets/{segment(budget_id)}/status"
        return one((yield from self._caller.get(path)), Budget)

    @endpoint
    def update(self, budget_id: str, /, **fields: Unpack[BudgetFields]) -> Flow[Budget]:
        """Change a budget; what is not named stays."""
        path = f"/budgets/{segment(budget_id)}"
        return one((yield from self._caller.write("PUT", path, fields)), Budget)

    @endpoint
    def delete(self, budget_id: str, /) -> Flow[None]:
        """Remove a budget; recorded calls stay as they are."""
        yield from self._caller.write("DELETE", f"/budgets/{segment(budget_id)}")

    @endpoint
    def adjust(
        self,
        budget_id: str,
        /,
        *,
        type: str,
        amount: Money,
        reason: str,
        to_budget_id: str | None = None,
    ) -> Flow[Budget]:
        """`increase`, `decrease` or `transfer` the amount of the current period, with a reason."""
        body = {"type": type, "amount": amount, "reason": reason, "to_budget_id": to_budget_id}
        path = f"/budgets/{segment(budget_id)}/adjustments"
        return one((yield from self._caller.write("POST", path, _given(body))), Budget)

    @endpoint
    def check(self, **fields: Unpack[AskFields]) -> Flow[Row]:
        """Would this call fit now (`.allowed`)? Nothing is held."""
        return one((yield from self._caller.ask("/budgets/check", _given(fields))), Row)

    @endpoint
    def reserve(self, **fields: Unpack[AskFields]) -> Flow[Reservation]:
        """Hold the most that a call can cost: `estimated_cost`, or `provider`, `model`,
        `input_tokens` and `max_tokens`. Raises BudgetExceededError where it does not fit."""
        body = yield from self._caller.write("POST", "/budgets/reserve", _given(fields))
        return one(body, Reservation)

    @endpoint
    def settle(
        self,
        reservation: str | Mapping[str, Any],
        /,
        *,
        cost: Money | None = None,
        usage: Mapping[str, Any] | None = None,
        response: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Flow[Reservation]:
        """Record what the call did cost, by `cost`, `usage` or the provider's `response`; the rest
        of what was held is given back. The same again changes nothing."""
        body = {"cost": cost, "usage": usage, "response": response, **fields}
        path = f"/budgets/reservations/{segment(_id(reservation))}/settle"
        return one((yield from self._caller.write("POST", path, _given(body))), Reservation)

    @endpoint
    def release(self, reservation: str | Mapping[str, Any], /) -> Flow[Reservation]:
        """The call was not made: give everything back."""
        path = f"/budgets/reservations/{segment(_id(reservation))}/release"
        return one((yield from self._caller.write("POST", path, {})), Reservation)

    @endpoint
    def reservation(self, reservation: str | Mapping[str, Any], /) -> Flow[Reservation]:
        """What became of a reservation so far."""
        path = f"/budgets/reservations/{segment(_id(reservation))}"
        return one((yield from self._caller.get(path)), Reservation)

    @endpoint
    def adjustments(self, budget_id: str, /) -> Flow[Page[Row]]:
        """Increases, decreases and transfers of a budget, newest first."""
        path = f"/budgets/{segment(budget_id)}/adjustments"
        return many((yield from self._caller.get(path)), Row)

    @endpoint
    def alerts(self, budget_id: str, /, **query: Any) -> Flow[Page[Alert]]:
        """Alerts about a budget, the newest first."""
        path = f"/budgets/{segment(budget_id)}/alerts"
        return listed(self._caller, path, scoped(self._caller, query), Alert)

    create_budget = create
    list_budgets = list
    get_budget = get
    update_budget = update
    delete_budget = delete
    get_budget_alerts = alerts


class Budgets(BudgetCalls, SyncResource):
    """`client.budgets`"""


class AsyncBudgets(BudgetCalls, AsyncResource):
    """`client.budgets` of the asynchronous client"""


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _id(reservation: str | Mapping[str, Any]) -> str:
    return reservation if isinstance(reservation, str) else str(reservation["reservation_id"])
