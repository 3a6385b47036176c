"""Texts as cells of a CSV file that a spreadsheet does not take for formulas."""

from __future__ import annotations

import re
from collections.abc import Iterable

_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n", "\x00", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)
# A program that separates cells elsewhere than the file does begins one inside of a text. Numbers,
# such as those of a JSON list, are left as they are.
_INSIDE = re.compile(
    r"([,;\t\r\n] *)(?=[=@＝＋－＠]|[+-](?!\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?:[,;\t\r\n \]}]|$)))",
    re.ASCII,
)


def guarded(text: str) -> str:
    """A text that no spreadsheet takes for a formula: one that begins as those do is led by an
    apostrophe, and so is such a part behind a comma, a semicolon, a tab or a line's end. Numbers
    stay numbers; a NUL, which some readers end at, is left out."""
    text = _INSIDE.sub(r"\1'", text.replace("\x00", ""))
    if text[:1].isalnum():  # as nearly all begin
        return text
    if text.lstrip(" ").startswith(_BEGINS) and not _NUMBER.fullmatch(text):
        text = f"'{text}"
    return text


def cell(value: object) -> str:
    """A quoted cell, guarded; None is an empty cell."""
    return "" if value is None else quoted(str(value))


def quoted(text: str) -> str:
    """A text as a quoted cell, guarded."""
    if text.replace("_", "").isalnum():  # an id: nothing in it means anything
        return f'"{text}"'
    escaped = guarded(text).replace('"', '""')
    return f'"{escaped}"'


def line(values: Iterable[object]) -> str:
    """A line of cells with its end (CRLF, RFC 4180)."""
    return ",".join(cell(value) for value in values) + "\r\n"
