"""PDF: what a reader, a screen reader and a printer find in it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pypdfium2
import pytest
from pypdf import PdfReader

from llm_cost_ops.core.report.document import Column, Document, Section, Table, Text
from llm_cost_ops.server.reports.drawing import draw, pages
from llm_cost_ops.server.reports.drawing.layout import texts
from llm_cost_ops.server.reports.drawing.values import zone_of
from tests.server.reports.drawing import documents


class Read:
    """A file as a reader of PDF has it: the text of each page, and its objects."""

    def __init__(self, document: Document) -> None:
        self.raw = draw(document, "pdf")
        with pypdfium2.PdfDocument(self.raw) as opened:
            self.pages = [
                page.get_textpage().get_text_range().replace("\r\n", "\n") for page in opened
            ]
        self.text = "\n".join(self.pages)
        self.objects = PdfReader(io.BytesIO(self.raw), strict=True)
        self.root: Any = self.objects.trailer["/Root"]

    def kinds(self) -> list[str]:
        """Kinds of the structure elements, in reading order."""
        return [str(each["/S"]) for each in elements(self.root["/StructTreeRoot"])]

    def claims_pdf_ua(self) -> bool:
        return b"pdfuaid:part" in self.root["/Metadata"].get_data()


@pytest.fixture(scope="module")
def full() -> Read:
    return Read(documents.full())


def elements(node: Any) -> Iterator[Any]:
    """The structure elements below a node, in reading order."""
    kids = node.get("/K", [])
    for kid in kids if isinstance(kids, list) else [kids]:
        found = kid.get_object()
        if isinstance(found, dict) and "/S" in found:
            yield found
            yield from elements(found)


def test_every_figure_of_the_document_is_in_its_text(full: Read) -> None:
    found = full.text
    for section in documents.full().sections:
        assert section.title in found
        for block in section.blocks:
            if isinstance(block, Table):
                rows, totals = texts(block, zone_of("Europe/Berlin"))
                for cell in (cell for row in [*rows, totals or []] for cell in row if cell):
                    assert cell in found
    for figure in (
        "1,234,567.89",
        "10,482,113",
        "117.78",
        "31.7 %",
        "+12.3 %",
        "-2.1 %",
        "unknown",
    ):
        assert figure in found


def test_the_appendix_has_totals_to_the_tenth_decimal_and_the_requests(full: Read) -> None:
    found = full.text
    for exact in ("1,234,567.8912345678", "1,691,139.1913580561", "21,000.0000000156"):
        assert exact in found
    assert documents.QUERY.replace(" ", "") in re.sub(r"\s", "", found)
    assert "2026-11-05 01:00 CET" in found  # in the report's zone


def test_contents_name_the_page_on_which_each_section_begins(full: Read) -> None:
    contents = full.pages[0]
    listed = {
        section.title: int(match[1])
        for section in documents.full().sections
        if (match := re.search(rf"{section.title}\s+(\d+)", contents.split("Contents")[1]))
    }
    assert len(listed) == len(documents.full().sections)
    outlined = {
        str(each.title): each for each in full.objects.outline if not isinstance(each, list)
    }
    for title, page in listed.items():
        lines = full.pages[page - 1].splitlines()
        assert title in [line.strip() for line in lines]
        assert full.objects.get_destination_page_number(outlined[title]) == page - 1


def test_pages_are_numbered_and_named(full: Read) -> None:
    count = len(full.pages)
    for number, page in enumerate(full.pages, start=1):
        found = page
        assert (f"Page {number} of {count}" in found) == (number > 1)
        assert "Northwind Traders" in found


def test_a_screen_reader_finds_language_title_headings_tables_and_pictures_in_words(
    full: Read,
) -> None:
    root = full.root
    assert root["/Lang"] == "en"
    assert root["/MarkInfo"]["/Marked"]
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert full.objects.metadata is not None
    assert full.objects.metadata.title == "Cost summary"
    assert full.claims_pdf_ua()
    tree = full.kinds()
    for kind in ("/H1", "/H2", "/P", "/TOC", "/Table", "/THead", "/TR", "/TH", "/TD", "/Figure"):
        assert kind in tree
    pictures = [each for each in elements(root["/StructTreeRoot"]) if each["/S"] == "/Figure"]
    said = {str(each.get("/Alt")) for each in pictures}
    assert "Monthly cost rises from January to December." in said
    assert "None" not in said


def test_heads_of_a_long_table_are_repeated_and_read_once() -> None:
    rows = tuple((f"model-{at}", documents.money(at)) for at in range(300))
    table = Table("Models", (Column("Model name"), Column("Cost", "money", "USD")), rows)
    reader = Read(documents.document(Section("All", (table,))))
    with_rows = [page for page in reader.pages if "model-" in page]
    assert len(with_rows) > 3
    assert all("Model name" in page for page in with_rows)
    tree = reader.kinds()
    assert tree.count("/TH") == 2
    assert tree.count("/TR") == 301


def test_a_table_too_wide_for_the_page_is_drawn_in_parts_beside_its_first_column() -> None:
    columns = (Column("Team"), *(Column(f"C{at}", "money", "USD", places=10) for at in range(14)))
    row = ("Support", *(documents.money(1_000_000 + at) for at in range(14)))
    found = Read(documents.document(Section("Wide", (Table("Wide", columns, (row,)),)))).text
    parts = re.findall(r"Part (\d) of (\d)", found)
    assert len(parts) > 1
    assert len(parts) == int(parts[0][1])
    assert found.count("Support") == len(parts)
    for at in range(14):
        assert f"1,000,0{at:02}.0000000000" in found


def test_the_same_document_is_the_same_file(full: Read) -> None:
    assert draw(documents.full(), "pdf") == full.raw
    assert b"(D:20261105000000Z)" in full.raw  # the time at which it was made, not drawn
    assert draw(replace(documents.full(), made_at=0), "pdf") != full.raw


def test_an_empty_report_says_so() -> None:
    found = Read(documents.empty()).text
    assert "Nothing to draw: no data in this period." in found
    assert "No rows in this period." in found
    assert "Nothing to report in this period." in found


def test_an_executive_summary_has_one_page_before_its_appendix() -> None:
    reader = Read(documents.executive())
    assert "Appendix" not in reader.pages[0]
    assert "Appendix" in reader.pages[1]
    assert "Contents" not in reader.text


def test_texts_of_others_are_only_text() -> None:
    """Markup, formulas and commands of the template's own language are drawn as they are."""
    reader = Read(documents.hostile())
    found = reader.text
    assert "<script>alert(1)</script>" in found
    assert "{{7*7}} #panic() $x$ *bold*" in found
    assert "… [cut]" in found
    assert b"/JavaScript" not in reader.raw
    assert b"/URI" not in reader.raw


