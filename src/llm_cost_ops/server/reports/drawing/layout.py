"""A document as texts and pictures in the order they are read, for the forms that are laid out by a
template (PDF, HTML)."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from llm_cost_ops.core.report.document import (
    Block,
    Cell,
    Chart,
    Column,
    Document,
    Figure,
    Figures,
    Table,
    Text,
)
from llm_cost_ops.server.reports.drawing.charts import draw_chart
from llm_cost_ops.server.reports.drawing.looks import Looks
from llm_cost_ops.server.reports.drawing.svg import Font
from llm_cost_ops.server.reports.drawing.values import (
    NUMERIC,
    change_text,
    clean,
    paragraphs,
    places_of,
    shown,
    zone_of,
)

Laid = dict[str, Any]
_COVERED = 3
"""With more sections than these (its appendix counts) a document has a title page and contents."""
_SAID_ONCE = 3


def laid_out(document: Document, looks: Looks, font: Font) -> Laid:
    """Everything a template draws; `font` is that of charts. A cell that is None is not known."""
    zone = zone_of(document.timezone)
    return {
        "title": clean(document.title) or "Report",
        "subtitle": clean(document.subtitle or "") or None,
        "organization": clean(document.organization),
        "period": clean(document.period),
        "timezone": clean(document.timezone),
        "currency": clean(document.currency),
        "made": shown("instant", document.made_at, zone=zone),
        "primary": looks.primary,
        "accent": looks.accent,
        "on_primary": looks.on_primary,
        "cover": len(document.sections) > _COVERED,
        "sections": [
            {
                "title": clean(section.title) or "Untitled",
                "blocks": [_block(block, looks, font, zone) for block in section.blocks],
            }
            for section in document.sections
        ],
    }


def _block(block: Block, looks: Looks, font: Font, zone: tzinfo) -> Laid:
    if isinstance(block, Text):
        return {"kind": "text", "paragraphs": paragraphs(block.text)}
    if isinstance(block, Figures):
        return {"kind": "figures", "items": [_figure(each, zone) for each in block.items]}
    if isinstance(block, Chart):
        return _chart(block, looks, font)
    return _table(block, zone)


def _figure(figure: Figure, zone: tzinfo) -> Laid:
    value = shown(figure.kind, figure.value, currency=figure.currency, zone=zone)
    change = change_text(figure.change)
    return {
        "label": clean(figure.label),
        "value": None if figure.value is None else value,
        "unit": figure.currency if figure.kind == "money" else None,
        "change": change,
    }


def _chart(chart: Chart, looks: Looks, font: Font) -> Laid:
    drawn = draw_chart(chart, looks, font)
    return {
        "kind": "chart",
        "title": clean(chart.title),
        "alt": clean(chart.alt) or clean(chart.title) or "Chart",
        "svg": drawn.svg,
        "note": drawn.note,
    }


def heading(column: Column) -> str:
    """The name of a column with its currency: `Cost (USD)`."""
    title = clean(column.title)
    if column.kind != "money" or not column.currency or column.currency in title:
        return title
    return f"{title} ({column.currency})" if title else column.currency


def texts(table: Table, zone: tzinfo) -> tuple[list[list[str | None]], list[str | None] | None]:
    """Rows and totals as texts, each column to the same places; None is not known."""
    every = [*table.rows, *([table.totals] if table.totals is not None else [])]
    places = [
        column.places
        if column.places is not None
        else places_of(column.kind, column.currency, (row[at] for row in every))
        for at, column in enumerate(table.columns)
    ]

    def line(row: tuple[Cell, ...]) -> list[str | None]:
        return [
            None
            if value is None
            else shown(column.kind, value, currency=column.currency, places=place, zone=zone)
            for column, place, value in zip(table.columns, places, row, strict=True)
        ]

    totals = None if table.totals is None else _totals(line(table.totals), table)
    return [line(row) for row in table.rows], totals


def _totals(line: list[str | None], table: Table) -> list[str | None]:
    """What cannot be added up (names, shares, days) has no total rather than an unknown one."""
    return [
        "" if value is None and column.kind not in ("count", "money") else value
        for value, column in zip(line, table.columns, strict=True)
    ]


def _table(table: Table, zone: tzinfo) -> Laid:
    rows, totals = texts(table, zone)
    once = common_currency(table)
    notes = (f"Amounts in {once}." if once else "", clean(table.note or ""))
    return {
        "kind": "table",
        "title": clean(table.title),
        "heads": [clean(each.title) if once else heading(each) for each in table.columns],
        "numeric": [column.kind in NUMERIC for column in table.columns],
        "rows": rows,
        "totals": totals,
        "note": " ".join(filter(None, notes)) or None,
    }


def common_currency(table: Table) -> str | None:
    """The currency of a table that has the same one in three columns or more: it is said once."""
    currencies = [column.currency for column in table.columns if column.kind == "money"]
    alike = len(currencies) >= _SAID_ONCE and len(set(currencies)) == 1
    return currencies[0] if alike else None
