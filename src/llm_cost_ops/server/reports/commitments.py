"""Commitments in reports: what calls have drawn, and what was paid for what is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llm_cost_ops.core.focus.commitments import Commitment, Drawdown
from llm_cost_ops.core.instant import day_of, format_minute, to_micros
from llm_cost_ops.core.report.document import Block, Cell, Column, Table
from llm_cost_ops.server.charges import store
from llm_cost_ops.server.charges.charge import COMMITMENT, Charge
from llm_cost_ops.server.charges.draw import drawn_before
from llm_cost_ops.server.reports.blocks import MAX_ROWS
from llm_cost_ops.server.reports.material import API, Material

_QUERY = f"GET {API}/charges?kind={COMMITMENT}"


def commitments(material: Material) -> Iterator[Block]:
    """A table for each currency of what has begun, as it is now: those first of which most is left.
    None for who may read some calls alone, because all calls draw."""
    if not material.wanted.reach.is_everything:
        return
    organization_id = material.wanted.selection.organization_id
    now_us = to_micros(material.at.now)
    charges = store.listed(material.session, organization_id, COMMITMENT)
    bought = {each.id: each for each in charges if each.start_us <= now_us}
    found = [each.commitment() for each in bought.values()]
    drawdown = drawn_before(material.session, organization_id, found, now_us + 1)
    told = f"As of {format_minute(now_us, material.wanted.selection.zone)}, of all calls."
    for currency in sorted({each.account.currency for each in found}):
        own = [each for each in found if each.account.currency == currency]
        yield _table(own, bought, drawdown, currency, told)


def _table(
    found: Sequence[Commitment],
    bought: dict[str, Charge],
    drawdown: Drawdown,
    currency: str,
    told: str,
) -> Table:
    ranked = sorted(found, key=lambda each: (drawdown.of(each) - each.granted_e10, each.id))
    rows = [_row(each, bought[each.id], drawdown.of(each)) for each in ranked[:MAX_ROWS]]
    if len(ranked) > MAX_ROWS:
        told += f" {len(ranked) - MAX_ROWS} more, of which less is left, are in the total."
    drawn = sum(drawdown.of(each) for each in found)
    granted = sum(each.granted_e10 for each in found)
    unspent = sum(each.paid_e10 - each.value_of(drawdown.of(each)) for each in found)
    totals = ("Total", "", "", granted, drawn, granted - drawn, unspent)
    money = ("Granted", "Drawn", "Left", "Paid for what is left")
    columns = (
        Column("Commitment"), Column("Provider"), Column("Last day"),
        *(Column(title, "money", currency) for title in money),
    )  # fmt: skip
    return Table("Commitments", columns, tuple(rows), totals, told, _QUERY)


def _row(commitment: Commitment, charge: Charge, drawn_e10: int) -> tuple[Cell, ...]:
    last = "" if charge.end_day is None else day_of(charge.end_day).isoformat()
    left = commitment.granted_e10 - drawn_e10
    unspent = commitment.paid_e10 - commitment.value_of(drawn_e10)
    amounts = (commitment.granted_e10, drawn_e10, left, unspent)
    return (commitment.name, charge.provider, last, *amounts)
