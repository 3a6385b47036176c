"""Excel workbooks, read as the XML that they are."""

from __future__ import annotations

from decimal import Decimal
from xml.etree import ElementTree

import pytest

from llm_cost_ops.core.report.document import Column, Section, Table
from llm_cost_ops.server.reports.drawing import draw
from tests.server.reports.drawing import documents
from tests.support.workbooks import MAIN, Book


@pytest.fixture(scope="module")
def full() -> Book:
    return Book(draw(documents.full(), "xlsx"))


def test_there_is_a_sheet_for_each_section(full: Book) -> None:
    titles = [section.title for section in documents.full().sections]
    assert full.names == ["About", *titles, "Appendix how to check these fig"]
    about = set(full.sheets["About"].values())
    assert {"Cost summary", "Northwind Traders", "2026-11-05 01:00 CET"} <= about


def test_numbers_are_numbers_and_exact_digits_stand_beside(full: Book) -> None:
    row = full.row("Models", "mistral-large-2411")
    assert row[:2] == ["mistral-large-2411", "anthropic"]
    assert row[2] == Decimal("57142.1234567897")
    assert row[3] == 142_857
    assert row[5] == "57142.1234567897"
    total = full.row("Models", "Total")
    assert total[5] == "1691139.1913580561"
    assert total[4] == ""  # shares have no total
    exact = full.row("Overview", "Total cost")
    assert exact[2:5] == ["USD", "+12.3 %", "1234567.8912345678"]
    assert full.row("Overview", "Unpriced calls")[1] == "unknown"


def test_a_table_says_unknown_and_a_chart_has_a_gap(full: Book) -> None:
    """Excel draws any text among the values of a chart as zero."""
    assert full.row("Models", "accounts/fireworks/models/llama-v39-instruct")[2] == "unknown"
    assert full.row("Outlook", "2026-10-11")[:3] == ["2026-10-11", None, None]
    assert full.row("Outlook", "Legal")[:3] == ["Legal", None, Decimal(1000)]
    assert "Hatched cells are not known." in full.sheets["Outlook"].values()
    chart = full.parts.read("xl/charts/chart3.xml").decode()
    assert "dispBlanksAs" not in chart  # gaps are the rule


def test_charts_are_native_and_read_the_cells_beside_them(full: Book) -> None:
    charts = [name for name in full.parts.namelist() if name.startswith("xl/charts/chart")]
    assert len(charts) == 4  # the heat map is a scale of colours in its cells
    stacked = full.parts.read("xl/charts/chart1.xml").decode()
    assert '<c:grouping val="stacked"/>' in stacked
    assert "Overview!$B$" in stacked
    assert "<conditionalFormatting" in full.parts.read("xl/worksheets/sheet4.xml").decode()
    drawing = full.parts.read("xl/drawings/drawing1.xml").decode()
    assert "Monthly cost rises from January to December." in drawing


def test_dates_and_times_are_dates_and_times(full: Book) -> None:
    cells = full.sheets["Use"]
    first = next(at[1:] for at, value in cells.items() if value == "Price corrected")
    assert cells[f"A{first}"] == 46110  # 2026-03-29
    assert cells[f"B{first}"] == Decimal("46331.04166666666")  # 01:00 in Berlin
    assert cells[f"E{first}"] == -1500


def test_nothing_is_a_formula_or_a_link() -> None:
    book = Book(draw(documents.hostile(), "xlsx"))
    sheets = [name for name in book.parts.namelist() if name.startswith("xl/worksheets/")]
    for name in sheets:
        text = book.parts.read(name).decode()
        assert "<f>" not in text
        assert "<hyperlink" not in text
    assert not [name for name in book.parts.namelist() if "externalLink" in name or "vba" in name]
    texts = [value for cells in book.sheets.values() for value in cells.values()]
    assert '=cmd|"/c calc"!A1' in texts  # a text, as its type says
    assert "x" * 10_000 in texts
    assert "a�reversed� b" in texts


def test_a_text_longer_than_a_cell_says_that_it_was_cut() -> None:
    table = Table("T", (Column("Name"),), (("y" * 32_767,), ("z" * 32_768,)))
    texts = Book(draw(documents.document(Section("S", (table,))), "xlsx")).sheets["S"].values()
    assert "y" * 32_767 in texts
    assert next(each for each in texts if str(each).startswith("z")).endswith("… [cut]")  # type: ignore[union-attr]


def test_names_of_sheets_are_allowed_and_differ() -> None:
    titles = ("A/B:C", "a b c", "About", "x" * 40, "x" * 41, "'", "History", "[]*?")
    book = Book(draw(documents.document(*(Section(title, ()) for title in titles)), "xlsx"))
    assert len({name.lower() for name in book.names}) == len(book.names)
    assert all(0 < len(name) <= 31 for name in book.names)
    assert book.names[1:4] == ["A B C", "a b c 2", "About 2"]


def test_an_empty_report_says_so() -> None:
    texts = {
        value
        for cells in Book(draw(documents.empty(), "xlsx")).sheets.values()
        for value in cells.values()
    }
    assert {
        "Nothing to draw: no data in this period.",
        "No rows in this period.",
        "Nothing to report in this period.",
    } <= texts


def test_the_same_document_is_the_same_file(full: Book) -> None:
    assert draw(documents.full(), "xlsx") == full.raw
    assert b"2026-11-05T00:00:00Z" in full.parts.read("docProps/core.xml")


def test_texts_stand_apart_from_the_numbers_before_them() -> None:
    columns = (Column("Cost", "money", "USD"), Column("Status"))
    table = Table("T", columns, ((10**10, "ok"),))
    book = Book(draw(documents.document(Section("All", (table,))), "xlsx"))
    styles = ElementTree.fromstring(book.parts.read("xl/styles.xml"))  # noqa: S314
    aligned = [each.attrib for each in styles.iter(f"{MAIN}alignment")]
    texts = [each for each in aligned if each.get("wrapText") and "horizontal" in each]
    assert {each.get("indent") for each in texts if each["horizontal"] == "left"} == {"1"}
