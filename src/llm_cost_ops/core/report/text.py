"""A document as JSON and back, so that it can be drawn in any form later."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.core.report.document import (
    Block,
    Cell,
    Chart,
    Column,
    Document,
    Figure,
    Figures,
    Kind,
    Section,
    Series,
    Style,
    Table,
    Text,
)

Json = dict[str, Any]


def to_text(document: Document) -> str:
    """The JSON of a document, exact to the last digit."""
    style = document.style
    logo = None if style.logo is None else b64encode(style.logo).decode()
    return dumps(
        {
            "title": document.title,
            "subtitle": document.subtitle,
            "organization": document.organization,
            "period": document.period,
            "timezone": document.timezone,
            "currency": document.currency,
            "made_at": document.made_at,
            "style": {"logo": logo, "primary": style.primary, "accent": style.accent},
            "sections": [
                {"title": section.title, "blocks": [_block(each) for each in section.blocks]}
                for section in document.sections
            ],
        }
    )


def from_text(text: str) -> Document:
    """The document that `to_text` wrote."""
    found: Json = loads(text)
    style = found["style"]
    logo = None if style["logo"] is None else b64decode(style["logo"])
    return Document(
        found["title"],
        found["organization"],
        found["period"],
        found["timezone"],
        found["currency"],
        found["made_at"],
        tuple(
            Section(each["title"], tuple(map(_read_block, each["blocks"])))
            for each in found["sections"]
        ),
        Style(logo, style["primary"], style["accent"]),
        found["subtitle"],
    )


def _block(block: Block) -> Json:
    if isinstance(block, Text):
        return {"text": block.text}
    if isinstance(block, Figures):
        return {"figures": [_figure(each) for each in block.items]}
    if isinstance(block, Table):
        return {
            "table": block.title,
            "columns": [[c.title, c.kind, c.currency, c.places] for c in block.columns],
            "rows": [_cells(row) for row in block.rows],
            "totals": None if block.totals is None else _cells(block.totals),
            "note": block.note,
            "query": block.query,
        }
    return {
        "chart": block.title,
        "form": block.form,
        "alt": block.alt,
        "categories": list(block.categories),
        "series": [[each.name, _cells(each.values)] for each in block.series],
        "kind": block.kind,
        "currency": block.currency,
        "query": block.query,
    }


def _figure(figure: Figure) -> Json:
    return {
        "label": figure.label,
        "kind": figure.kind,
        "value": _cell(figure.value),
        "currency": figure.currency,
        "change": figure.change,
        "query": figure.query,
    }


def _cells(cells: Sequence[Cell]) -> list[Any]:
    return [_cell(each) for each in cells]


def _cell(cell: Cell) -> str | int | Decimal | None:
    return cell.isoformat() if isinstance(cell, date) else cell


def _read_block(found: Json) -> Block:
    if "text" in found:
        return Text(found["text"])
    if "figures" in found:
        return Figures(tuple(map(_read_figure, found["figures"])))
    if "table" in found:
        columns = tuple(
            Column(title, kind, money, places) for title, kind, money, places in found["columns"]
        )
        kinds: list[Kind] = [each.kind for each in columns]
        totals = found["totals"]
        return Table(
            found["table"],
            columns,
            tuple(_read_row(row, kinds) for row in found["rows"]),
            None if totals is None else _read_row(totals, kinds),
            found["note"],
            found["query"],
        )
    kind = found["kind"]
    return Chart(
        found["form"],
        found["chart"],
        found["alt"],
        tuple(found["categories"]),
        tuple(
            Series(name, tuple(_read(each, kind) for each in values))
            for name, values in found["series"]
        ),
        kind,
        found["currency"],
        found["query"],
    )


def _read_figure(found: Mapping[str, Any]) -> Figure:
    change = found["change"]
    return Figure(
        found["label"],
        found["kind"],
        _read(found["value"], found["kind"]),
        found["currency"],
        None if change is None else Decimal(change),
        found["query"],
    )


def _read_row(row: Sequence[Any], kinds: Sequence[Kind]) -> tuple[Cell, ...]:
    return tuple(_read(each, kind) for each, kind in zip(row, kinds, strict=True))


def _read(value: Any, kind: Kind) -> Cell:
    if value is None:
        return None
    if kind in ("number", "ratio"):
        return value if isinstance(value, str) else Decimal(value)  # a word instead: none
    return date.fromisoformat(value) if kind == "date" else value
