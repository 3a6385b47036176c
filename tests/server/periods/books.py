"""An app whose months are closed, and what its files say."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx

from llm_cost_ops.server.clock import FixedClock
from tests.support.application import Application
from tests.support.calls import accepted, proof, send

EXPORT = "/api/v1/costs/export"


@dataclass
class Books:
    """The app and its clock."""

    app: Application
    clock: FixedClock

    def at(self, text: str) -> None:
        """Move the clock."""
        self.clock.current = datetime.fromisoformat(text).replace(tzinfo=UTC)

    def close(self, month: str, **body: Any) -> httpx.Response:
        return send(self.app, f"/periods/{month}/close", body)

    def reopen(self, month: str, reason: str = "a mistake") -> httpx.Response:
        return send(self.app, f"/periods/{month}/reopen", {"reason": reason})

    def statement(self, month: str, form: str = "json") -> bytes:
        answer = self.app.get(f"/api/v1/periods/{month}/statement", params={"format": form})
        assert answer.status_code == 200, answer.text
        return answer.content

    def said(self, month: str) -> Any:
        """The statement of a month, read."""
        return accepted(self.app.get(f"/api/v1/periods/{month}/statement"))

    def export(self, month: str, form: str = "csv", **more: str) -> bytes:
        params = {"format": form, "billing_period": month, **more}
        answer = self.app.get(EXPORT, params=params)
        assert answer.status_code == 200, answer.text
        return answer.content

    def rows(self, month: str, form: str = "csv", **more: str) -> list[dict[str, str]]:
        text = self.export(month, form, **more).decode()
        return list(csv.DictReader(io.StringIO(text, newline="")))

    def files(self, month: str) -> dict[str, bytes]:
        """What must stay the same once the month is closed."""
        found = {f"statement {form}": self.statement(month, form) for form in ("json", "csv")}
        found["usage"] = self.export(month, type="usage", totals="true")
        found["focus"] = self.export(month, "focus")
        return found

    def all_files(self, month: str) -> dict[str, bytes]:
        """The same, in every format."""
        found = self.files(month)
        for form in ("csv", "json", "jsonl", "parquet", "arrow", "xlsx"):
            found[form] = self.export(month, form)
        found["focus parquet"] = self.export(month, "focus", focus_file="parquet")
        found["focus 1.4 by day"] = self.export(
            month, "focus", focus_version="1.4", focus_grain="day", compression="gzip"
        )
        dates = {"start_date": f"{month}-01", "end_date": last_day(month)}
        by_dates = self.app.get(EXPORT, params={"timezone": "UTC", **dates})
        assert by_dates.status_code == 200, by_dates.text
        found["by dates"] = by_dates.content
        return found

    def ledger(self) -> dict[str, Decimal]:
        """What `verify` proves, by currency."""
        found = proof(self.app)
        assert found.ok, found.first_difference
        return {name: total for name, total in found.totals.items() if total}

    def all_books(self, *months: str) -> dict[str, dict[str, Decimal]]:
        """What the statements, the calls and the FOCUS rows of months come to, by currency."""
        sums: dict[str, dict[str, Decimal]] = {"statement": {}, "csv": {}, "calls": {}, "focus": {}}
        for month in months:
            for total in self.said(month)["totals"]:
                _add(sums["statement"], total["currency"], Decimal(total["total_cost"] or 0))
            lines = csv.DictReader(io.StringIO(self.statement(month, "csv").decode(), newline=""))
            for row in lines:
                _add(sums["csv"], row["currency"], Decimal(row["total_cost"] or 0))
            for row in self.rows(month):
                _add(sums["calls"], row["currency"], Decimal(row["total_cost"] or 0))
            for row in self.rows(month, "focus"):
                _add(sums["focus"], row["BillingCurrency"], Decimal(row["EffectiveCost"]))
        return {
            name: {key: total for key, total in found.items() if total}
            for name, found in sums.items()
        }

    def assert_balanced(self, *months: str) -> None:
        """The books of these months, which are all, add up to the ledger."""
        ledger = self.ledger()
        for name, found in self.all_books(*months).items():
            assert found == ledger, name


def _add(sums: dict[str, Decimal], currency: str, amount: Decimal) -> None:
    sums[currency] = sums.get(currency, Decimal(0)) + amount


def last_day(month: str) -> str:
    """The last day of a month."""
    days = {"02": 28, "04": 30, "06": 30, "09": 30, "11": 30}
    return f"{month}-{days.get(month[5:], 31)}"
