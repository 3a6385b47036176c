"""Excel workbooks, by XlsxWriter (extra `reports`): a sheet for each section, with native charts.

Excel keeps a number as a binary one of 15 digits, so each column of amounts has its exact digits
beside the table, as text. Nothing in the file is a formula or a link.
"""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, tzinfo
from typing import Any

from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.money import plain_e10
from llm_cost_ops.core.report.document import (
    Block,
    Cell,
    Chart,
    Column,
    Document,
    Figures,
    Kind,
    Section,
    Table,
    Text,
)
from llm_cost_ops.server.exports.arrow import FilesMissing
from llm_cost_ops.server.reports.drawing.appendix import table_of, with_appendix
from llm_cost_ops.server.reports.drawing.layout import heading
from llm_cost_ops.server.reports.drawing.looks import OTHER, PALETTE, Looks, drawn_looks, tint
from llm_cost_ops.server.reports.drawing.values import (
    NUMERIC,
    UNKNOWN,
    change_text,
    clean,
    cut,
    digits,
    paragraphs,
    places_alone,
    places_of,
    zone_of,
)

MAX_TEXT = 32_767
_MAX_NAME = 31
_FORBIDDEN = re.compile(r"[\[\]:*?/\\]")
_OPTIONS = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}
_WIDTHS: dict[Kind, int] = {
    "text": 12, "count": 12, "money": 16, "number": 12, "ratio": 10, "date": 12, "instant": 20,
}  # fmt: skip
_WIDEST = 48
_ROW_PIXELS = 20
_EMPTY = "Hatched cells are not known."


def draw(document: Document) -> bytes:
    """The workbook. Raises LooksError, FilesMissing."""
    try:
        xlsxwriter = importlib.import_module("xlsxwriter")
    except ImportError:
        raise FilesMissing("Excel workbooks", "reports") from None
    looks = drawn_looks(document.style)
    whole = with_appendix(document, charts=False)
    out = io.BytesIO()
    book: Any = xlsxwriter.Workbook(out, _OPTIONS)
    _describe(book, whole)
    formats = _Formats(book, looks)
    names = _sheet_names([section.title for section in whole.sections])
    sheets = [book.add_worksheet(name) for name in ("About", *names)]
    _about(sheets[0], whole, names, formats, looks)
    for sheet, section in zip(sheets[1:], whole.sections, strict=True):
        _Sheet(book, sheet, formats, zone_of(whole.timezone), looks).write(section)
    book.close()
    return out.getvalue()


def _describe(book: Any, document: Document) -> None:
    made = from_micros(document.made_at).replace(tzinfo=None, microsecond=0)
    book.set_properties(
        {
            "title": cut(clean(document.title), 255),
            "company": cut(clean(document.organization), 255),
            "author": "LLM Cost Ops",
            "created": made,
        }
    )


def _sheet_names(titles: Sequence[str]) -> list[str]:
    """Names as Excel allows them: 31 characters, without some signs, no two alike."""
    names: list[str] = []
    taken = {"about", "history"}
    for title in titles:
        base = clean(_FORBIDDEN.sub(" ", clean(title))).strip(" '") or "Section"
        name, number = base[:_MAX_NAME].strip(" '") or "Section", 2
        while name.lower() in taken:
            ending = f" {number}"
            name, number = base[: _MAX_NAME - len(ending)].strip(" '") + ending, number + 1
        taken.add(name.lower())
        names.append(name)
    return names


_APART: dict[str, Any] = {"align": "left", "indent": 1}
"""Of texts: a number to the left of one ends where the text begins."""


