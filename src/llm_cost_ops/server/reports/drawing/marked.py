"""Markdown: tables and texts, with every sign that would be markup escaped; a chart is what it
shows in words, and its figures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo

from llm_cost_ops.core.report.document import Block, Chart, Document, Figure, Figures, Table, Text
from llm_cost_ops.server.reports.drawing.appendix import table_of, with_appendix
from llm_cost_ops.server.reports.drawing.layout import heading, texts
from llm_cost_ops.server.reports.drawing.looks import drawn_looks
from llm_cost_ops.server.reports.drawing.values import (
    NUMERIC,
    UNKNOWN,
    change_text,
    clean,
    paragraphs,
    shown,
    zone_of,
)

_MARKUP = re.compile(r"([\\`*_{}\[\]()#!|~<>&$^@]|:(?=//)|(?<=www)\.)", re.IGNORECASE)
_NUMBERED = re.compile(r"^(\d+)([.)])(?=\s|$)")
_FIRST = ("-", "+")


def draw(document: Document) -> bytes:
    """The text. Raises LooksError for colours that the other forms refuse too."""
    drawn_looks(document.style)
    document = with_appendix(document, charts=False)
    zone = zone_of(document.timezone)
    lines = [f"# {escaped(document.title)}", ""]
    if document.subtitle:
        lines += [escaped(document.subtitle), ""]
    head = (document.organization, document.period, document.timezone, document.currency)
    made = shown("instant", document.made_at, zone=zone)
    lines += [" · ".join(map(escaped, (*head, f"made {made}"))), ""]
    for section in document.sections:
        lines += [f"## {escaped(section.title)}", ""]
        for block in section.blocks:
            lines += [*_block(block, zone), ""]
        if not section.blocks:
            lines += ["Nothing to report in this period.", ""]
    return "\n".join(lines).encode()


def escaped(text: str) -> str:
    """One line of text that no reader of Markdown takes for markup."""
    line = _MARKUP.sub(r"\\\1", clean(text))
    if line.startswith(_FIRST) and not _is_number(line):
        line = f"\\{line}"
    return _NUMBERED.sub(r"\1\\\2", line)


def _is_number(line: str) -> bool:
    return line[1:2].isdigit()


def _block(block: Block, zone: tzinfo) -> Iterator[str]:
    if isinstance(block, Text):
        yield "\n\n".join(map(escaped, paragraphs(block.text)))
    elif isinstance(block, Figures):
        yield from (_figure(each, zone) for each in block.items)
    elif isinstance(block, Chart):
        yield f"### {escaped(block.title)}"
        yield f"\n{escaped(block.alt)}\n"
        if block.categories and block.series:
            yield from _rows(table_of(block, block.title), zone)
        else:
            yield "Nothing to draw: no data in this period."
    else:
        yield f"### {escaped(block.title)}\n"
        if block.note:
            yield f"{escaped(block.note)}\n"
        yield from _rows(block, zone)


def _figure(figure: Figure, zone: tzinfo) -> str:
    value = shown(figure.kind, figure.value, currency=figure.currency, zone=zone)
    if figure.kind == "money" and figure.currency and figure.value is not None:
        value = f"{value} {figure.currency}"
    change = change_text(figure.change)
    against = f" ({escaped(change)} vs. compared period)" if change else ""
    return f"* {escaped(figure.label)}: **{escaped(value)}**{against}"


def _rows(table: Table, zone: tzinfo) -> Iterator[str]:
    rows, totals = texts(table, zone)
    if not rows and totals is None:
        yield "No rows in this period."
        return
    yield _line([escaped(heading(column)) for column in table.columns])
    yield _line(["---:" if column.kind in NUMERIC else "---" for column in table.columns])
    for row in rows:
        yield _line([escaped(UNKNOWN if each is None else each) for each in row])
    if totals is not None:
        yield _line([_bold(UNKNOWN if each is None else each) for each in totals])


def _bold(text: str) -> str:
    return f"**{escaped(text)}**" if text else ""


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
