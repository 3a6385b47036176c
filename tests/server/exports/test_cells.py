"""CSV by whole columns is byte for byte the CSV that is written value by value."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Callable, Sequence
from datetime import tzinfo
from decimal import Decimal
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.money import from_e10
from llm_cost_ops.server.db.joined import ABSENT, SEPARATOR, Joined, JoinedRows
from llm_cost_ops.server.exports.arrow import write_arrow, write_parquet
from llm_cost_ops.server.exports.columns import Column, Exported, Kind
from llm_cost_ops.server.exports.text import Locale, write_csv, write_jsonl
from llm_cost_ops.server.exports.totals import Totals

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


def without_arrow(*arguments: Any, make: Callable[..., bytes] = written) -> bytes:
    real = importlib.import_module

    def missing(name: str, package: str | None = None) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, package)

    with pytest.MonkeyPatch.context() as without:
        without.setattr(importlib, "import_module", missing)
        return make(*arguments)


JOINABLE = tuple(column for column in COLUMNS if column.kind is not Kind.NUMBER)
safe = st.text(st.characters(codec="utf-8", exclude_characters=SEPARATOR + ABSENT), max_size=6)
stored = st.integers(-(2**63), 2**63 - 1)
known = st.tuples(*(st.none() | each for each in (safe, safe, stored, stored, instants)))


def joined(found: Sequence[Sequence[Any]]) -> JoinedRows:
    """The rows as SQLite joins them."""
    columns: list[Joined] = []
    for values, column in zip(zip(*found, strict=True), JOINABLE, strict=True):
        parts = [ABSENT if value is None else str(value) for value in values]
        there = len(values) - values.count(None)
        whole = column.kind not in (Kind.TEXT, Kind.JSON)
        columns.append(Joined(SEPARATOR.join(parts), len(values), there, whole))
    return JoinedRows(columns)


@given(
    st.lists(st.sampled_from([1, 25]), max_size=3),
    st.lists(known, min_size=1, max_size=20),
    st.sampled_from(LOCALES),
    st.sampled_from(ZONES),
)
def test_rows_that_were_joined_are_written_alike(
    times: list[int], found: list[Sequence[Any]], locale: Locale, zone: tzinfo | None
) -> None:
    batches = [found, *(found * n for n in times)]
    ways = [batches, [*map(joined, batches)]]
    tables = [Exported("x", JOINABLE, iter(way)) for way in ways]
    rows, columns = (b"".join(write_csv(table, zone, locale)) for table in tables)
    assert columns == rows
    for write in (write_parquet, write_arrow, partial(write_jsonl, zone=zone)):
        tables = [Exported("x", JOINABLE, iter(way)) for way in ways]
        rows, columns = (b"".join(write(table)) for table in tables)
        assert columns == rows


@pytest.mark.parametrize("units", [2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**70])
def test_amounts_beyond_64_bits_are_exact_in_parquet(units: int) -> None:
    table = Exported("x", (Column("total_cost", Kind.MONEY),), iter([[(units,), (None,)]]))
    found = pq.read_table(io.BytesIO(b"".join(write_parquet(table))))
    assert found.to_pylist() == [{"total_cost": from_e10(units)}, {"total_cost": None}]


def test_totals_are_those_of_the_rows() -> None:
    columns = (
        Column("currency", Kind.TEXT), Column("cost_status", Kind.TEXT),
        Column("requests", Kind.COUNT), Column("total_cost", Kind.MONEY),
        Column("timestamp", Kind.INSTANT),
    )  # fmt: skip
    found = [
        ("USD", "priced", 1, 10**12, 0), ("EUR", "unpriced", 2, None, 0),
        ("USD", "partially_priced", 3, -5, 0), (None, None, 4, 7, 0),
    ]  # fmt: skip
    told: list[object] = []
    for batches in ([found], [joined(found)], [joined([row]) for row in found], [[], found]):
        totals = Totals(Exported("x", columns, iter(())))
        for batch in batches:
            totals.add(batch)
        assert totals.rows_written == 4
        told.append(totals.wire())
    assert told == [told[0]] * 4
    assert told[0] == [
        {
            "currency": currency, "requests": requests, "total_cost": cost,
            "unpriced_count": unpriced, "partially_priced_count": partly,
        }
        for currency, requests, cost, unpriced, partly in (
            (None, 4, Decimal("7E-10"), 0, 0), ("EUR", 2, None, 1, 0),
            ("USD", 4, Decimal("99.9999999995"), 0, 1),
        )
    ]  # fmt: skip


strings = st.one_of(
    st.lists(st.sampled_from(["a", '"', "\\", "/", "\x00", "\x1f", "\x7f", "\n", "é", "😀"])).map(
        "".join
    ),
    st.text(st.characters(codec="utf-8"), max_size=4),
)
documents = st.recursive(
    st.none() | st.booleans() | strings | st.integers(-(2**53), 2**53),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(strings, inner, max_size=2),
    max_leaves=4,
).map(lambda found: json.dumps(found, ensure_ascii=False, indent=1))
objects = st.tuples(
    *(st.none() | each for each in (strings, documents, counts, amounts, numbers, instants))
)


def in_json(batches: Sequence[Sequence[Sequence[Any]]], zone: tzinfo | None) -> bytes:
    return b"".join(write_jsonl(Exported("x", COLUMNS, iter(batches)), zone))


@given(st.lists(objects, min_size=1, max_size=12), st.sampled_from([1, 25]), st.sampled_from(ZONES))
def test_lines_of_json_by_columns_are_those_of_values(
    found: list[Sequence[Any]], times: int, zone: tzinfo | None
) -> None:
    batches = [found * times, [], found[:1]]
    made = in_json(batches, zone)
    assert made == without_arrow(batches, zone, make=in_json)
    lines = [json.loads(line, parse_float=Decimal) for line in made.decode().split("\n")[:-1]]
    assert len(lines) == len(found) * times + 1
    for (text_, document, count, units, number, _), line in zip(found * times, lines, strict=False):
        assert (line["text"], line["count"]) == (text_, count)
        assert line["json"] == (None if document is None else json.loads(document))
        assert line["money"] == (None if units is None else from_e10(units))
        assert line["number"] == number


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
    for times in (1, 50):
        table = Exported("x", COLUMNS[:1], iter([[(value,)] * times]))
        head, *lines = b"".join(write_csv(table, None, Locale())).split(b"\r\n")
        assert (head, lines) == (b"text", [cell] * times + [b""])


def test_instants_and_amounts_at_their_ends() -> None:
    plain = ([0, 1, 86_399_999_999, _YEAR_9999_US], [0, -1, 10**10, 2**63 - 1])
    columns = COLUMNS[3:4] + COLUMNS[5:]
    table = Exported("x", columns, iter([list(zip(plain[1], plain[0], strict=True))]))
    assert b"".join(write_csv(table, None, Locale())).decode().split()[1:] == [
        "0,1970-01-01T00:00:00Z",
        "-0.0000000001,1970-01-01T00:00:00.000001Z",
        "1,1970-01-01T23:59:59.999999Z",
        "922337203.6854775807,9999-12-31T23:59:59.999999Z",
    ]
