"""Markdown: tables that hold whatever their cells say."""

from __future__ import annotations

import re

from llm_cost_ops.server.reports.drawing import draw
from llm_cost_ops.server.reports.drawing.marked import escaped
from tests.server.reports.drawing import documents


def test_every_row_has_as_many_cells_as_its_head() -> None:
    for document in (documents.full(), documents.hostile()):
        width = None
        for line in draw(document, "markdown").decode().splitlines():
            if not line.startswith("| "):
                width = None
                continue
            cells = len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) - 1
            assert width in (None, cells), line[:100]
            width = cells


def test_figures_are_there() -> None:
    text = draw(documents.full(), "markdown").decode()
    assert "# Cost summary" in text
    assert "* Total cost: **1,234,567.89 USD** (+12.3 % vs. compared period)" in text
    assert "| mistral-large-2411 | anthropic | 57,142.12 | 142,857 | 3.4 % |" in text
    assert "| **Total** |  | **1,691,139.19** | **4,278,532** |  |" in text
    assert "| Overview | Total cost | USD | 1,234,567.8912345678 |" in text
    assert "Monthly cost rises from January to December." in text
    assert "| 2026-10-11 | unknown | unknown | unknown | unknown |" in text


def test_signs_of_markup_are_escaped() -> None:
    assert escaped("*a* _b_ [c](d) <e> `f` |g| #h \\ $i$") == (
        r"\*a\* \_b\_ \[c\]\(d\) \<e\> \`f\` \|g\| \#h \\ \$i\$"
    )
    assert escaped("- item") == r"\- item"
    assert escaped("1. item") == r"1\. item"
    assert escaped("-12.50") == "-12.50"
    assert (
        escaped("www.example.com and user@example.com") == r"www\.example.com and user\@example.com"
    )
    assert escaped("https://example.com") == r"https\://example.com"
    assert escaped("a\nb") == "a b"


def test_a_hostile_text_makes_no_markup() -> None:
    text = draw(documents.hostile(), "markdown").decode()
    assert "<script>" not in text.replace(r"\<script\>", "")
    assert "](" not in text


def test_an_empty_report_says_so() -> None:
    text = draw(documents.empty(), "markdown").decode()
    assert "Nothing to draw: no data in this period." in text
    assert "No rows in this period." in text
    assert "Nothing to report in this period." in text
