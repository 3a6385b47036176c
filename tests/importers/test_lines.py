"""Bounded lines, strict JSON, streamed arrays and text streams."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops import importers
from llm_cost_ops.importers import ImportFormatError, ImportOptions, ImportProblem
from llm_cost_ops.importers.jsonvalues import is_line_oriented, json_values
from llm_cost_ops.importers.lines import binary, bounded_lines, json_lines
from tests.importers.reading import items_of, split

ROW = '{"event_id": "a", "provider": "openai", "model": "gpt-5.4", "prompt_tokens": 1}'


def stream(data: bytes) -> io.BytesIO:
    return io.BytesIO(data)


class TestBoundedLines:
    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
    def test_a_line_of_exactly_the_limit_is_read_and_one_longer_is_not(self, end: bytes) -> None:
        data = b"x" * 10 + b"\n" + b"y" * 11 + end
        (first, second) = list(bounded_lines(binary(stream(data)), 10))
        assert first == (1, b"x" * 10)
        assert isinstance(second, ImportProblem)
        assert second.line == 2
        assert "longer than 10 bytes" in second.message

    def test_reading_goes_on_after_a_long_line(self) -> None:
        data = b"z" * 700_000 + b"\nshort\n"
        got = list(bounded_lines(binary(stream(data)), 100))
        assert got[1] == (2, b"short")

    def test_bad_lines_are_problems_and_do_not_end_the_file(self) -> None:
        lines = [
            ROW,
            '{"a": 1, "a": 2}',
            '{"a": NaN}',
            '{"a": -Infinity}',
            "[1]",
            "{" * 70 + "}" * 70,
            '{"a": ' + "[" * 70 + "]" * 70 + "}",
            '{"a": "\\ud800"}',
            '{"a": 1e999999}',
            "not json",
            "",
            ROW,
        ]
        records, problems = split(items_of("\n".join(lines), "jsonl"))
        assert len(records) == 2
        assert [problem.line for problem in problems] == [2, 3, 4, 5, 6, 7, 8, 9, 10]
        assert not any(problem.skipped for problem in problems)

    def test_bytes_that_are_no_utf8_are_a_problem_of_their_line(self) -> None:
        records, problems = split(items_of(b'{"a": "\xff"}\n' + ROW.encode(), "jsonl"))
        assert len(records) == 1
        assert problems == [ImportProblem(1, None, "the line is not UTF-8")]


class TestOpening:
    def test_a_byte_order_mark_is_no_part_of_the_first_line(self) -> None:
        records, problems = split(items_of(b"\xef\xbb\xbf" + ROW.encode(), "jsonl"))
        assert (len(records), problems) == (1, [])

    def test_a_text_stream_gives_the_same(self) -> None:
        text = ROW.replace('"a"', '"é"') + "\n" + ROW
        got = list(importers.read(io.StringIO(text), format="jsonl"))
        assert got == items_of(text, "jsonl")

    def test_the_callers_stream_stays_open(self) -> None:
        body = stream(b"a,b\n1,2\n")
        with pytest.raises(ImportFormatError):
            list(importers.read(body, format="csv"))
        assert not body.closed

    def test_an_unknown_format_is_refused_with_the_known_ones(self) -> None:
        with pytest.raises(ImportFormatError, match="claude-code"):
            importers.read(stream(b""), format="xml")


class TestValues:
    @given(
        rows=st.lists(
            st.dictionaries(
                st.text(max_size=5), st.text(max_size=20) | st.integers() | st.none(), max_size=4
            ),
            max_size=30,
        ),
        indent=st.sampled_from([None, 1]),
        wrap=st.booleans(),
    )
    def test_elements_come_out_as_they_went_in(
        self, rows: list[dict[str, object]], indent: int | None, wrap: bool
    ) -> None:
        value: object = (
            {"note": [1, {"data": []}], "records": rows, "has_more": False} if wrap else rows
        )
        text = json.dumps(value, indent=indent)
        got = list(json_values(binary(stream(text.encode())), 10_000))
        assert [item.row for item in got if not isinstance(item, ImportProblem)] == rows

    @pytest.mark.parametrize("size", [262_100, 262_144, 262_200, 700_000])
    def test_elements_across_the_chunks_of_the_reader(self, size: int) -> None:
        rows = [{"id": n, "text": "é" * (size // 2)} for n in range(3)]
        data = json.dumps(rows, ensure_ascii=False).encode()
        got = list(json_values(binary(stream(data)), 2_000_000))
        assert [item.row for item in got if not isinstance(item, ImportProblem)] == rows

    def test_lines_are_those_where_the_elements_begin(self) -> None:
        text = '[\n {"a": 1},\n\n {"b":\n 2}, {"c": 3}\n]\n'
        got = list(json_values(binary(stream(text.encode())), 1000))
        assert [item.line for item in got] == [2, 4, 5]

    def test_several_values_one_after_the_other(self) -> None:
        text = '[{"a": 1}] {"records": [{"b": 2}]}\n{"c": 3}{"d": 4}'
        got = list(json_values(binary(stream(text.encode())), 1000))
        rows = [item.row for item in got if not isinstance(item, ImportProblem)]
        assert rows == [{"a": 1}, {"b": 2}, {"c": 3}, {"d": 4}]

    @pytest.mark.parametrize(
        ("text", "read"),
        [
            ('[{"a": 1}, {"b": 2', 1),
            ('[{"a": 1}, oops, {"b": 2}]', 1),
            ('[{"a": 1} {"b": 2}]', 1),
            ("hello", 0),
            ('[{"a": 1}], 5', 1),
            ('[{"a": "\xff"}]', 0),
        ],
    )
    def test_broken_text_ends_with_a_problem(self, text: str, read: int) -> None:
        got = list(json_values(binary(stream(text.encode("latin-1"))), 1000))
        assert len(got) == read + 1
        assert isinstance(got[-1], ImportProblem)
        assert "the rest of the file was not read" in got[-1].message

    def test_an_element_over_the_limit_ends_the_reading(self) -> None:
        text = json.dumps([{"a": "x" * 3_000_000}])
        (problem,) = json_values(binary(stream(text.encode())), 100_000)
        assert isinstance(problem, ImportProblem)

    @pytest.mark.parametrize(
        ("head", "lines"),
        [
            (b'{"a": 1}\n{"a": 2}\n', True),
            (b'{"a": 1}', True),
            (b'{"records": [{"a": 1}]}', False),
            (b'{\n"a": 1}', False),
            (b"[\n{}]", False),
            (b'{"a": 1,, }\n{"a": 2}\n', True),
        ],
    )
    def test_lines_or_values(self, head: bytes, lines: bool) -> None:
        assert is_line_oriented(head) is lines


class _Endless(io.RawIOBase):
    """Bytes made as they are read, so that the test itself holds none."""

    def __init__(self, first: bytes, again: bytes, last: bytes, times: int) -> None:
        self._parts = self._made(first, again, last, times)
        self._left = b""

    @staticmethod
    def _made(first: bytes, again: bytes, last: bytes, times: int) -> Iterator[bytes]:
        yield first
        for _ in range(times // 100):
            yield again * 100
        yield last

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        while len(self._left) < size and (part := next(self._parts, b"")):
            self._left += part
        out, self._left = self._left[:size], self._left[size:]
        return out


@pytest.mark.parametrize(
    ("format", "parts"),
    [
        ("jsonl", (b"", ROW.encode() + b"\n", b"")),
        ("json", (b"[" + ROW.encode(), b"," + ROW.encode(), b"]")),
        ("csv", (b"event_id,provider,model,prompt_tokens\n", b"e,openai,gpt-5.4,12\n", b"")),
    ],
)
def test_memory_does_not_grow_with_the_file(format: str, parts: tuple[bytes, bytes, bytes]) -> None:
    body = _Endless(*parts, times=60_000)
    tracemalloc.start()
    try:
        count = sum(1 for _ in importers.read(body, format=format, options=ImportOptions()))  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count >= 60_000
    assert peak < 4_000_000


def test_json_lines_keep_numbers_exact() -> None:
    (row,) = json_lines(binary(stream(b'{"x": 0.1, "y": 12345678901234567890}\n')), 100)
    assert not isinstance(row, ImportProblem)
    assert [str(value) for value in row.row.values()] == ["0.1", "12345678901234567890"]
