"""Texts as cells of a CSV file that a spreadsheet does not take for formulas."""

from __future__ import annotations

import re
from collections.abc import Iterable

_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n", "\x00", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)


def cell(value: object) -> str:
    """A quoted cell. A text that begins as a formula does is led by an apostrophe; numbers stay
    numbers, and None is an empty cell."""
    if value is None:
        return ""
    text = str(value)
    led = text.lstrip(" ")
    if led.startswith(_BEGINS) and not _NUMBER.fullmatch(text):
        text = f"'{text}"
    escaped = text.replace("\x00", "").replace('"', '""')
    return f'"{escaped}"'


def line(values: Iterable[object]) -> str:
    """A line of cells with its end (CRLF, RFC 4180)."""
    return ",".join(cell(value) for value in values) + "\r\n"
