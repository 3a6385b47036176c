"""Exchange rates that the organization gives, by day; nothing is converted with any other."""

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

_PATH = "/exchange-rates"


class ExchangeRateCalls:
    _caller: Caller

    @endpoint
    def list(self, **query: Any) -> Flow[Page[Row]]:
        """Rates in the order in which they were given; `from_currency`, `to_currency`,
        `start_date` and `end_date` narrow them."""
        return listed(self._caller, _PATH, scoped(self._caller, query), Row)

    @endpoint
    def create(
        self,
        from_currency: str,
        to_currency: str,
        date: date | str,
        rate: Decimal | int | str,
        source: str,
    ) -> Flow[Row]:
        """Give the rate of a day. Raises ConflictError where another one stands."""
        body = {
            "from_currency": from_currency,
            "to_currency": to_currency,
            "date": str(date),
            "rate": rate,
            "source": source,
        }
        return one((yield from self._caller.write("POST", _PATH, body)), Row)

    @endpoint
    def import_csv(self, csv: str) -> Flow[Row]:
        """Give the rates of a CSV text, all or none: `.created`, `.unchanged`. Raises
        ValidationError with the lines at fault."""
        return one((yield from self._caller.write("POST", f"{_PATH}/import", {"csv": csv})), Row)

    @endpoint
    def convert(
        self,
        amount: Decimal | int | str,
        from_currency: str,
        to_currency: str,
        date: date | str,
    ) -> Flow[Row]:
        """`.converted` at the `.rate` of `.rate_date` from `.source`; None where none is known."""
        query = {
            "amount": f"{amount:f}" if isinstance(amount, Decimal) else str(amount),
            "from_currency": from_currency,
            "to_currency": to_currency,
            "date": str(date),
        }
        answer = yield from self._caller.get(f"{_PATH}/convert", scoped(self._caller, query))
        return one(answer, Row)

    @endpoint
    def get(self, rate_id: str, /) -> Flow[Row]:
        """One rate. Raises NotFoundError."""
        return one((yield from self._caller.get(f"{_PATH}/{segment(rate_id)}")), Row)

    @endpoint
    def delete(self, rate_id: str, /) -> Flow[None]:
        """Take one back. Raises NotFoundError."""
        yield from self._caller.write("DELETE", f"{_PATH}/{segment(rate_id)}")


class ExchangeRates(ExchangeRateCalls, SyncResource):
    """`client.exchange_rates`"""


class AsyncExchangeRates(ExchangeRateCalls, AsyncResource):
    """`client.exchange_rates` of the asynchronous client"""
