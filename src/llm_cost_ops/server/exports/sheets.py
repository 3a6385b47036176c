"""Tables as Excel workbooks, by XlsxWriter (extra `reports`): a summary with tables and charts, and
sheets of rows that a pivot table can read.

Excel keeps a number as a binary one of 15 digits; so each total stands beside its exact digits as
text. The rows go to a temporary file as they come: memory holds one of them, and the summary.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from decimal import Decimal
from operator import itemgetter
from typing import IO, Any

from llm_cost_ops.core.buckets import GRAINS
from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.money import from_e10, plain
from llm_cost_ops.server.exports.arrow import FilesMissing
from llm_cost_ops.server.exports.columns import GROUPS, Exported, Kind
from llm_cost_ops.server.exports.totals import UNKNOWN, Totals, status_of

MAX_ROWS = 1_048_576
MAX_TEXT = 32_767
CHUNK_BYTES = 64 * 1024
_CUT = " [cut]"
_TOP = 15
_MOST = 1_000
_PAGE_COLUMNS = 12
_EXACT = 10**15
"""From here on a number of Excel has not all digits of a count."""
_WIDTHS = {"id": 34, "event_id": 34, "model": 32}
_BY = ("day", "model", "provider", "project_id", "team_id")
_WORDS = {"project_id": "project", "team_id": "team"}
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
    # XlsxWriter leaves its own files where rows cannot be read: they are in a folder that goes.
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile(dir=folder) as file:
        book: Any = xlsxwriter.Workbook(file, {**_OPTIONS, "tmpdir": folder})
        properties: dict[str, Any] = {"title": table.title, "author": "LLM Cost Ops"}
        if created_us is not None:
            properties["created"] = from_micros(created_us).replace(tzinfo=None)
        book.set_properties(properties)
        summary = book.add_worksheet("Summary")
        # Of the sheets that follow: this one has tables, which cannot be written row by row, and
        # no file of its own to be closed.
        book.constant_memory = summary.row_data_fh_closed = True
        groups = _Groups(table, days or UTC)
        try:
            _write_rows(book, table, zone or UTC, totals, groups)
            _write_summary(book, summary, table, totals, groups)
            book.close()
        finally:
            _close_rows(book)
        yield from _chunks(file)


def _close_rows(book: Any) -> None:
    """Close what an unfinished workbook has open."""
    for sheet in book.worksheets():
        if not sheet.row_data_fh_closed:
            sheet.row_data_fh.close()


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


@dataclass
class _Sum:
    """Units of 1e-10, None where nothing has a price, and how many calls are not whole in them."""

    units: int | None = None
    unknown: int = 0

    def add(self, units: int | None, unknown: int) -> None:
        if units is not None:
            self.units = units + (self.units or 0)
        self.unknown += unknown

    @property
    def rank(self) -> tuple[bool, int]:
        return self.units is None, -(self.units or 0)


class _Groups:
    """Amounts by model, by day and so on, for the summary: each currency by itself. Without an
    amount or a currency there are none."""

    def __init__(self, table: Exported, days: tzinfo) -> None:
        self.days = days
        self._money = _amount(table)
        self.name = "cost"
        """What is added up, where it is not what calls cost."""
        if self._money is not None and table.columns[self._money].name not in _COSTS:
            self.name = table.columns[self._money].name
        self._currency, self._time = table.place_of("currency"), table.place_of("timestamp")
        names = _dimensions(table) if table.title == GROUPS else _BY
        self._by = {name: place for name in names if (place := table.place_of(name)) is not None}
        self._status = status_of(table)
        counts = (table.place_of(name) for name in UNKNOWN.values())
        self._counts = [place for place in counts if place is not None]
        self.sums: dict[tuple[str, str], dict[str, _Sum]] = {}
        """By what and in which currency; the sum of each."""

    def add(self, row: Sequence[Any]) -> None:
        if self._money is None or self._currency is None:
            return
        amount, currency, unknown = row[self._money], row[self._currency], self._unknown(row)
        for name, place in self._by.items():
            self._count(name, currency, str(row[place] or ""), amount, unknown)
        if self._time is not None:
            day = from_micros(row[self._time]).astimezone(self.days).date().isoformat()
            self._count("day", currency, day, amount, unknown)

    def _unknown(self, row: Sequence[Any]) -> int:
        if self._status is not None:
            return int(row[self._status] in UNKNOWN)
        return sum(row[place] or 0 for place in self._counts)

    def _count(self, name: str, currency: str, key: str, amount: int | None, unknown: int) -> None:
        sums = self.sums.setdefault((name, currency), {})
        sums.setdefault(key, _Sum()).add(amount, unknown)

    def shown(self) -> Iterator[tuple[str, str, str, list[tuple[str, _Sum]]]]:
        """By what, in which currency, the title, and the sums: days in their order, else the
        largest first; of more than can be looked at the rest are one."""
        names = [*_BY, *(name for name in self._by if name not in _BY)]
        label = self.name.capitalize()
        for name, currency in sorted(self.sums, key=lambda each: (names.index(each[0]), each[1])):
            sums = self.sums[name, currency].items()
            if name in GRAINS:
                title = f"{label} by {name} ({self.days}), {currency}"
                yield name, currency, title, sorted(sums, key=itemgetter(0))
                continue
            title = f"{label} by {_WORDS.get(name, name)}, {currency}"
            order = sorted(sums, key=lambda item: (item[1].rank, item[0]))
            rest, others = order[_MOST:], _Sum()
            for _, each in rest:
                others.add(each.units, each.unknown)
            last = [(f"{len(rest)} others", others)] if rest else []
            yield name, currency, title, order[:_MOST] + last


def _dimensions(table: Exported) -> list[str]:
    """What the rows of groups are grouped by."""
    texts = (column.name for column in table.columns if column.kind is Kind.TEXT)
    return [name for name in texts if name != "currency"]


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
        usual = 20 if column.kind in (Kind.TEXT, Kind.INSTANT) else 14
        width = _WIDTHS.get(column.name, max(usual, len(column.name) + 2))
        sheet.set_column(place, place, width)
    for place, column in enumerate(table.columns):
        sheet.write_string(0, place, column.name, bold)
    sheet.freeze_panes(1, 0)
    sheet.repeat_rows(0)
    _for_paper(sheet, wide=-(-len(table.columns) // _PAGE_COLUMNS))
    return sheet


def _for_paper(sheet: Any, wide: int = 1) -> None:
    """A4 on its side, so many pages wide, with page numbers: for who prints it."""
    sheet.set_paper(9)
    sheet.set_landscape()
    sheet.fit_to_pages(wide, 0)
    sheet.set_footer("&L&A&R&P / &N")


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
    exact = book.add_format({"indent": 1})
    _for_paper(sheet)
    sheet.set_column(0, 0, 42)
    sheet.set_column(1, 9, 18)
    sheet.write_string(0, 0, f"LLM Cost Ops: {table.title}", head)
    sheet.write_string(1, 0, "Rows")
    sheet.write_number(1, 1, totals.rows_written, count)
    at = 3
    for sums in totals.wire():
        currency = str(sums.pop("currency", ""))
        for name, value in sums.items():
            amount = isinstance(value, Decimal)
            sheet.write_string(at, 0, f"{name} {currency}".strip())
            if value is None:
                sheet.write_string(at, 1, "not known")
            else:
                sheet.write_number(at, 1, value, money if amount else count)
            if isinstance(value, Decimal):
                sheet.write_string(at, 2, plain(value), exact)
            elif isinstance(value, int) and value >= _EXACT:
                sheet.write_string(at, 2, str(value), exact)
            at += 1
        at += 1
    several = len({currency for _, currency in groups.sums}) > 1
    for number, (name, currency, title, sums) in enumerate(groups.shown()):
        table_name = f"by_{name}" if name.isidentifier() and not several else f"group_{number + 1}"
        at = _group(book, sheet, at, (table_name, name, groups.name), title, currency, sums, money)


def _group(
    book: Any,
    sheet: Any,
    at: int,
    names: tuple[str, str, str],
    title: str,
    currency: str,
    sums: Sequence[tuple[str, _Sum]],
    money: Any,
) -> int:
    """A table of the sums and a chart beside it; where what follows may begin. `names` are those of
    the table, of its groups and of its amounts."""
    table_name, name, amount = names
    by_time = name in GRAINS
    bold = book.add_format({"bold": True, "bottom": 1})
    right = book.add_format({"bold": True, "bottom": 1, "align": "right"})
    count = book.add_format({"num_format": _FORMATS[Kind.COUNT]})
    headers = (name, "currency", amount, "not (fully) priced")
    columns: list[dict[str, Any]] = [{"header": each, "header_format": bold} for each in headers]
    columns[2] |= {"format": money, "header_format": right}
    columns[3] |= {"format": count, "header_format": right}
    last = at + len(sums)
    sheet.add_table(
        at, 0, last, 3, {"name": table_name, "columns": columns, "style": "Table Style Light 9"}
    )
    for number, (key, found) in enumerate(sums, start=at + 1):
        sheet.write_string(number, 0, _bounded(key))
        sheet.write_string(number, 1, currency)
        if found.units is not None:
            sheet.write_number(number, 2, from_e10(found.units), money)
        sheet.write_number(number, 3, found.unknown, count)
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
        chart.set_y_axis({"reverse": True, "interval_unit": 1, "num_font": {"size": 8}})
    sheet.insert_chart(at, 5, chart, {"x_scale": 1.4, "y_scale": 1.1 if by_time else 1.4})
    return max(last, at + (17 if by_time else 22)) + 2
