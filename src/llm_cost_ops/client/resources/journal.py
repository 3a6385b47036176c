"""A month of costs as entries of a general ledger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from llm_cost_ops.client.caller import Caller, one
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.rows import Row


class JournalCalls:
    _caller: Caller

    @endpoint
    def create(
        self,
        period: str,
        accounts: Mapping[str, Any],
        *,
        posting_date: date | str | None = None,
        document: str = "LLM",
        reverse: bool = False,
    ) -> Flow[Row]:
        """The journal of a month (`2026-10`): `.csv` is the file, `.documents` totals and lines.

        `accounts` names `debit_account` and `credit_account`, and what is booked elsewhere under
        `projects`, `teams`, `cost_centers` and `providers`.
        """
        body: dict[str, Any] = {
            "period": period,
            "accounts": dict(accounts),
            "document": document,
            "reverse": reverse,
        }
        if posting_date is not None:
            body["posting_date"] = str(posting_date)
        return one((yield from self._caller.write("POST", "/costs/journal", body)), Row)


class Journal(JournalCalls, SyncResource):
    """`client.journal`"""


class AsyncJournal(JournalCalls, AsyncResource):
    """`client.journal` of the asynchronous client"""
