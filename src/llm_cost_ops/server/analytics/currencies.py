"""Keeping currencies apart: amounts of different currencies are never added (D-16)."""

from __future__ import annotations

from collections.abc import Mapping

from llm_cost_ops.server.analytics.groups import Groups
from llm_cost_ops.server.analytics.totals import Totals, merged


def settled(groups: Groups, home_currency: str, *, by_currency: bool) -> Groups:
    """The groups with unpriced calls in the one currency that there is.

    An unpriced call has no amount, so it must not make a result look like one of two currencies.
    With amounts in several currencies, or when grouped by currency, all stays as it was recorded.
    """
    priced = {key[-1] for key, totals in groups.items() if not totals.is_unpriced}
    if by_currency or len(priced) > 1:
        return groups
    currency = next(iter(priced), home_currency)
    folded: Groups = {}
    for key, totals in groups.items():
        place = (*key[:-1], currency)
        if place in folded:
            folded[place].add(totals)
        else:
            folded[place] = totals
    return folded


def by_currency(groups: Mapping[tuple[str | None, ...], Totals]) -> dict[str, Totals]:
    """The totals of all groups per currency, in alphabetical order."""
    parts: dict[str, list[Totals]] = {}
    for key, totals in groups.items():
        parts.setdefault(str(key[-1]), []).append(totals)
    return {currency: merged(parts[currency]) for currency in sorted(parts)}
