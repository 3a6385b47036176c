"""Charges that are no calls: commitments that calls draw from, other purchases, and credits."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from llm_cost_ops.client.caller import Caller, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.lists import listed, scoped
from llm_cost_ops.client.rows import Row

_PATH = "/charges"
Amount = Decimal | int | str


class ChargeCalls:
    _caller: Caller

    @endpoint
    def list(self, **query: Any) -> Flow[Page[Row]]:
        """Charges in the order in which they came; `kind` and `provider` narrow them. Of a
        commitment `.drawn` and `.remaining` are of now."""
        return listed(self._caller, _PATH, scoped(self._caller, query), Row)

    @endpoint
    def create(
        self,
        kind: str,
        provider: str,
        name: str,
        amount: Amount,
        currency: str,
        start_date: date | str,
        end_date: date | str | None = None,
        **more: Any,
    ) -> Flow[Row]:
        """Enter a `commitment` of `amount` paid (`granted` is what calls may draw, if that is
        another amount), a `purchase` (`quantity`, `unit`, `frequency`) or a `credit`. Days are of
        UTC, and `end_date` is the last one. Raises ValidationError."""
        body = {
            "kind": kind,
            "provider": provider,
            "name": name,
            "amount": amount,
            "currency": currency,
            "start_date": str(start_date),
            "end_date": None if end_date is None else str(end_date),
            **more,
        }
        sent = {key: value for key, value in body.items() if value is not None}
        return one((yield from self._caller.write("POST", _PATH, sent)), Row)

    @endpoint
    def get(self, charge_id: str, /) -> Flow[Row]:
        """One charge. Raises NotFoundError."""
        return one((yield from self._caller.get(f"{_PATH}/{segment(charge_id)}")), Row)

    @endpoint
    def delete(self, charge_id: str, /) -> Flow[None]:
        """Take one back. Raises NotFoundError, and ConflictError where a closed month has it."""
        yield from self._caller.write("DELETE", f"{_PATH}/{segment(charge_id)}")


class Charges(ChargeCalls, SyncResource):
    """`client.charges`"""


class AsyncCharges(ChargeCalls, AsyncResource):
    """`client.charges` of the asynchronous client"""
