"""The appendix: what lets a reader check the figures."""

from __future__ import annotations

from llm_cost_ops.core.report.document import (
    Chart,
    Column,
    Figure,
    Figures,
    Section,
    Series,
    Table,
    Text,
)
from llm_cost_ops.server.reports.drawing.appendix import TITLE, with_appendix
from tests.server.reports.drawing import documents
from tests.server.reports.drawing.documents import money

COST = Figure("Total", "money", money(5, 1), "USD", query="GET /a\nGET /b")
TABLE = Table(
    "By model",
    (Column("Model"), Column("Cost", "money", "EUR"), Column("Base cost", "money")),
    (("a", 1, 2),),
    ("Total", 1, None),
)


def tables(section: Section) -> dict[str, Table]:
    return {block.title: block for block in section.blocks if isinstance(block, Table)}


def test_it_has_each_total_and_each_line_of_a_request() -> None:
    section = Section("All", (Figures((COST,)), TABLE, documents.bars(5)))
    *before, last = with_appendix(documents.document(section), charts=True).sections
    assert before == [section]
    assert last.title == TITLE
    found = tables(last)
    assert found["Totals to the tenth decimal"].rows == (
        ("All", "Total", "USD", money(5, 1)),
        ("All", "By model: Cost", "EUR", 1),
    )
    assert found["Requests"].rows == (("All: Total", "GET /a"), ("All: Total", "GET /b"))
    assert "Chart “Models that cost most” in figures" in found


def test_an_appendix_that_is_there_is_extended_and_nothing_said_twice() -> None:
    own = Table("Requests", (Column("Request"),), (("GET /a",), ("GET /b",)))
    document = documents.document(
        Section("All", (Figures((COST,)),)), Section("Appendix: sources", (Text("Why"), own))
    )
    *_, last = with_appendix(document, charts=True).sections
    assert last.title == "Appendix: sources"
    assert len(with_appendix(document, charts=True).sections) == 2
    assert last.blocks[:2] == (Text("Why"), own)
    assert list(tables(last)) == ["Requests", "Totals to the tenth decimal"]


def test_a_chart_whose_names_a_table_of_its_section_has_is_not_repeated() -> None:
    section = Section("Models", (documents.bars(8), documents.model_table(12)))
    *_, last = with_appendix(documents.document(section), charts=True).sections
    assert not [title for title in tables(last) if title.startswith("Chart")]
    *_, last = with_appendix(
        documents.document(Section("Models", (documents.bars(8),))), charts=False
    ).sections
    assert not [title for title in tables(last) if title.startswith("Chart")]


def test_names_of_a_chart_may_be_those_of_several_columns() -> None:
    rows = tuple((f"provider {n}", f"model {n}", money(n)) for n in range(3))
    table = Table("T", (Column("Provider"), Column("Model"), Column("Cost", "money")), rows)
    names = tuple(f"provider {n} / model {n}" for n in range(3))
    chart = Chart("bars", "C", "c", names, (Series("Cost", (money(0), money(1), money(2))),))
    document = documents.document(Section("Models", (chart, table)))
    *_, last = with_appendix(document, charts=True).sections
    assert list(tables(last)) == []


def test_a_document_without_sections_still_says_how_it_was_made() -> None:
    (last,) = with_appendix(documents.document(), charts=True).sections
    assert isinstance(last.blocks[0], Text)
    assert "2026-11-05 01:00 CET" in last.blocks[0].text


def test_the_values_of_a_forecast_are_empty_where_there_is_nothing_to_know() -> None:
    actual, ahead = (1, None, 3, None, None), (None, None, None, 4, None)
    chart = Chart("band", "Cost", "c", ("a", "b", "c", "d", "e"),
                  (Series("actual", actual), Series("forecast", ahead)))  # fmt: skip
    made = with_appendix(documents.document(Section("Outlook", (chart,))), charts=True)
    (found,) = [
        block
        for block in made.sections[-1].blocks
        if isinstance(block, Table) and "in figures" in block.title
    ]
    assert [row[1:] for row in found.rows] == [(1, ""), (None, ""), (3, ""), ("", 4), ("", None)]
