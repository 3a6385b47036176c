"""What stands behind every report: totals to the tenth decimal, the requests that answer the same
figures, what charts show that no table has, and how to read it all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from llm_cost_ops.core.money import PLACES
from llm_cost_ops.core.report.document import (
    Block,
    Cell,
    Chart,
    Column,
    Document,
    Figures,
    Section,
    Series,
    Table,
    Text,
)
from llm_cost_ops.server.reports.drawing.values import shown, zone_of

TITLE = "Appendix: how to check these figures"
_APPENDIX = "Appendix"
_MOST_CELLS = 200
_READING = (
    "Made by LLM Cost Ops on {made}, for {period} in the time zone {zone}. Amounts in tables are "
    "rounded half-even to the places shown; sums are made of unrounded amounts, so that rounded "
    "ones may differ from their total in the last place. “unknown” means that a value is not "
    "known, which is not the same as zero."
)


def with_appendix(document: Document, *, charts: bool) -> Document:
    """The document and its appendix; `charts` adds tables of what is in charts alone. A document
    whose last section is an appendix already has that one extended by what it lacks."""
    *sections, last = document.sections or (Section(TITLE, ()),)
    if not last.title.startswith(_APPENDIX):
        sections, last = [*sections, last], Section(TITLE, ())
    made = shown("instant", document.made_at, zone=zone_of(document.timezone))
    reading = _READING.format(made=made, period=document.period, zone=document.timezone)
    blocks: list[Block] = [*last.blocks, Text(reading)]
    if totals := tuple(_totals(sections, document.currency)):
        columns = (
            Column("Part"),
            Column("Figure"),
            Column("Currency"),
            Column("Amount", "money", places=PLACES),
        )
        blocks.append(Table("Totals to the tenth decimal", columns, totals))
    told = _cells(last)
    if queries := tuple(each for each in _queries(sections) if each[1] not in told):
        blocks.append(Table("Requests", (Column("Figure"), Column("Request")), queries))
    if charts:
        blocks += [_table_of(chart) for chart in _alone(sections)]
    return replace(document, sections=(*sections, Section(last.title, tuple(blocks))))


def _cells(section: Section) -> set[Cell]:
    """The cells of its tables, and the names of each row in one, as charts have them."""
    rows = [row for block in section.blocks if isinstance(block, Table) for row in block.rows]
    names = {" / ".join(cell for cell in row if isinstance(cell, str)) for row in rows}
    return {cell for row in rows for cell in row} | names


def _totals(sections: Sequence[Section], currency: str) -> Iterator[tuple[Cell, ...]]:
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Figures):
                for each in block.items:
                    if each.kind == "money" and each.value is not None:
                        yield section.title, each.label, each.currency or currency, each.value
            elif isinstance(block, Table) and block.totals is not None:
                for column, value in zip(block.columns, block.totals, strict=True):
                    if column.kind == "money" and value is not None:
                        label = f"{block.title}: {column.title}"
                        yield section.title, label, column.currency or currency, value


def _queries(sections: Sequence[Section]) -> Iterator[tuple[Cell, ...]]:
    """A row for each line of a query."""
    for section in sections:
        for block in section.blocks:
            asked: list[tuple[str, str | None]] = []
            if isinstance(block, Figures):
                asked = [(each.label, each.query) for each in block.items]
            elif not isinstance(block, Text):
                asked = [(block.title, block.query)]
            for label, query in asked:
                for line in (query or "").splitlines():
                    yield f"{section.title}: {label}", line


def _alone(sections: Sequence[Section]) -> Iterator[Chart]:
    """Charts whose names no table of their section has; those of more than 200 values are left to
    the spreadsheet."""
    for section in sections:
        cells = _cells(section)
        for block in section.blocks:
            if isinstance(block, Chart) and 0 < _size(block) <= _MOST_CELLS:
                names = {each.name for each in block.series}
                if not (cells.issuperset(block.categories) or cells >= names):
                    yield block


def _size(chart: Chart) -> int:
    return len(chart.categories) * len(chart.series)


def _table_of(chart: Chart) -> Table:
    return table_of(_apart(chart), f"Chart “{chart.title}” in figures")


def _apart(chart: Chart) -> Chart:
    """A forecast with empty cells where there is nothing to know: what is expected of the past, and
    what is actual of the future. What is missing else stays unknown."""
    if chart.form != "band":
        return chart
    ahead = [each.values for each in chart.series if each.name != "actual"]
    known = [at for values in ahead for at, value in enumerate(values) if value is not None]
    start = min(known, default=len(chart.categories))

    def blank(each: Series) -> Series:
        past = each.name != "actual"
        return Series(each.name, tuple(
            "" if value is None and (at < start) is past else value
            for at, value in enumerate(each.values)
        ))  # fmt: skip

    return replace(chart, series=tuple(map(blank, chart.series)))


def table_of(chart: Chart, title: str) -> Table:
    """The values of a chart: a row for each category, or for each series where those are fewer than
    the categories of a heat map."""
    across = chart.form == "heat"
    heads = chart.categories if across else tuple(each.name for each in chart.series)
    columns = (
        Column(""),
        *(Column(head, chart.kind, chart.currency) for head in heads),
    )
    if across:
        rows = tuple((each.name, *_padded(each.values, len(heads))) for each in chart.series)
    else:
        columns_of = [_padded(each.values, len(chart.categories)) for each in chart.series]
        rows = tuple(
            (name, *(values[at] for values in columns_of))
            for at, name in enumerate(chart.categories)
        )
    return Table(title, columns, rows)


def _padded(values: tuple[Cell, ...], length: int) -> tuple[Cell, ...]:
    return (*values[:length], *([None] * (length - len(values))))