def test_characters_that_no_font_has_are_named_and_the_file_claims_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    typst = pages._library()
    bare = typst.Fonts(include_system_fonts=False, include_embedded_fonts=True)
    monkeypatch.setattr(pages, "_fonts", lambda system: bare)
    reader = Read(documents.document(Section("Names", (Text("模型 and שלום"),))))
    assert not reader.claims_pdf_ua()
    assert "them: U+578B, U+6A21." in reader.text  # not the Hebrew ones, which Typst brings
    assert "/P" in reader.kinds()


@pytest.mark.parametrize(("worded", "most"), [(True, 2), (False, 1)])
def test_many_characters_without_a_font_cost_no_compilation_each(
    worded: bool, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    typst = pages._library()
    bare = typst.Fonts(include_system_fonts=False, include_embedded_fonts=True)
    many = [chr(code) for code in range(0x4E00, 0x4E00 + 400)]
    complain, asked = pages._complaint, list[int]()

    def counted(typst: Any, fonts: Any, characters: Sequence[str]) -> str | None:
        asked.append(len(characters))
        found = complain(typst, fonts, characters)
        return found if worded or found is None else "in other words"

    monkeypatch.setattr(pages, "_complaint", counted)
    some = ["\u05d0", "\u0301"]  # which the fonts have
    found = pages._lacking(typst, bare, [*some, *many])
    assert set(found) - set(some) == set(many)
    assert len(asked) <= most
    asked.clear()
    assert pages._lacking(typst, bare, [*some, *many[:3]]) == many[:3]
    assert len(asked) <= 10


def test_what_only_the_setting_finds_is_drawn_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = pages._library().Fonts(include_system_fonts=False, include_embedded_fonts=True)
    monkeypatch.setattr(pages, "_fonts_for", lambda typst, characters: (bare, []))
    reader = Read(documents.document(Section("Names", (Text("模型"),))))
    assert not reader.claims_pdf_ua()
    assert "boxes are drawn for them." in reader.text


def test_scripts_that_the_fonts_have_are_drawn_everywhere() -> None:
    text = "Ελλάδα Україна שלום مرحبا Łódź €"
    reader = Read(documents.document(Section("Names", (Text(text),))))
    assert reader.claims_pdf_ua()
    assert "No font" not in reader.text


def test_fonts_are_in_the_file(full: Read) -> None:
    pages_of_file: list[Any] = list(full.objects.pages)
    fonts = [
        font.get_object()["/DescendantFonts"][0].get_object()["/FontDescriptor"]
        for page in pages_of_file
        for font in page["/Resources"]["/Font"].values()
    ]
    assert fonts
    assert all({"/FontFile2", "/FontFile3"} & set(each) for each in fonts)


def test_words_beside_many_numbers_stay_on_the_page() -> None:
    """A status or an outcome as the last column, beside heads and ids that need all the room."""
    heads = ("Limit", "Spent (at least)", "Reserved", "Variance", "Used", "Unpriced calls")
    numbers = tuple(Column(head, "money" if head != "Used" else "ratio", "USD") for head in heads)
    columns = (Column("Budget"), Column("Period"), *numbers, Column("Status"))
    cells = (10**10, 10**10, 0, None, None, 20_000_000_000)
    row = ("Support assistants", "2026-11-01 to 2026-11-30", *cells, "exceeded")
    ids = ("2026-11-28 12:28 UTC", f"key_{'Z' * 26}", "report.downloaded", f"report rpt_{'M' * 26}")
    audit = Table("Log", tuple(map(Column, ("When", "Who", "Action", "Of what", "Outcome"))),
                  ((*ids, "success"),) * 3)  # fmt: skip
    variance = Table("Variance", columns, (row,) * 4)
    made = documents.document(Section("Budgets", (variance, audit)))
    margin = 0.0
    with pypdfium2.PdfDocument(draw(made, "pdf")) as opened:
        for page in opened:
            text, width = page.get_textpage(), page.get_width()
            for at in range(text.count_chars()):
                left, _, right, _ = text.get_charbox(at)
                margin = max(margin, right) if right > left else margin
            assert margin <= width - 42
