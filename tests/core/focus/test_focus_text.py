"""Values as texts, and a CSV file that reads back to the same."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.focus import text
from llm_cost_ops.core.focus.columns import VERSIONS, FocusError, columns_of
from llm_cost_ops.core.focus.rows import Value, rows_of
from llm_cost_ops.core.focus.text import (
    csv_lines,
    datetime_text,
    decimal_text,
    row_texts,
    value_text,
)
from llm_cost_ops.core.pricing.rate import Line
from tests.support.focus import OCCURRED_HOUR, focus_call

NUMERIC = re.compile(r"^[+-]?([0-9]*[.])?[0-9]+$", re.ASCII)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("5", "5.0"),
        ("0", "0.0"),
        ("-0", "0.0"),
        ("-0E-10", "0.0"),
        ("5.000", "5.0"),
        ("1E+3", "1000.0"),
        ("1E-10", "0.0000000001"),
        ("-12.50", "-12.5"),
        ("100", "100.0"),
        ("12345678901234567890.12345678901234567890", "12345678901234567890.1234567890123456789"),
    ],
)
def test_decimals_have_a_point_and_no_exponent(number: str, text: str) -> None:
    assert decimal_text(Decimal(number)) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12))
def test_every_decimal_reads_back(number: Decimal) -> None:
    text = decimal_text(number)
    assert NUMERIC.fullmatch(text)
    assert Decimal(text) == number


def test_instants_are_to_the_second_in_utc() -> None:
    assert datetime_text(1_795_788_305_999_999) == "2026-11-27T14:05:05Z"
    assert datetime_text(0) == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), ("a", "a"), (Decimal(5), "5.0"), (1_000_000, "1970-01-01T00:00:01Z")],
)
def test_a_value_is_written_by_its_type(value: Value, text: str) -> None:
    assert value_text(value) == text


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_reads_back_value_by_value(version: str) -> None:
    call = focus_call(
        model='gpt "quoted",\r\nline', tags={"=SUM(A1)": "ü,\n"}, organization_name="=1+1",
        lines=(Line("input_tokens", 10**6, Decimal("2.5"), 10**6, Decimal("2.5")),),
    )  # fmt: skip
    rows = rows_of(call)
    lines = list(csv_lines(rows, version))
    assert all(line.endswith("\r\n") for line in lines)
    header, *read = csv.reader(io.StringIO("".join(lines), newline=""))
    columns = columns_of(version)
    assert header == [column.name for column in columns]
    assert read == [row_texts(row, columns) for row in rows]
    values = dict(zip(header, read[0], strict=True))
    assert values["BilledCost"] == "2.5"
    assert values["BillingAccountName"] == "=1+1"
    assert values["InvoiceId"] == ""
    assert values["ChargePeriodStart"] == "2026-11-27T14:00:00Z"
    assert values["Tags"] == '{"=SUM(A1)":"ü,\\n"}'


@given(st.lists(st.text(st.sampled_from('a,";\r\n\t =ü'), max_size=5), min_size=1, max_size=9))
def test_lines_are_those_of_a_csv_writer(names: list[str]) -> None:
    rows = [row for name in names for row in rows_of(focus_call(user=name, tags=(name,)))]
    columns = columns_of("1.2")
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(column.name for column in columns)
    writer.writerows(row_texts(row, columns) for row in rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "MAX_KEPT", 3)
        assert "".join(csv_lines(rows, "1.2")) == written.getvalue()
    assert "".join(csv_lines(rows, "1.2")) == written.getvalue()


def test_a_quantity_is_written_as_one_where_it_is_the_number_of_an_instant() -> None:
    call = focus_call(cost_e10=None, usage=(("input_tokens", OCCURRED_HOUR),))
    header, line = csv.reader(csv_lines(rows_of(call), "1.2"))
    values = dict(zip(header, line, strict=True))
    assert values["ChargePeriodStart"] == "2026-11-27T14:00:00Z"
    assert values["ConsumedQuantity"] == f"{OCCURRED_HOUR}.0"


def test_refuses_an_unknown_version() -> None:
    with pytest.raises(FocusError):
        list(csv_lines([], "2.0"))
