"""Cells as texts: exact, and never a zero that is none."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_cost_ops.core.money import from_e10
from llm_cost_ops.core.report.document import Cell, Column, Kind, Table
from llm_cost_ops.server.reports.drawing.layout import heading, texts
from llm_cost_ops.server.reports.drawing.values import (
    change_text,
    clean,
    compact,
    cut,
    places_of,
    shown,
    zone_of,
)
from tests.server.reports.drawing.documents import E10, MADE_AT


@pytest.mark.parametrize(
    ("kind", "currency", "value", "text"),
    [
        ("money", "USD", 12_345_678 * E10 + 5, "12,345,678.00"),
        ("money", "USD", 0, "0.00"),
        ("money", "USD", -15 * E10 // 10, "-1.50"),
        ("money", "USD", 10**9, "0.10"),
        ("money", "USD", 10**9 - 1, "0.1000"),
        ("money", "USD", 129_484_135, "0.0129"),
        ("money", "USD", 12_345_678, "0.0012"),
        ("money", "USD", 9_999_999, "0.001000"),
        ("money", "USD", 10**4, "0.000001"),
        ("money", "USD", 4_999, "<0.000001"),
        ("money", "USD", 5_000, "<0.000001"),
        ("money", "USD", -5_000, "> -0.000001"),
        ("money", "USD", 5_001, "0.000001"),
        ("money", "USD", -1, "> -0.000001"),
        ("money", "JPY", 1_500 * E10, "1,500"),
        ("money", "KWD", 15 * E10 // 10, "1.500"),
        ("money", "USD", None, "unknown"),
        ("count", None, 1_234_567, "1,234,567"),
        ("count", None, None, "unknown"),
        ("number", None, Decimal("1234.5000"), "1,234.5"),
        ("number", None, Decimal("-0.0"), "0"),
        ("ratio", None, Decimal("0.1234"), "12.3 %"),
        ("ratio", None, Decimal(0), "0.0 %"),
        ("ratio", None, Decimal("0.0001"), "<0.1 %"),
        ("ratio", None, Decimal("-0.0005"), "> -0.1 %"),
        ("date", None, date(2026, 3, 29), "2026-03-29"),
        ("instant", None, MADE_AT, "2026-11-05 01:00 CET"),
        ("text", None, "a  b\n", "a b"),
        ("text", None, None, "unknown"),
    ],
)
def test_a_cell_as_text(kind: Kind, currency: str | None, value: Cell, text: str) -> None:
    assert shown(kind, value, currency=currency, zone=zone_of("Europe/Berlin")) == text


@given(st.integers(-(10**18), 10**18))
def test_ten_places_are_the_amount_itself(units: int) -> None:
    text = shown("money", units, currency="USD", places=10)
    assert Decimal(text.replace(",", "")) == from_e10(units)


@example([5_000])  # exactly half of the last place, which half-even rounds to zero
@example([-5_000])
@given(st.lists(st.integers(-(10**14), 10**14), min_size=1))
def test_no_amount_is_shown_as_zero_unless_it_is(units: list[int]) -> None:
    places = places_of("money", "USD", units)
    for each in units:
        text = shown("money", each, currency="USD", places=places)
        digits = text.replace(",", "").lstrip("<>- ")
        assert (Decimal(digits) == 0) == (each == 0)


def test_a_column_has_the_places_that_its_smallest_amount_needs() -> None:
    columns = (Column("Model"), Column("Cost", "money", "USD"))
    rows = (("a", 5 * E10), ("b", 12_345_678), ("c", None))
    lines, totals = texts(Table("T", columns, rows, ("Total", None)), zone_of("UTC"))
    assert lines == [["a", "5.0000"], ["b", "0.0012"], ["c", None]]
    assert totals == ["Total", None]


def test_a_column_may_say_its_places_and_names_its_currency() -> None:
    assert heading(Column("Cost", "money", "EUR")) == "Cost (EUR)"
    assert heading(Column("Cost in EUR", "money", "EUR")) == "Cost in EUR"
    assert heading(Column("Calls", "count")) == "Calls"
    table = Table("T", (Column("Cost", "money", "EUR", places=10),), ((E10,),))
    assert texts(table, zone_of("UTC"))[0] == [["1.0000000000"]]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0", "0"), ("999", "999"), ("1000", "1k"), ("1234", "1.23k"), ("-45600000", "-45.6M"),
        ("1e9", "1G"), ("2.5e12", "2.5T"), ("0.00123456", "0.00123"), ("1e-12", "1.0E-12"),
    ],
)  # fmt: skip
def test_numbers_on_axes(number: str, text: str) -> None:
    assert compact(Decimal(number)) == text


def test_changes_have_their_sign() -> None:
    assert change_text(Decimal("0.1234")) == "+12.3 %"
    assert change_text(Decimal("-0.5")) == "-50.0 %"
    assert change_text(Decimal(0)) == "0.0 %"
    assert change_text(None) is None


def test_texts_are_made_harmless_and_stay_one_line() -> None:
    assert clean("a\x00b\x1bc\u202ed\ud800e\ufffef") == "a�b�c�d�e�f"
    assert clean(" one\r\n\ttwo\u2003three ") == "one two three"
    assert clean("😀 模型 שלום é") == "😀 模型 שלום é"
    assert cut("x" * 600) == "x" * 600
    assert cut("x" * 601) == "x" * 593 + "… [cut]"


def test_an_unknown_zone_is_utc() -> None:
    assert shown("instant", MADE_AT, zone=zone_of("Mars/Olympus")) == "2026-11-05 00:00 UTC"
    assert shown("instant", MADE_AT, zone=zone_of("../etc/passwd")) == "2026-11-05 00:00 UTC"
