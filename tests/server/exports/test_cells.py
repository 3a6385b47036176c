"""CSV by whole columns is byte for byte the CSV that is written value by value."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.server.exports import text
from llm_cost_ops.server.exports.cells import Cells
from llm_cost_ops.server.exports.columns import Column, Exported, Kind
from llm_cost_ops.server.exports.text import Locale, write_csv

KINDS = (Kind.TEXT, Kind.JSON, Kind.COUNT, Kind.MONEY, Kind.NUMBER, Kind.INSTANT)
COLUMNS = tuple(Column(kind.value, kind) for kind in KINDS)
LOCALES = (Locale(), Locale(";", ","), Locale("\t", ".", mark=True))
ZONES = (None, ZoneInfo("Europe/Berlin"))
_YEAR_9999_US = 253_402_300_799_999_999
_LATEST = _YEAR_9999_US - 86_400_000_000

signs = st.sampled_from(
    ["=", "+", "-", "@", "＝", "＋", "－", "＠", '"', "'", ",", ";", "\t", "\r\n"]
)
pieces = st.one_of(signs, st.sampled_from([" ", "\x00", "a", "1", ".5", "e3", "]", "}"]), st.text())
texts = st.one_of(
    st.from_regex(r"[a-z0-9_-]{1,12}", fullmatch=True),
    st.lists(pieces, max_size=6).map("".join),
    st.text(st.characters(codec=None), max_size=4),
)
counts = st.one_of(st.integers(0, 9), st.integers(-(2**70), 2**70))
amounts = st.one_of(st.integers(-(10**12), 10**12), st.integers(-(2**70), 2**70))
numbers = st.decimals(allow_nan=False, allow_infinity=False, places=12)
instants = st.one_of(
    st.integers(0, _LATEST),
    st.integers(0, 10**6).map(lambda s: s * 10**6),
    st.integers(-(10**15), 0),
)
rows = st.tuples(*(st.none() | each for each in (texts, texts, counts, amounts, numbers, instants)))


def written(
    batches: Sequence[Sequence[Sequence[Any]]], locale: Locale, zone: tzinfo | None
) -> bytes:
    table = Exported("x", COLUMNS, iter(batches))
    return b"".join(write_csv(table, zone, locale))


@given(st.lists(rows, min_size=1, max_size=60), st.sampled_from(LOCALES), st.sampled_from(ZONES))
def test_columns_are_written_as_values_are(
    found: list[Sequence[Any]], locale: Locale, zone: tzinfo | None
) -> None:
    batches = [found, found[:1]]
    assert written(batches, locale, zone) == without_arrow(batches, locale, zone)


def without_arrow(*arguments: Any) -> bytes:
    real = importlib.import_module

    def missing(name: str, package: str | None = None) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, package)

    with pytest.MonkeyPatch.context() as without:
        without.setattr(importlib, "import_module", missing)
        return written(*arguments)


@given(st.lists(texts, min_size=30, max_size=60), st.sampled_from([1, 25]))
def test_texts_are_quoted_alike_whether_many_or_few_differ(found: list[str], times: int) -> None:
    batches = [[(value, value, 1, 1, None, 1) for value in found] * times]
    assert written(batches, LOCALES[0], None) == without_arrow(batches, LOCALES[0], None)


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", b'"\'=1+1"'),
        ("a,=1", b'"a,\'=1"'),
        ("  @a", b'"\'  @a"'),
        ("\t1", b'"\'\t1"'),
        ("a\x00b", b'"ab"'),
        ("[-1,-2]", b'"[-1,-2]"'),
        ('a"b', b'"a""b"'),
        ("\ud800", b'"?"'),
        ("é€😀", '"é€😀"'.encode()),
    ],
)
def test_what_stands_in_a_cell(value: str, cell: bytes) -> None:
    cells = Cells(COLUMNS[:1], [text.quoted], ",", plain=True)
    assert cells.lines([[value]]) == cell + b"\r\n"
    assert cells.lines([[value] * 50]) == (cell + b"\r\n") * 50


def test_instants_and_amounts_at_their_ends() -> None:
    plain = ([0, 1, 86_399_999_999, _YEAR_9999_US], [0, -1, 10**10, 2**63 - 1])
    cells = Cells(COLUMNS[3:4] + COLUMNS[5:], [str, str], ",", plain=True)
    assert cells.lines([plain[1], plain[0]]).decode().split() == [
        "0,1970-01-01T00:00:00Z",
        "-0.0000000001,1970-01-01T00:00:00.000001Z",
        "1,1970-01-01T23:59:59.999999Z",
        "922337203.6854775807,9999-12-31T23:59:59.999999Z",
    ]
