"""Output: exact amounts in every format, aligned tables, and text that cannot steer a terminal."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from llm_cost_ops.cli import tables
from llm_cost_ops.cli.output import Column, Listing, cell, pretty, show_object, show_rows, yaml_text
from llm_cost_ops.cli.profile import Output, Profile
from llm_cost_ops.cli.tables import amount, money, safe, shown, time_text
from llm_cost_ops.cli.totals import total_lines
from llm_cost_ops.core.jsontext import dumps

AMOUNTS = st.decimals(
    min_value=-(10**17), max_value=10**17, allow_nan=False, allow_infinity=False, places=10
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | AMOUNTS | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


@given(VALUES)
def test_indented_json_is_the_same_document(value: Any) -> None:
    assert exact(pretty(value)) == exact(dumps(value))


@given(AMOUNTS)
def test_no_format_loses_a_digit(value: Decimal) -> None:
    assert Decimal(cell(value)) == value
    assert Decimal(amount(value).replace(",", "")) == value
    assert exact(pretty({"cost": value})) == {"cost": value}
    line = yaml_text({"cost": value}).strip()
    assert Decimal(line.removeprefix("cost: ")) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0.00"),
        ("12.5", "12.50"),
        ("0.0012345678", "0.0012345678"),
        ("1234567.1", "1,234,567.10"),
        ("-1234.5", "-1,234.50"),
        ("-0.5", "-0.50"),
        ("1E+3", "1,000.00"),
    ],
)
def test_amounts_have_every_digit_that_means_something(value: str, text: str) -> None:
    assert amount(Decimal(value)) == text


def test_unknown_is_a_word_and_not_zero() -> None:
    assert money(None) == "unpriced"
    assert money(Decimal(0)) == "0.00"


def test_what_does_not_print_is_replaced() -> None:
    assert safe("a\x1b[31mb\u202ec\n") == "a\N{REPLACEMENT CHARACTER}[31mb" + (
        "\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}"
    )
    assert safe("Größe 模型") == "Größe 模型"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2026-11-05T12:00:00.123Z", "2026-11-05 12:00:00"),
        ("2026-11-05", "2026-11-05"),
        (None, ""),
    ],
)
def test_times_are_shown_to_the_second(value: Any, text: str) -> None:
    assert time_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (False, "no"),
        (1234567, "1,234,567"),
        (["a", "b"], "a, b"),
        ([1, 2], "[1,2]"),
        ({"x": 1}, "x 1"),
        (None, ""),
    ],
)
def test_single_values(value: Any, text: str) -> None:
    assert shown(value) == text


class TestRows:
    ROWS = (
        {"name": "first", "cost": Decimal("0.0000000001"), "tags": ["a,b", 'say "x"']},
        {"name": "second", "cost": None, "note": "only here"},
        {"name": "=1+1", "cost": Decimal("12.5"), "tags": []},
    )
    LISTING = Listing((Column("name"), Column("cost", kind="money")), tail={"has_more": False})

    def printed(self, capsys: pytest.CaptureFixture[str], output: Output) -> str:
        show_rows(Profile(output=output), self.ROWS, self.LISTING)
        return capsys.readouterr().out

    def test_json_is_the_list_answer(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert exact(self.printed(capsys, Output.JSON)) == {
            "data": [dict(row) for row in self.ROWS],
            "has_more": False,
        }

    def test_json_lines_are_the_rows(self, capsys: pytest.CaptureFixture[str]) -> None:
        lines = self.printed(capsys, Output.JSONL).splitlines()
        assert [exact(line) for line in lines] == list(self.ROWS)

    def test_csv_has_the_fields_of_all_rows(self, capsys: pytest.CaptureFixture[str]) -> None:
        rows = list(csv.DictReader(io.StringIO(self.printed(capsys, Output.CSV))))
        assert list(rows[0]) == ["name", "cost", "tags", "note"]
        assert [row["cost"] for row in rows] == ["0.0000000001", "", "12.5"]
        assert exact(rows[0]["tags"]) == ["a,b", 'say "x"']

    def test_csv_with_named_fields(self, capsys: pytest.CaptureFixture[str]) -> None:
        show_rows(Profile(output=Output.CSV), self.ROWS, Listing((), ("cost", "name")))
        assert capsys.readouterr().out == ("cost,name\n0.0000000001,first\n,second\n12.5,=1+1\n")

    def test_yaml_reads_back(self, capsys: pytest.CaptureFixture[str]) -> None:
        read = yaml.load(self.printed(capsys, Output.YAML), yaml.BaseLoader)  # noqa: S506
        assert [row["cost"] for row in read] == ["0.0000000001", "null", "12.5"]

    def test_a_table_aligns_amounts_at_their_points(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lines = self.printed(capsys, Output.TABLE).splitlines()
        assert [line.split() for line in lines[2:]] == [
            ["first", "0.0000000001"],
            ["second", "unpriced"],
            ["=1+1", "12.5000000000"],
        ]
        assert lines[2].rindex(".") == lines[4].rindex(".")

    def test_a_long_cell_is_not_cut_where_there_is_no_screen(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        long = "x" * 500
        show_rows(Profile(), [{"name": long}], Listing((Column("name"),)))
        assert long in capsys.readouterr().out

    @pytest.mark.parametrize("width", [1, 10, 25, 40])
    def test_no_column_vanishes_on_a_narrow_screen(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
    ) -> None:
        monkeypatch.setattr(tables, "console_of", lambda _: Console(width=width))
        columns = (Column("provider"), Column("model"), Column("cost", kind="money"))
        row = {"provider": "anthropic", "model": "claude-sonnet-4-5", "cost": Decimal("0.8201")}
        show_rows(Profile(), [row], Listing(columns))
        head, _, *lines = capsys.readouterr().out.splitlines()
        assert head.split() == ["provider", "model", "cost"]
        second, third = head.index("model"), len(head) - len("0.8201")
        assert "".join(line[:second].strip() for line in lines) == "anthropic"
        assert "".join(line[second:third].strip() for line in lines) == "claude-sonnet-4-5"
        assert lines[0].endswith("0.8201")

    def test_columns_without_a_value_are_left_out(self, capsys: pytest.CaptureFixture[str]) -> None:
        listing = Listing((Column("name"), Column("note", optional=True)))
        show_rows(Profile(), [{"name": "x", "note": None}], listing)
        assert "note" not in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("output", "text"),
        [
            (Output.TABLE, "Nothing found.\n"),
            (Output.JSON, '{\n  "data": []\n}\n'),
            (Output.JSONL, ""),
            (Output.CSV, ""),
            (Output.YAML, "[]\n"),
        ],
    )
    def test_no_rows(self, capsys: pytest.CaptureFixture[str], output: Output, text: str) -> None:
        show_rows(Profile(output=output), [], Listing((Column("name"),)))
        assert capsys.readouterr().out == text


@pytest.mark.parametrize("output", list(Output))
def test_one_object_in_every_format(capsys: pytest.CaptureFixture[str], output: Output) -> None:
    show_object(Profile(output=output), {"name": "x", "cost": Decimal("0.0012345678"), "no": None})
    assert "0.0012345678" in capsys.readouterr().out


class TestTotals:
    def test_currencies_are_never_added_up(self) -> None:
        rows = [
            {"total_cost": Decimal("1.5"), "currency": "USD"},
            {"total_cost": Decimal("2"), "currency": "EUR"},
            {"total_cost": Decimal("0.25"), "currency": "USD"},
        ]
        assert list(total_lines(rows)) == ["Total EUR 2.00", "Total USD 1.75"]

    def test_what_has_no_price_is_counted(self) -> None:
        rows = [
            {"total_cost": None, "currency": "USD"},
            {"total_cost": Decimal(1), "currency": "USD", "cost_status": "partially_priced"},
        ]
        assert list(total_lines(rows)) == [
            "Total USD 1.00",
            "1 unpriced, not in the total",
            "1 partially priced: some of what they used has no price",
        ]

    def test_groups_say_how_many_they_hold(self) -> None:
        rows = [{"total_cost": None, "currency": "USD", "unpriced_count": 3, "requests": 3}]
        assert list(total_lines(rows, counted="requests")) == ["3 unpriced, not in the total"]


def test_colour_is_off_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Profile().color
    assert not Profile(no_color=True).color
    monkeypatch.setenv("NO_COLOR", "1")
    assert not Profile().color
