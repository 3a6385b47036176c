"""A document as JSON is the same document when it is read again."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from llm_cost_ops.core.report.document import (
    Chart,
    Column,
    Document,
    Figure,
    Figures,
    Section,
    Series,
    Style,
    Table,
    Text,
)
from llm_cost_ops.core.report.text import from_text, to_text

KINDS = ("text", "count", "money", "number", "ratio", "date", "instant")
ROW = (
    "=1+1",
    3,
    -(10**25) - 1,
    Decimal("0.1"),
    Decimal(5),
    date(2026, 2, 28),
    1_700_000_000_000_000,
)
TABLE = Table(
    "All kinds",
    tuple(Column(kind, kind, *(("USD", 10) if kind == "money" else ())) for kind in KINDS),  # type: ignore[arg-type]
    (ROW, (None,) * len(ROW)),
    ROW,
    "note",
    "GET /api/v1/costs/summary",
)
FIGURES = Figures(
    (
        Figure("Cost", "money", 10**10, "USD", Decimal("-0.25"), "GET /x"),
        Figure("Share", "ratio", Decimal(1)),
        Figure("Unknown", "money", None, "USD"),
    )
)
CHART = Chart(
    "band", "Forecast", "In words", ("a", "b"), (Series("actual", (None, 10**24)),), query="GET /y"
)
RATIOS = Chart("heat", "Heat", "Words", ("a",), (Series("x", (Decimal(1),)),), kind="ratio")
SECTIONS = (Section("One", (Text("Wörter"), FIGURES)), Section("Two", (TABLE, CHART, RATIOS)))


def test_there_and_back() -> None:
    style = Style(b"\x89PNG\x00", "#000000")
    made = Document("Title", "Org", "October", "Asia/Tokyo", "USD", 1, SECTIONS, style, "Sub")
    again = from_text(to_text(made))
    assert again == made
    plain = Document("T", "O", "P", "UTC", "EUR", 0, ())
    assert from_text(to_text(plain)) == plain
    table = again.sections[1].blocks[0]
    assert isinstance(table, Table)
    assert isinstance(table.rows[0][4], Decimal)
