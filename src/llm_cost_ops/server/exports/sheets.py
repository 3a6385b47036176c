"""Tables as Excel workbooks, by XlsxWriter (extra `reports`): a summary with tables and charts, and
sheets of rows that a pivot table can read.

Excel keeps a number as a binary one of 15 digits; so each total stands beside its exact digits as
text. The rows go to a temporary file as they come: memory holds one of them, and the summary.
"""

from __future__ import annotations

import importlib
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, tzinfo
from decimal import Decimal
from typing import IO, Any

from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.money import from_e10, plain
from llm_cost_ops.server.exports.arrow import FilesMissing
from llm_cost_ops.server.exports.columns import Exported, Kind
from llm_cost_ops.server.exports.totals import Totals

MAX_ROWS = 1_048_576
MAX_TEXT = 32_767
CHUNK_BYTES = 64 * 1024
_CUT = " [cut]"
_TOP = 15
_COSTS = ("total_cost", "cost", "amount", "calculated_cost", "sum")
_OPTIONS = {
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "default_date_format": "yyyy-mm-dd hh:mm:ss",
}
_FORMATS = {
    Kind.MONEY: "#,##0.00########",
    Kind.NUMBER: "#,##0.00########",
    Kind.COUNT: "#,##0",
    Kind.INSTANT: "yyyy-mm-dd hh:mm:ss",
}


def write_xlsx(
    table: Exported,
    zone: tzinfo | None,
    totals: Totals,
    created_us: int | None = None,
    days: tzinfo | None = None,
) -> Iterator[bytes]:
    """A workbook that says that it was made then (microseconds), or now. Instants are those of
    `zone`, days of the summary those of `days`, of UTC where None. Raises FilesMissing."""
    try:
        xlsxwriter = importlib.import_module("xlsxwriter")
    except ImportError:
        raise FilesMissing("Excel workbooks", "reports") from None
    with tempfile.TemporaryFile() as file:
        book: Any = xlsxwriter.Workbook(file, _OPTIONS)
        properties: dict[str, Any] = {"title": table.title, "author": "LLM Cost Ops"}
        if created_us is not None:
            properties["created"] = from_micros(created_us).replace(tzinfo=None)
        book.set_properties(properties)
        summary = book.add_worksheet("Summary")
        # Of the sheets that follow: this one has tables, which cannot be written row by row, and
        # no file of its own to be closed.
        book.constant_memory = summary.row_data_fh_closed = True
        groups = _Groups(table, days or UTC)
        _write_rows(book, table, zone or UTC, totals, groups)
        _write_summary(book, summary, table, totals, groups)
        book.close()
        yield from _chunks(file)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


class _Groups:
    """Amounts by model and by day, for the summary. Without an amount or a currency there are
    none."""

    def __init__(self, table: Exported, days: tzinfo) -> None:
        self.days = days
        self._money = _amount(table)
        self.name = "cost"
        """What is added up, where it is not what calls cost."""
        if self._money is not None and table.columns[self._money].name not in _COSTS:
            self.name = table.columns[self._money].name
        self._by = {
            name: place
            for name in ("provider", "model", "project_id", "team_id")
            if (place := table.place_of(name)) is not None
        }
        self._currency, self._time = table.place_of("currency"), table.place_of("timestamp")
        self.sums: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)

    def add(self, row: Sequence[Any]) -> None:
        if self._money is None or self._currency is None or row[self._money] is None:
            return
        amount, currency = row[self._money], row[self._currency]
        for name, place in self._by.items():
            self._count(name, (str(row[place] or ""), currency), amount)
        if self._time is not None:
            day = from_micros(row[self._time]).astimezone(self.days).date().isoformat()
            self._count("day", (day, currency), amount)

    def _count(self, name: str, key: tuple[str, str], amount: int) -> None:
        sums = self.sums[name]
        sums[key] = sums.get(key, 0) + amount


def _amount(table: Exported) -> int | None:
    """Where the amounts are that the summary adds up: what calls cost, wherever it stands, else the
    first amount there is."""
    if not table.adds_up:
        return None
    money = [n for n, each in enumerate(table.columns) if each.kind is Kind.MONEY]
    costs = [n for n in money if table.columns[n].name in _COSTS]
    return next(iter((*costs, *money)), None)


def _write_rows(book: Any, table: Exported, zone: tzinfo, totals: Totals, groups: _Groups) -> None:
    bold = book.add_format({"bold": True, "bottom": 1})
    styles = {kind: book.add_format({"num_format": text}) for kind, text in _FORMATS.items()}
    sheet, at, number = None, MAX_ROWS, 0
    for batch in table.batches:
        totals.add(batch)
        for row in batch:
            if at >= MAX_ROWS:
                _end(sheet, at, table)
                number += 1
                sheet, at = _begin(book, table, bold, number), 1
            groups.add(row)
            for place, (column, value) in enumerate(zip(table.columns, row, strict=False)):
                if value is not None:
                    _put(sheet, at, place, column.kind, value, styles, zone)
            at += 1
    if sheet is None:
        sheet, at = _begin(book, table, bold, 1), 1
    _end(sheet, at, table)


