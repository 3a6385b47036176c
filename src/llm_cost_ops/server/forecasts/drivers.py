"""Why a forecast differs from the last period: requests, tokens per request, mix and price.

What calls cost is requests x tokens per request x cost per token. Of the change of the cost per
token, `mix` is what the shares of the models explain: those of the newest quarter of the last
period at the unit costs of the whole. The rest is `price`. Requests and tokens are forecast by the
model of the cost. The parts are Shapley values and sum to the change to the last digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from llm_cost_ops.core.drivers import parts_e10, split_product
from llm_cost_ops.core.money import E10, EXACT, from_e10
from llm_cost_ops.core.period import Window
from llm_cost_ops.server.analytics.fields import Dimension, find_field
from llm_cost_ops.server.analytics.groups import Groups, read_groups
from llm_cost_ops.server.analytics.selection import Grouping, Selection
from llm_cost_ops.server.analytics.sources import BASE
from llm_cost_ops.server.analytics.totals import Totals
from llm_cost_ops.server.db.session import ReadSession

FACTORS = ("requests", "tokens_per_request", "mix", "price")
OTHER = "other"
_NEWEST = 4
_SHARE = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class LastPeriod:
    """The steps before the forecast, as many as it has or as there are: `scale` makes them as
    long. `newest` are the models' tokens and cost in their last quarter."""

    window: Window
    steps: int
    scale: Fraction
    cost_e10: int
    requests: int
    tokens: int
    models: Mapping[tuple[str, str], tuple[int, int]]
    newest: Mapping[tuple[str, str], tuple[int, int]]

    @property
    def is_comparable(self) -> bool:
        """Whether there are calls with a cost to compare with."""
        return self.requests > 0 and self.cost_e10 > 0


def last_period(
    session: ReadSession,
    selection: Selection,
    currency: str,
    edges: tuple[int, ...],
    horizon: int,
) -> LastPeriod:
    """The last period before the end of the edges, in one currency; unpriced calls are in none."""
    steps = min(horizon, len(edges) - 1)
    window = Window(edges[-1 - steps], edges[-1])
    quarter = Window(edges[-1 - max(1, steps // _NEWEST)], edges[-1])
    whole = _by_model(session, selection.within(window), currency)
    return LastPeriod(
        window,
        steps,
        Fraction(horizon, steps),
        sum(each.cost for each in whole.values()),
        sum(each.requests - each.unpriced for each in whole.values()),
        sum(_tokens(each) for each in whole.values()),
        {key: (_tokens(each), each.cost) for key, each in whole.items()},
        {
            key: (_tokens(each), each.cost)
            for key, each in _by_model(session, selection.within(quarter), currency).items()
        },
    )


def _by_model(
    session: ReadSession, selection: Selection, currency: str
) -> dict[tuple[str, str], Totals]:
    by = tuple(Dimension(name, find_field(name)) for name in ("provider", "model"))
    groups: Groups = read_groups(session, selection, Grouping(by, {}), BASE)
    return {
        (str(key[0]), str(key[1])): totals
        for key, totals in groups.items()
        if key[-1] == currency and not totals.is_unpriced
    }


def _tokens(totals: Totals) -> int:
    """Tokens of priced calls, or of all where some are not priced."""
    known = totals.priced_tokens
    return totals.total_tokens if known is None else known


def split(
    last: LastPeriod,
    forecast_e10: int,
    ahead: tuple[Fraction, Fraction] | None,
) -> dict[str, Any]:
    """The change to a forecast total and its parts; `ahead` are the requests and tokens that are
    forecast, None where the last period is not comparable."""
    before_e10 = round(last.cost_e10 * last.scale)
    change = forecast_e10 - before_e10
    parts: dict[str, Fraction] = {name: Fraction(0) for name in (*FACTORS, OTHER)}
    if ahead is not None and last.is_comparable:
        _add(parts, last, Fraction(forecast_e10, E10), *ahead)
    else:
        parts[OTHER] = Fraction(change, E10)
    units = parts_e10(list(parts.values()), change)
    return {
        "last_period": {
            "steps": last.steps,
            "total_cost": from_e10(last.cost_e10),
            "scaled_cost": from_e10(before_e10),
        },
        "predicted_cost": from_e10(forecast_e10),
        "change": from_e10(change),
        "parts": [
            {"name": name, "amount": from_e10(part), "share": _share(part, change)}
            for name, part in zip(parts, units, strict=True)
            if name != OTHER or part
        ],
    }


def _add(
    parts: dict[str, Fraction],
    last: LastPeriod,
    forecast: Fraction,
    requests: Fraction,
    tokens: Fraction,
) -> None:
    """Calls without any token count as one each, so that their cost is a price per call."""
    counted = last.tokens > 0
    old_requests = last.requests * last.scale
    old_tokens = last.tokens * last.scale if counted else old_requests
    new_tokens = tokens if counted else requests
    if requests <= 0 or new_tokens <= 0:
        parts[OTHER] = forecast - last.cost_e10 * last.scale / E10
        return
    unit = last.cost_e10 * last.scale / E10 / old_tokens
    mix = _mix(last, unit)
    price = forecast / new_tokens / unit / mix
    old = [old_requests, old_tokens / old_requests, unit, Fraction(1)]
    new = [requests, new_tokens / requests, unit * mix, price]
    for name, part in zip(FACTORS, split_product(old, new), strict=True):
        parts[name] = part


def _mix(last: LastPeriod, unit: Fraction) -> Fraction:
    """The cost per token at the newest shares and the period's own unit costs, over that of the
    period: 1 where it cannot be told."""
    newest = sum(tokens for tokens, _ in last.newest.values())
    if newest <= 0 or not last.tokens:
        return Fraction(1)
    moved = Fraction(0)
    for key, (tokens, _) in last.newest.items():
        before, cost_e10 = last.models.get(key, (0, 0))
        moved += Fraction(tokens, newest) * (Fraction(cost_e10, before * E10) if before else unit)
    return moved / unit if moved > 0 else Fraction(1)


def _share(part: int, change: int) -> Decimal | None:
    if not change:
        return None
    return EXACT.divide(Decimal(part), Decimal(change)).quantize(_SHARE, context=EXACT)
