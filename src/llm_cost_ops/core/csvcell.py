"""Texts as cells of a CSV file that a spreadsheet does not take for formulas."""

from __future__ import annotations

import re
from collections.abc import Iterable

_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n", "\x00", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)


def guarded(text: str) -> str:
    """A text that no spreadsheet takes for a formula: one that begins as those do is led by an
    apostrophe. Numbers stay numbers; a NUL, which some readers end at, is left out."""
    if text[:1].isalnum():  # as nearly all begin
        return text.replace("\x00", "") if "\x00" in text else text
    if text.lstrip(" ").startswith(_BEGINS) and not _NUMBER.fullmatch(text):
        text = f"'{text}"
    return text.replace("\x00", "")


def cell(value: object) -> str:
    """A quoted cell, guarded; None is an empty cell."""
    if value is None:
        return ""
    escaped = guarded(str(value)).replace('"', '""')
    return f'"{escaped}"'


def line(values: Iterable[object]) -> str:
    """A line of cells with its end (CRLF, RFC 4180)."""
    return ",".join(cell(value) for value in values) + "\r\n"
