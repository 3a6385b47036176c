"""Pages are read ahead, in order, one at a time, and no further than they are wanted."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from llm_cost_ops.server.analytics.prefetch import prefetched
from llm_cost_ops.server.http import request_id


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_pages_come_in_their_order(count: int) -> None:
    assert list(prefetched(iter(range(1, count + 1)))) == list(range(1, count + 1))


def test_the_next_page_is_made_while_one_is_used() -> None:
    made = threading.Event()

    def pages() -> Iterator[str]:
        yield "first"
        made.set()
        yield "second"

    found = prefetched(pages())
    assert next(found) == "first"
    assert made.wait(10)
    assert list(found) == ["second"]


def test_what_is_logged_of_a_page_names_the_request() -> None:
    def pages() -> Iterator[str]:
        for _ in range(3):
            yield request_id.current.get()

    token = request_id.current.set("req_of_the_export")
    try:
        found = prefetched(pages())
        first = next(found)
    finally:
        request_id.current.reset(token)
    assert [first, *found] == ["req_of_the_export"] * 3


def test_what_fails_fails_where_its_page_would_be() -> None:
    def pages() -> Iterator[str]:
        yield "first"
        raise OSError("the disk")

    found = prefetched(pages())
    assert next(found) == "first"
    with pytest.raises(OSError, match="the disk"):
        next(found)


def test_who_gives_up_waits_for_no_page_and_has_no_other_made() -> None:
    made: list[int] = []
    slow, ended = threading.Event(), threading.Event()

    def pages() -> Iterator[int]:
        try:
            for page in range(1, 100):
                made.append(page)
                if page == 2:
                    slow.wait(30)
                yield page
        finally:
            ended.set()

    found = prefetched(pages())
    assert next(found) == 1
    del found
    assert not slow.is_set()
    slow.set()
    assert ended.wait(10)
    assert made in ([1], [1, 2])
