"""Corrections: facts that change what an earlier fact adds up to, without touching it.

`void` takes a call back (deletion, undone import), `rerate` prices it anew, `recount` replaces its
counts when a growing log reports the same call again. Whoever calls these holds the organization's
turn (`pricing.lock`), so that two corrections of one call cannot both start from the same state.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import insert, update

from llm_cost_ops.core.ids import ALPHABET, batch_ids, batch_stem
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.ledger.closed import refuse_closed
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.ledger.extremes import Extremes
from llm_cost_ops.server.ledger.late import note_late_corrections
from llm_cost_ops.server.ledger.rollup import HOUR_US, Delta, Key, apply
from llm_cost_ops.server.ledger.store import ADDITIVE, LAST_CORRECTION
from llm_cost_ops.server.ledger.tables import usage_corrections
from llm_cost_ops.server.ledger.told import tell_corrections
from llm_cost_ops.server.spend.move import Movement, of_row

_COPIED = (
    "organization_id",
    "timestamp",
    "provider",
    "model_name",
    "service_tier",
    "project_id",
    "team_id",
    "user_id",
    "api_key_id",
    "environment",
    "feature",
    "currency",
    "tags",
    "metadata",
)


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why, by whom and when corrections are made."""

    kind: str
    operation_id: str | None
    recorded_by: str | None
    now_us: int


@dataclass(frozen=True, slots=True)
class NewPrice:
    """What re-rating found: cost None means that there is no price. `volume` is the one of the
    month at which a price that depends on it was applied."""

    cost_e10: int | None
    list_cost_e10: int | None
    cost_status: str
    price_version: str | None
    price_rule: str | None
    currency: str
    volume: int | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    """A correction, the call's cost in its currency before and after it (None is no cost), and the
    id of the correction before it."""

    values: dict[str, Any]
    before: int | None
    after: int | None
    last: str | None


def void(
    session: WriteSession,
    calls: Sequence[Mapping[str, Any]],
    occasion: Occasion,
    extremes: Extremes | None = None,
) -> None:
    """Take calls back. Rows are net of earlier corrections and not voided yet.

    With `extremes` the caller settles them after the last of several batches.
    """
    _write(session, [_taken_back(call) for call in calls], occasion, extremes)


def rerate(
    session: WriteSession,
    changes: Sequence[tuple[Mapping[str, Any], NewPrice]],
    occasion: Occasion,
    extremes: Extremes | None = None,
) -> None:
    """Give calls another price. Rows are net of earlier corrections."""
    rows: list[_Row] = []
    for call, price in changes:
        rows += _replaced(call, {name: call[name] for name in ADDITIVE}, price)
    _write(session, rows, occasion, extremes)


def recount(
    session: WriteSession,
    changes: Sequence[tuple[Mapping[str, Any], Entry]],
    occasion: Occasion,
    extremes: Extremes | None = None,
) -> None:
    """Replace the counts and the cost of calls by those of newer entries."""
    rows: list[_Row] = []
    for call, entry in changes:
        price = NewPrice(
            entry.cost_e10,
            entry.list_cost_e10,
            entry.cost_status,
            entry.price_version,
            entry.price_rule,
            entry.currency,
            entry.volume,
        )
        rows += _replaced(call, {name: getattr(entry, name) for name in ADDITIVE}, price)
        rows[-1].values.update(payload_digest=entry.payload_digest, usage=entry.usage)
    _write(session, rows, occasion, extremes)


def _replaced(call: Mapping[str, Any], counts: Mapping[str, int], price: NewPrice) -> list[_Row]:
    """Corrections after which the call has these counts and this price.

    A call whose price is in another currency moves there whole: one correction takes it out of the
    currency under which it was counted, one puts it into the new.
    """
    if price.cost_e10 is None or price.currency == call["currency"]:
        return [_difference(call, call, counts, price)]
    back = _taken_back(call)
    nothing: dict[str, Any] = {**call, **dict.fromkeys(ADDITIVE, 0), "currency": price.currency}
    nothing.update(cost_e10=0, list_cost_e10=0, cost_status="priced")
    there = _difference(call, nothing, counts, price)
    return [back, replace(there, before=None)]


def _difference(
    call: Mapping[str, Any],
    before: Mapping[str, Any],
    counts: Mapping[str, int],
    price: NewPrice,
) -> _Row:
    row = _correction({**call, "currency": before["currency"]})
    row.update({name: counts[name] - before[name] for name in ADDITIVE})
    requests = counts["requests"]
    row["unpriced"] = (requests if price.cost_e10 is None else 0) - _unpriced(before)
    after_partly = requests if price.cost_status == "partially_priced" else 0
    row["partially_priced"] = after_partly - _partly(before)
    row["cost_e10"] = (price.cost_e10 or 0) - (before["cost_e10"] or 0)
    listed = price.cost_e10 if price.list_cost_e10 is None else price.list_cost_e10
    row["list_cost_e10"] = (listed or 0) - list_cost(before)
    row["cost_status"] = price.cost_status
    row["price_version"] = price.price_version
    row["price_rule"] = price.price_rule
    row["volume"] = price.volume
    return _Row(row, before["cost_e10"], price.cost_e10, call.get(LAST_CORRECTION))


