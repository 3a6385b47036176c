"""Every check of docs/security.md has a test that is marked with its number."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "docs" / "security.md"
NUMBERS = range(1, 47)
TO_COME: frozenset[int] = frozenset()
"""Checks of what is being built; a number leaves when its test arrives."""


def marks(path: Path) -> Iterator[int]:
    """The numbers of the `pytest.mark.check` in a file."""
    text = path.read_text(encoding="utf-8")
    if "mark.check(" not in text:
        return
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "check"
            and isinstance(node.func.value, ast.Attribute)
            and node.func.value.attr == "mark"
        ):
            number = node.args[0]
            if isinstance(number, ast.Constant) and isinstance(number.value, int):
                yield number.value


def proofs() -> dict[int, list[str]]:
    """The test modules of each check."""
    found: dict[int, set[str]] = {}
    for path in TESTS.rglob("test_*.py"):
        for number in marks(path):
            found.setdefault(number, set()).add(str(path.relative_to(TESTS.parent)))
    return {number: sorted(paths) for number, paths in found.items()}


def page_rows() -> dict[int, list[str]]:
    """The modules that the page names for each check."""
    rows: dict[int, list[str]] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        match = re.match(r"\| (\d+) \|", line)
        if match:
            rows[int(match[1])] = re.findall(r"`(tests/[^`]+\.py)`", line)
    return rows


def test_every_check_has_a_test_or_is_still_to_come() -> None:
    missing = [n for n in NUMBERS if n not in proofs() and n not in TO_COME]
    assert missing == []


def test_there_are_no_other_numbers() -> None:
    assert set(proofs()) <= set(NUMBERS)


def test_the_page_lists_every_check_and_only_modules_that_prove_it() -> None:
    found, rows = proofs(), page_rows()
    assert sorted(rows) == list(NUMBERS)
    for number, named in rows.items():
        assert set(named) <= set(found.get(number, ())), number
        if number not in TO_COME:
            assert named, f"{number}: run tools/docs/security.py"