@dataclass(slots=True)
class _Formats:
    """Formats of cells, each made once."""

    book: Any
    looks: Looks
    _made: dict[tuple[tuple[str, Any], ...], Any] = field(
        default_factory=dict[tuple[tuple[str, Any], ...], Any]
    )

    def of(self, **properties: Any) -> Any:
        """The format with these properties of XlsxWriter."""
        key = tuple(sorted(properties.items()))
        if key not in self._made:
            self._made[key] = self.book.add_format(dict(properties))
        return self._made[key]

    def title(self, size: int) -> Any:
        return self.of(bold=True, font_size=size, font_color=self.looks.primary)

    def head(self, number: bool) -> Any:
        return self.of(
            **_side(number),
            bold=True,
            font_color=self.looks.on_primary,
            bg_color=self.looks.primary,
            valign="top",
            text_wrap=True,
        )

    def cell(self, kind: Kind, places: int, total: bool) -> Any:
        """A value of a table."""
        bold: dict[str, Any] = {"bold": True, "top": 2} if total else {}
        if kind == "text":
            return self.of(valign="top", text_wrap=True, **_APART, **bold)
        return self.of(valign="top", num_format=number_format(kind, places), **bold)

    def digits(self, total: bool) -> Any:
        """Exact digits as text."""
        bold: dict[str, Any] = {"bold": True, "top": 2} if total else {}
        return self.of(align="right", valign="top", **bold)

    def hatched(self) -> Any:
        """An empty cell that says that its value is not known."""
        return self.of(pattern=14, fg_color="#bfbfbf", bg_color="#ffffff")

    def unknown(self, number: bool, total: bool) -> Any:
        bold: dict[str, Any] = {"top": 2} if total else {}
        return self.of(italic=True, font_color="#595959", valign="top", **_side(number), **bold)


def _side(number: bool) -> dict[str, Any]:
    return {"align": "right"} if number else _APART


def number_format(kind: Kind, places: int) -> str:
    """Excel's number format of a kind of cell."""
    if kind == "date":
        return "yyyy-mm-dd"
    if kind == "instant":
        return "yyyy-mm-dd hh:mm:ss"
    decimals = f".{'0' * places}" if places else ""
    return f"0{decimals} %" if kind == "ratio" else f"#,##0{decimals}"


def _about(
    sheet: Any, document: Document, names: Sequence[str], formats: _Formats, looks: Looks
) -> None:
    sheet.hide_gridlines(2)
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.set_column(0, 0, 18)
    sheet.set_column(1, 1, 70)
    sheet.write_string(0, 0, _text(document.title), formats.title(20))
    local = from_micros(document.made_at).astimezone(zone_of(document.timezone))
    facts = (
        ("", document.subtitle or ""),
        ("Organization", document.organization),
        ("Period", document.period),
        ("Time zone", document.timezone),
        ("Currency", document.currency),
        ("Made", f"{local:%Y-%m-%d %H:%M} {local.tzname()}"),
        ("Sheets", ", ".join(names)),
    )
    for row, (name, value) in enumerate(facts, start=1):
        sheet.write_string(row, 0, name, formats.of(font_color="#595959", valign="top"))
        sheet.write_string(row, 1, _text(value), formats.of(text_wrap=True, valign="top"))
    if looks.logo is not None:
        scale = min(1.0, 240 / looks.logo.width, 90 / looks.logo.height)
        options = {
            "image_data": io.BytesIO(looks.logo.png),
            "x_scale": scale,
            "y_scale": scale,
            "description": "Logo",
        }
        sheet.insert_image(len(facts) + 2, 0, "logo.png", options)


def _text(text: str) -> str:
    return cut(clean(text), MAX_TEXT)