def _taken_back(call: Mapping[str, Any]) -> _Row:
    row = _correction(call)
    row.update({name: -call[name] for name in ADDITIVE})
    row["unpriced"] = -_unpriced(call)
    row["partially_priced"] = -_partly(call)
    row["cost_e10"] = -(call["cost_e10"] or 0)
    row["list_cost_e10"] = -list_cost(call)
    return _Row(row, call["cost_e10"], None, call.get(LAST_CORRECTION))


def _correction(call: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {name: call[name] for name in _COPIED}
    row.update(
        record_id=call["id"],
        cost_status=call["cost_status"],
        price_version=call["price_version"],
        price_rule=call["price_rule"],
        volume=None,
        payload_digest=None,
        usage=None,
    )
    return row


def _unpriced(call: Mapping[str, Any]) -> int:
    return call["requests"] if call["cost_e10"] is None else 0


def _partly(call: Mapping[str, Any]) -> int:
    return call["requests"] if call["cost_status"] == "partially_priced" else 0


def list_cost(call: Mapping[str, Any]) -> int:
    """A call's cost before discounts in 1e-10, 0 without a price."""
    listed = call["list_cost_e10"]
    return int((call["cost_e10"] or 0) if listed is None else listed)


def _write(
    session: WriteSession, rows: Sequence[_Row], occasion: Occasion, extremes: Extremes | None
) -> None:
    if not rows:
        return
    stem = batch_stem("cor", _time_ms(rows, occasion), secrets.randbits(60))
    for row, row_id in zip(rows, batch_ids(stem, len(rows)), strict=True):
        row.values.update(
            id=row_id,
            kind=occasion.kind,
            operation_id=occasion.operation_id,
            recorded_by=occasion.recorded_by,
            recorded_at=occasion.now_us,
        )
    session.connection.execute(insert(usage_corrections), [row.values for row in rows])
    tell_corrections(session, [row.values for row in rows], now_us=occasion.now_us)
    pending = extremes or Extremes()
    groups: dict[Key, Delta] = {}
    for row in rows:
        key = _key(row.values)
        _add(groups.setdefault(key, Delta()), row)
        if row.before is not None and row.before != row.after:
            pending.take_away(key, row.before)
    # Before the rollups, as whoever records calls has it: this locks the version of the budgets.
    moved = (_movement(row.values) for row in rows)
    pending.moves.add(session, moved, occasion.now_us)
    refuse_closed(session, groups)
    versions = {each: index.version for each, (index, _) in pending.moves.changes.items()}
    note_late_corrections(session, (row.values for row in rows), versions)
    apply(session, groups)
    if extremes is None:
        pending.settle(session)


def _movement(values: Mapping[str, Any]) -> Movement:
    return of_row(values, e10=values["cost_e10"], unpriced=values["unpriced"])


def _time_ms(rows: Sequence[_Row], occasion: Occasion) -> int:
    """Corrections of a call count in the order of their ids, whatever the clock does."""
    now_ms = occasion.now_us // 1_000
    last = max((row.last for row in rows if row.last), default=None)
    if last is None:
        return now_ms
    last_ms = 0
    for digit in last.partition("_")[2][:10]:
        last_ms = last_ms * 32 + ALPHABET.index(digit)
    return max(now_ms, last_ms + 1)


def _key(row: Mapping[str, Any]) -> Key:
    return (
        row["organization_id"],
        row["timestamp"] // HOUR_US,
        row["provider"],
        row["model_name"],
        row["project_id"] or "",
        row["currency"],
    )


def _add(delta: Delta, row: _Row) -> None:
    values = row.values
    counts = (values["requests"], values["unpriced"], values["partially_priced"])
    tokens = tuple(values[name] for name in ADDITIVE[1:])
    delta.counts = [a + b for a, b in zip(delta.counts, (*counts, *tokens), strict=True)]
    delta.cost += values["cost_e10"]
    delta.list_cost += values["list_cost_e10"]
    if row.after is not None:
        delta.widen(row.after, row.after)


def relabel(
    session: WriteSession, record_id: str, organization_id: str, values: Mapping[str, Any]
) -> None:
    """Copy changed tags or metadata of a call to its corrections, so that both group alike."""
    session.execute(
        update(usage_corrections)
        .where(
            usage_corrections.c.record_id == record_id,
            usage_corrections.c.organization_id == organization_id,
        )
        .values(**values)
    )
