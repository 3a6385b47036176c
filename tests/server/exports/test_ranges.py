"""Ranges of bytes, both sides of each boundary."""

from __future__ import annotations

import pytest

from llm_cost_ops.server.exports.ranges import Span, Unsatisfiable, span_of

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("bytes=0-", Span(0, 10)),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=3-5", Span(3, 6)),
        ("bytes=9-", Span(9, 10)),
        ("bytes=3-9", Span(3, 10)),
        ("bytes=3-10", Span(3, 10)),
        ("bytes=0-99999999999999999", Span(0, 10)),
        ("bytes=-1", Span(9, 10)),
        ("bytes=-10", Span(0, 10)),
        ("bytes=-11", Span(0, 10)),
        (None, None),
        ("bytes=-", None),
        ("bytes=5-3", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
        ("bytes=٣-", None),
        ("bytes=0-9999999999999999999", None),
    ],
)
def test_a_range(asked: str | None, found: Span | None) -> None:
    assert span_of(asked, None, ETAG, 10) == found


@pytest.mark.parametrize(("asked", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=-1", 0)])
def test_a_range_behind_the_end(asked: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        span_of(asked, None, ETAG, size)


@pytest.mark.parametrize(
    ("condition", "kept"),
    [(None, True), (ETAG, True), ('"abd"', False), (f"W/{ETAG}", False),
     ("Sat, 28 Nov 2026 12:00:00 GMT", False)],
)  # fmt: skip
def test_a_part_of_another_file_is_no_part_of_this(condition: str | None, kept: bool) -> None:
    assert (span_of("bytes=3-", condition, ETAG, 10) is not None) is kept


def test_the_header_names_the_last_byte() -> None:
    assert Span(3, 6).header(10) == "bytes 3-5/10"