@dataclass(slots=True)
class _Sheet:
    """One section; `at` is the next free row."""

    book: Any
    sheet: Any
    formats: _Formats
    zone: tzinfo
    looks: Looks
    at: int = 0
    printed: int = 1
    widths: dict[int, int] = field(default_factory=dict[int, int])

    def write(self, section: Section) -> None:
        """Its blocks below each other."""
        self.sheet.hide_gridlines(2)
        self.sheet.set_landscape()
        self.sheet.set_paper(9)
        self.sheet.fit_to_pages(1, 0)
        self.sheet.write_string(0, 0, _text(section.title), self.formats.title(16))
        self.at = 2
        for block in section.blocks:
            self._block(block)
            self.at += 1
        if not section.blocks:
            self.sheet.write_string(self.at, 0, "Nothing to report in this period.")
        self.sheet.print_area(0, 0, max(self.at, 1), max(self.printed, 10) - 1)
        for column, width in self.widths.items():
            self.sheet.set_column(column, column, min(_WIDEST, width))

    def _block(self, block: Block) -> None:
        if isinstance(block, Text):
            for each in paragraphs(block.text):
                self.sheet.write_string(self.at, 0, cut(each, MAX_TEXT))
                self.at += 1
        elif isinstance(block, Figures):
            self._figures(block)
        elif isinstance(block, Chart):
            self._chart(block)
        else:
            self._heading(block.title, block.note)
            self._table(block)

    def _heading(self, title: str, note: str | None) -> None:
        self.sheet.write_string(self.at, 0, _text(title), self.formats.of(bold=True, font_size=12))
        self.at += 1
        if note:
            self.sheet.write_string(
                self.at, 0, _text(note), self.formats.of(font_color="#595959", italic=True)
            )
            self.at += 1

    def _figures(self, block: Figures) -> None:
        heads = ("Figure", "Value", "Currency", "Change", "Exact")
        for column, head in enumerate(heads):
            self.sheet.write_string(self.at, column, head, self.formats.head(column in (1, 3, 4)))
            self._widen(column, len(head))
        for each in block.items:
            self.at += 1
            word = self.formats.cell("text", 0, total=False)
            self.sheet.write_string(self.at, 0, _text(each.label), word)
            places = places_alone(each.kind, each.currency, each.value)
            self._put(1, Column("", each.kind), each.value, places, total=False)
            self._widen(0, len(each.label))
            self._widen(1, 18)
            if each.kind == "money":
                self.sheet.write_string(self.at, 2, _text(each.currency or ""), word)
                if isinstance(each.value, int):
                    exact = plain_e10(each.value)
                    self.sheet.write_string(self.at, 4, exact, self.formats.digits(total=False))
                    self._widen(4, 24)
            if (change := change_text(each.change)) is not None:
                self.sheet.write_string(self.at, 3, change, self.formats.of(align="right"))
        self.at += 2

    def _table(self, table: Table, *, charted: bool = False) -> tuple[int, int]:
        """Writes it; the first and the last row of its values. What a chart draws has nothing in a
        cell that is not known, for Excel draws a text as zero; and no exact digits beside it."""
        every = [*table.rows, *([table.totals] if table.totals is not None else [])]
        places = [
            each.places
            if each.places is not None
            else places_of(each.kind, each.currency, (row[at] for row in every))
            for at, each in enumerate(table.columns)
        ]
        money = [at for at, each in enumerate(table.columns) if each.kind == "money"]
        exact = [] if charted else money
        self._heads(table, exact)
        first = self.at + 1
        for row in every:
            self.at += 1
            total = row is table.totals
            for column, each in enumerate(table.columns):
                if charted and row[column] is None:
                    self.sheet.write_blank(self.at, column, None, self.formats.hatched())
                else:
                    self._put(column, each, row[column], places[column], total)
            self._exact(row, exact, len(table.columns), total)
        if not every:
            self.at += 1
            self.sheet.write_string(self.at, 0, "No rows in this period.")
        self.at += 1
        return first, first + len(table.rows) - 1

    def _heads(self, table: Table, exact: Sequence[int]) -> None:
        self.printed = max(self.printed, len(table.columns))
        for column, each in enumerate(table.columns):
            name = _text(heading(each))
            self.sheet.write_string(self.at, column, name, self.formats.head(each.kind in NUMERIC))
            self._widen(column, max(_WIDTHS[each.kind], min(len(name), 24)))
        for column, place in enumerate(exact, start=len(table.columns)):
            name = cut(f"{_text(heading(table.columns[place]))}, exact", MAX_TEXT)
            self.sheet.write_string(self.at, column, name, self.formats.head(True))
            self._widen(column, 22)

    def _exact(self, row: Sequence[Cell], exact: Sequence[int], after: int, total: bool) -> None:
        for column, place in enumerate(exact, start=after):
            value = row[place]
            if isinstance(value, int):
                self.sheet.write_string(
                    self.at, column, plain_e10(value), self.formats.digits(total)
                )

    def _put(self, at: int, column: Column, value: Cell, places: int, total: bool) -> None:
        """A cell by its kind; nothing is taken for a formula."""
        number = digits(column.kind, value) if column.kind in NUMERIC else None
        style = self.formats.cell(column.kind, places, total)
        if value is None:
            blank = total and column.kind not in ("count", "money")
            style = self.formats.unknown(column.kind in NUMERIC, total)
            self.sheet.write_string(self.at, at, "" if blank else UNKNOWN, style)
        elif number is not None:
            self.sheet.write_number(self.at, at, number, style)
        elif column.kind == "instant" and isinstance(value, int):
            local = from_micros(value).astimezone(self.zone).replace(tzinfo=None)
            self.sheet.write_datetime(self.at, at, local, style)
        elif isinstance(value, date):
            self.sheet.write_datetime(self.at, at, value, style)
        else:
            text = _text(str(value))
            self.sheet.write_string(self.at, at, text, style)
            self._widen(at, len(text))

    def _widen(self, column: int, width: int) -> None:
        self.widths[column] = max(self.widths.get(column, 8), width + 2)

    def _chart(self, chart: Chart) -> None:
        self._heading(chart.title, chart.alt)
        if not chart.categories or not chart.series:
            self.sheet.write_string(self.at, 0, "Nothing to draw: no data in this period.")
            self.at += 1
            return
        place = self.at
        if chart.form != "heat":
            self.at += _height(chart) // _ROW_PIXELS + 2
        first, last = self._table(table_of(chart, chart.title), charted=True)
        if any(value is None for each in chart.series for value in each.values):
            self.sheet.write_string(self.at, 0, _EMPTY, self.formats.of(font_color="#595959"))
            self.at += 1
        if chart.form == "heat":
            self._shade(chart, first, last)
            return
        picture = _native(self.book, chart)
        _add_series(picture, self.sheet.get_name(), chart, first, last, self.looks)
        options = {"description": cut(clean(chart.alt), 1000), "object_position": 3}
        self.sheet.insert_chart(place, 0, picture, options)

    def _shade(self, chart: Chart, first: int, last: int) -> None:
        """Excel's own scale of colours: a heat map that stays right when values are edited."""
        rule = {
            "type": "2_color_scale",
            "min_type": "num",
            "min_value": 0,
            "min_color": "#ffffff",
            "max_color": tint(self.looks.primary, 0.75),
        }
        self.sheet.conditional_format(first, 1, last, len(chart.categories), rule)


