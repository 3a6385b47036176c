"""Months and their statements as they are answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.money import from_e10
from llm_cost_ops.core.months import window_of
from llm_cost_ops.core.wording import calls
from llm_cost_ops.server.exports.columns import Column, Exported, Kind
from llm_cost_ops.server.ledger.books import Line, told_cost, told_totals
from llm_cost_ops.server.ledger.periods import CLOSED, REOPENING, Period
from llm_cost_ops.server.ledger.rollup import Delta

Lines = Sequence[tuple[Line, Delta]]
Document = dict[str, Any]
_COUNTS = (
    "requests", "unpriced_count", "partially_priced_count", "prompt_tokens", "completion_tokens",
    "total_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens",
)  # fmt: skip
"""In the order of `Delta.counts`."""
_WHOSE = ("corrects", "provider", "model", "project_id", "team_id", "currency")
COLUMNS = (
    Column("period", Kind.TEXT),
    *(Column(name, Kind.TEXT) for name in _WHOSE),
    *(Column(name, Kind.COUNT) for name in _COUNTS),
    Column("total_cost", Kind.MONEY),
    Column("list_cost", Kind.MONEY),
)


def shown(period: Period) -> Document:
    """A month; its totals are null until it is closed."""
    window = window_of(period.month)
    totals = None if period.status == REOPENING else period.totals
    return {
        "period": period.month,
        "status": period.status,
        "period_start": format_micros(window.start_us),
        "period_end": format_micros(window.end_us),
        "requests": None if totals is None else period.requests,
        "total_tokens": None if totals is None else period.total_tokens,
        "unpriced_count": None if totals is None else period.unpriced,
        "partially_priced_count": None if totals is None else period.partially_priced,
        "totals": None
        if totals is None
        else [
            {"currency": name, "total_cost": _money(units)}
            for name, units in sorted(totals.items())
        ],
        "sha256": _digest(period),
        "closed_at": _instant(period.closed_at),
        "closed_by": period.closed_by,
        "labels_erased_at": _instant(period.erased_at),
    }


def told_of(period: Period) -> Document:
    """The same, with what its books lack."""
    warnings: list[str] = []
    if period.unpriced and period.status == CLOSED:
        count = period.unpriced
        warnings.append(
            f"{calls(count, 'has', 'have')} no price: that cost is in no sum of these books."
        )
    return {**shown(period), "warnings": warnings}


def _digest(period: Period) -> str | None:
    """That of the entries of books that stay as they are; one being opened has the former one."""
    return None if period.status == REOPENING else period.digest


def _money(units: int | None) -> Any:
    return None if units is None else from_e10(units)


def _instant(micros: int | None) -> str | None:
    return None if micros is None else format_micros(micros)


def statement(
    organization_id: str, organization_name: str | None, period: Period, lines: Lines
) -> Document:
    """What a month cost: its own calls, and apart what it corrects of earlier months."""
    window = window_of(period.month)
    corrected = sorted({line.corrects for line, _ in lines} - {""})
    return {
        "period": period.month,
        "period_start": format_micros(window.start_us),
        "period_end": format_micros(window.end_us),
        "organization_id": organization_id,
        "organization_name": organization_name,
        "status": period.status,
        "closed_at": _instant(period.closed_at),
        "sha256": _digest(period),
        "labels_erased_at": _instant(period.erased_at),
        "totals": _totals(lines),
        "calls": _section([each for each in lines if not each[0].corrects]),
        "corrections": [
            {"corrects": month, **_section([each for each in lines if each[0].corrects == month])}
            for month in corrected
        ],
    }


def _section(lines: Lines) -> Document:
    return {
        "totals": _totals(lines),
        "by_provider": _by(lines, ("provider",), lambda line: (line.provider,)),
        "by_model": _by(lines, ("provider", "model"), lambda line: (line.provider, line.model)),
        "by_project": _by(lines, ("project_id",), lambda line: (line.project_id,)),
        "by_team": _by(lines, ("team_id",), lambda line: (line.team_id,)),
    }


def _by(
    lines: Lines, names: Sequence[str], key: Callable[[Line], tuple[str, ...]]
) -> list[Document]:
    groups: dict[tuple[str, ...], list[tuple[Line, Delta]]] = {}
    for line, delta in lines:
        groups.setdefault(key(line), []).append((line, delta))
    return [
        {**{name: value or None for name, value in zip(names, values, strict=True)}, **total}
        for values, own in sorted(groups.items())
        for total in _totals(own)
    ]


def _totals(lines: Lines) -> list[Document]:
    return [
        {
            "currency": currency,
            **dict(zip(_COUNTS, delta.counts, strict=True)),
            "total_cost": _money(cost),
            "list_cost": _money(listed),
        }
        for currency, (delta, cost, listed) in told_totals(lines).items()
    ]


def table(period: Period, lines: Lines) -> Exported:
    """The lines of a statement, each with the month that it corrects, as a table."""
    rows = [
        [
            period.month,
            *(value or None for value in line),
            *delta.counts,
            *told_cost(delta),
        ]
        for line, delta in lines
    ]
    return Exported("statement", COLUMNS, iter([rows] if rows else []))
