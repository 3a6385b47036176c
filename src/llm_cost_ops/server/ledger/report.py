"""What a re-rating changes, added up per currency and per model; never across currencies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llm_cost_ops.core.money import from_e10
from llm_cost_ops.server.pricing.resolve import Quote


@dataclass(slots=True)
class Change:
    """Calls that change, and their costs before and after in 1e-10."""

    records: int = 0
    old_e10: int = 0
    new_e10: int = 0

    def wire(self) -> dict[str, object]:
        return {
            "old_total": from_e10(self.old_e10),
            "new_total": from_e10(self.new_e10),
            "difference": from_e10(self.new_e10 - self.old_e10),
        }


@dataclass(slots=True)
class Report:
    """`records` calls change of those `examined`; how many of them had no price before, and how
    many have none after. `archived` calls, of whatever provider, are of days that retention has
    taken out of the ledger: what they cost stays."""

    records: int = 0
    examined: int = 0
    archived: int = 0
    unpriced_before: int = 0
    unpriced_after: int = 0
    by_currency: dict[str, Change] = field(default_factory=dict[str, Change])
    by_model: dict[tuple[str, str, str], Change] = field(
        default_factory=dict[tuple[str, str, str], Change]
    )
    rerate_id: str | None = None

    def add(self, call: Mapping[str, Any], quote: Quote) -> None:
        """Count a call that the quote changes; without a cost its currency says nothing."""
        self.records += 1
        old, new = call["cost_e10"], quote.cost_e10
        self.unpriced_before += old is None
        self.unpriced_after += new is None
        before = call["currency"] if old is not None else None
        after = quote.currency if new is not None else None
        home = after or before or call["currency"]
        for currency in {before or home, home}:
            amounts = (
                old or 0 if currency == before else 0,
                new or 0 if currency == after else 0,
            )
            model = (call["provider"], call["model_name"], currency)
            for change in (
                self.by_currency.setdefault(currency, Change()),
                self.by_model.setdefault(model, Change()),
            ):
                change.records += currency == home
                change.old_e10 += amounts[0]
                change.new_e10 += amounts[1]

    def wire(self) -> dict[str, object]:
        """The answer of `POST /api/v1/pricing/rerate`. With several currencies there is no one
        total, and `currencies` has one for each."""
        currencies = sorted(self.by_currency)
        body: dict[str, object] = {
            "records": self.records,
            "examined": self.examined,
            "archived": self.archived,
            "unpriced_before": self.unpriced_before,
            "unpriced_after": self.unpriced_after,
            **_whole([self.by_currency[name] for name in currencies]),
            "currency": currencies[0] if len(currencies) == 1 else None,
            "by_model": [
                {
                    "provider": provider,
                    "model": model,
                    "currency": currency,
                    "records": change.records,
                    **change.wire(),
                }
                for (provider, model, currency), change in sorted(self.by_model.items())
            ],
        }
        if len(currencies) > 1:
            body["currencies"] = [
                {"currency": name, **self.by_currency[name].wire()} for name in currencies
            ]
        if self.rerate_id:
            body["rerate_id"] = self.rerate_id
        return body


def _whole(changes: list[Change]) -> dict[str, object]:
    if len(changes) > 1:
        return {"old_total": None, "new_total": None, "difference": None}
    return (changes[0] if changes else Change()).wire()