_TYPES = {
    "stacked": {"type": "column", "subtype": "stacked"},
    "bars": {"type": "bar"},
    "band": {"type": "line"},
    "bullet": {"type": "bar"},
}


def _height(chart: Chart) -> int:
    """Pixels: rows of bars need their room."""
    rows = len(chart.categories) * max(1, len(chart.series))
    return max(320, 110 + 20 * rows) if chart.form in ("bars", "bullet") else 320


def _native(book: Any, chart: Chart) -> Any:
    """A chart of Excel's own; what is not known is a gap in it."""
    native: Any = book.add_chart(_TYPES[chart.form])
    native.set_title({"name": cut(clean(chart.title), 200), "name_font": {"size": 11}})
    places = places_of(chart.kind, None, ()) if chart.kind == "ratio" else 0
    axis = {
        "num_format": number_format(chart.kind, places),
        "name": chart.currency if chart.kind == "money" and chart.currency else "",
        "major_gridlines": {"visible": True, "line": {"color": "#d0d0d0", "width": 0.5}},
    }
    if chart.form in ("bars", "bullet"):
        native.set_y_axis({"reverse": True, "interval_unit": 1, "label_position": "low"})
        native.set_x_axis(axis)
    else:
        native.set_x_axis({"label_position": "low"})
        native.set_y_axis(axis)
    native.set_legend({"none": True} if len(chart.series) == 1 else {"position": "bottom"})
    native.show_blanks_as("gap")
    native.set_size({"width": 900, "height": _height(chart)})
    return native


def _add_series(native: Any, sheet: str, chart: Chart, first: int, last: int, looks: Looks) -> None:
    colours = [PALETTE[n] if n < len(PALETTE) else OTHER for n in range(len(chart.series))]
    if len(chart.series) == 1:
        colours = [looks.primary]
    lines: dict[str, dict[str, Any]] = {
        "actual": {"color": looks.primary, "width": 2},
        "forecast": {"color": looks.accent, "width": 2, "dash_type": "dash"},
        "low": {"color": "#595959", "width": 1, "dash_type": "round_dot"},
        "high": {"color": "#595959", "width": 1, "dash_type": "round_dot"},
    }
    for number, each in enumerate(chart.series):
        series: dict[str, Any] = {
            "name": [sheet, first - 1, number + 1],
            "categories": [sheet, first, 0, last, 0],
            "values": [sheet, first, number + 1, last, number + 1],
        }
        if chart.form == "band":
            series["line"] = lines.get(each.name, {"width": 1})
        else:
            series["fill"] = {"color": colours[number]}
            series["gap"] = 40
        native.add_series(series)
