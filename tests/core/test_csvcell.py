"""Cells that a spreadsheet does not take for formulas."""

from __future__ import annotations

import pytest

from llm_cost_ops.core.csvcell import cell, line

pytestmark = pytest.mark.check(10)


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+A1", "-A1", "@x", "\t1", "\r1", "\n1", "  =1", "＝1", "＋1", "－1", "＠1"],
)
def test_what_begins_as_a_formula_is_led_by_an_apostrophe(text: str) -> None:
    assert cell(text) == f'"\'{text}"'


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("\t=1", "'\t'=1"),
        ("\r\n=1", "'\r\n'=1"),
        ("a;=1", "a;'=1"),
        ("a, @x", "a, '@x"),
        ("a\n-A1", "a\n'-A1"),
        ("a;=1;+B2", "a;'=1;'+B2"),
        ("[1,-2, +3]", "[1,-2, +3]"),
        ("a,-2", "a,-2"),
        ("a-b", "a-b"),
    ],
)
def test_what_another_separator_makes_a_cell_is_led_too(text: str, written: str) -> None:
    assert cell(text) == f'"{written}"'


def test_nul_is_left_out_and_its_text_is_led() -> None:
    assert cell("\x00=1") == '"\'=1"'


@pytest.mark.parametrize("text", ["-1", "+1", "-12.50", "0", "a=1", "", "plain"])
def test_numbers_and_other_texts_stay(text: str) -> None:
    assert cell(text) == f'"{text}"'


def test_quotes_are_doubled_and_none_is_empty() -> None:
    assert line(['a"b', None, -1, "c\nd"]) == '"a""b",,"-1","c\nd"\r\n'