def _begin(book: Any, table: Exported, bold: Any, number: int) -> Any:
    sheet = book.add_worksheet("Data" if number == 1 else f"Data {number}")
    for place, column in enumerate(table.columns):
        sheet.set_column(place, place, 20 if column.kind in (Kind.TEXT, Kind.INSTANT) else 14)
    for place, column in enumerate(table.columns):
        sheet.write_string(0, place, column.name, bold)
    sheet.freeze_panes(1, 0)
    return sheet


def _end(sheet: Any, at: int, table: Exported) -> None:
    if sheet is not None:
        sheet.autofilter(0, 0, max(at - 1, 1), len(table.columns) - 1)


def _put(
    sheet: Any, at: int, place: int, kind: Kind, value: Any, styles: dict[Kind, Any], zone: tzinfo
) -> None:
    if kind is Kind.MONEY:
        sheet.write_number(at, place, from_e10(value), styles[kind])
    elif kind in (Kind.COUNT, Kind.NUMBER):
        sheet.write_number(at, place, value, styles[kind])
    elif kind is Kind.INSTANT:
        local = from_micros(value).astimezone(zone).replace(tzinfo=None)
        sheet.write_datetime(at, place, local, styles[kind])
    else:
        sheet.write_string(at, place, _bounded(value))


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - len(_CUT)] + _CUT


def _write_summary(book: Any, sheet: Any, table: Exported, totals: Totals, groups: _Groups) -> None:
    head = book.add_format({"bold": True, "font_size": 14})
    money = book.add_format({"num_format": _FORMATS[Kind.MONEY]})
    count = book.add_format({"num_format": _FORMATS[Kind.COUNT]})
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, 9, 18)
    sheet.write_string(0, 0, f"LLM Cost Ops: {table.title}", head)
    sheet.write_string(1, 0, "Rows")
    sheet.write_number(1, 1, totals.rows_written, count)
    at = 3
    for sums in totals.wire():
        currency = str(sums.pop("currency", ""))
        for name, value in sums.items():
            amount = isinstance(value, Decimal)
            sheet.write_string(at, 0, f"{name} {currency}".strip() if amount else name)
            if value is None:
                sheet.write_string(at, 1, "not known")
            else:
                sheet.write_number(at, 1, value, money if amount else count)
            if amount:
                sheet.write_string(at, 2, plain(value))
            at += 1
        at += 1
    label = groups.name.capitalize()
    for name, title in (
        ("day", f"{label} by day ({groups.days})"),
        ("model", f"{label} by model"),
        ("provider", f"{label} by provider"),
        ("project_id", f"{label} by project"),
        ("team_id", f"{label} by team"),
    ):
        if groups.sums.get(name):
            at = _group(book, sheet, at, (name, groups.name), title, groups.sums[name], money)


def _group(
    book: Any,
    sheet: Any,
    at: int,
    names: tuple[str, str],
    title: str,
    sums: dict[tuple[str, str], int],
    money: Any,
) -> int:
    """A table of the sums and a chart beside it; where what follows may begin."""
    name, amount = names
    by_time = name == "day"
    order = sorted(sums.items(), key=lambda item: item[0] if by_time else (-item[1], item[0]))
    columns = [{"header": name}, {"header": "currency"}, {"header": amount, "format": money}]
    last = at + len(order)
    sheet.add_table(
        at, 0, last, 2, {"name": f"by_{name}", "columns": columns, "style": "Table Style Light 9"}
    )
    for number, ((key, currency), units) in enumerate(order, start=at + 1):
        sheet.write_string(number, 0, _bounded(key))
        sheet.write_string(number, 1, currency)
        sheet.write_number(number, 2, from_e10(units), money)
    shown = last if by_time else min(last, at + _TOP)
    chart: Any = book.add_chart({"type": "column" if by_time else "bar"})
    chart.add_series(
        {
            "name": title,
            "categories": ["Summary", at + 1, 0, shown, 0],
            "values": ["Summary", at + 1, 2, shown, 2],
        }
    )
    chart.set_title({"name": title})
    chart.set_legend({"none": True})
    if not by_time:
        chart.set_y_axis({"reverse": True})
    sheet.insert_chart(at, 4, chart, {"x_scale": 1.4, "y_scale": 1.1})
    return max(last, at + 17) + 2
