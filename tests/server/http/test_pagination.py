"""All paging families give the same pages; a cursor belongs to one query."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.server.http.pagination import (
    CursorError,
    PageRequest,
    decode_cursor,
    encode_cursor,
    page_answer,
    page_request,
)
from llm_cost_ops.server.http.problems import Problem

KINDS = (int, str)
SUBJECT = "costs:org-a:-timestamp"


def asked(**query: str) -> PageRequest:
    return page_request(query, SUBJECT, KINDS)


@pytest.mark.parametrize(
    ("query", "limit", "offset"),
    [
        ({}, 100, 0),
        ({"limit": "10"}, 10, 0),
        ({"limit": "10", "offset": "30"}, 10, 30),
        ({"page": "4", "per_page": "10"}, 10, 30),
        ({"page": "4", "page_size": "10"}, 10, 30),
        ({"page": "1"}, 100, 0),
        ({"limit": "1000"}, 1000, 0),
        ({"limit": "1001"}, 1000, 0),
        ({"limit": "1000000"}, 1000, 0),
        ({"per_page": "10", "limit": "10"}, 10, 0),
        ({"page": "4", "per_page": "10", "offset": "30"}, 10, 30),
    ],
)
def test_families(query: dict[str, str], limit: int, offset: int) -> None:
    request = asked(**query)
    assert (request.limit, request.offset, request.position) == (limit, offset, None)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "1.5"}, "limit"),
        ({"limit": "1e3"}, "limit"),
        ({"limit": "١٠"}, "limit"),
        ({"limit": ""}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"page": "0"}, "page"),
        ({"page": "x"}, "page"),
        ({"offset": "-1"}, "offset"),
        ({"offset": "1000001"}, "offset"),
        ({"page": "10002"}, "page"),
        ({"limit": "10", "per_page": "20"}, "per_page"),
        ({"page": "2", "offset": "7"}, "offset"),
        ({"cursor": "x", "offset": "7"}, "cursor"),
        ({"cursor": "x", "page": "2"}, "cursor"),
        ({"cursor": "%%%"}, "cursor"),
        ({"cursor": "e30"}, "cursor"),
        ({"cursor": "a" * 3000}, "cursor"),
        ({"cursor": "é"}, "cursor"),
    ],
)
def test_a_wrong_value_is_named(query: dict[str, str], field: str) -> None:
    with pytest.raises(Problem) as caught:
        asked(**query)
    assert (caught.value.status, caught.value.code) == (422, "VALIDATION_ERROR")
    assert field in caught.value.field_errors


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(Problem) as caught:
        asked(limit="x", page="y", offset="z")
    assert set(caught.value.field_errors) == {"limit", "page", "offset"}


@pytest.mark.parametrize("extra", [{}, {"page": "1"}, {"offset": "0"}, {"limit": "7"}])
def test_a_cursor_goes_on_where_it_was_made(extra: dict[str, str]) -> None:
    cursor = encode_cursor(SUBJECT, [17, "usg_x"])
    assert asked(cursor=cursor, **extra).position == (17, "usg_x")


TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=100)


@given(st.integers(-(2**63), 2**63 - 1), TEXTS)
def test_any_position_survives(number: int, text: str) -> None:
    assert decode_cursor(encode_cursor(SUBJECT, [number, text]), SUBJECT, KINDS) == (number, text)


@given(st.text(max_size=200))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        position = decode_cursor(text, SUBJECT, KINDS)
    except CursorError as error:
        assert error.field == "cursor"  # noqa: PT017 - either outcome is fine
    else:
        assert len(position) == len(KINDS)


def test_a_cursor_of_another_query_is_refused() -> None:
    cursor = encode_cursor("costs:org-a:timestamp", [17, "usg_x"])
    with pytest.raises(CursorError, match="belongs to a query with other filters"):
        decode_cursor(cursor, SUBJECT, KINDS)


def forged(*position: object) -> str:
    genuine = encode_cursor(SUBJECT, [1, "x"])
    digest = json.loads(base64.urlsafe_b64decode(genuine + "=="))[1]
    return base64.urlsafe_b64encode(json.dumps([1, digest, *position]).encode()).decode()


@pytest.mark.parametrize(
    "position",
    [(), (1,), (1, "x", 2), ("1", "x"), (True, "x"), (1, 2), ([], "x"), ({}, "x"), (1.5, "x"),
     (2**63, "x"), (-(2**63) - 1, "x"), (1, "\x00")],
)  # fmt: skip
def test_a_forged_position_is_refused(position: tuple[object, ...]) -> None:
    with pytest.raises(CursorError):
        decode_cursor(forged(*position), SUBJECT, KINDS)


def test_null_is_a_position() -> None:
    assert decode_cursor(forged(None, "x"), SUBJECT, KINDS) == (None, "x")


def test_the_answer_has_the_documented_fields() -> None:
    page = page_answer([{"id": 1}], asked(page="3", per_page="10"), "next", total_cost=5)
    assert page == {
        "data": [{"id": 1}],
        "has_more": True,
        "next_cursor": "next",
        "pagination": {
            "limit": 10,
            "per_page": 10,
            "page_size": 10,
            "count": 1,
            "has_more": True,
            "next_cursor": "next",
            "offset": 20,
            "page": 3,
        },
        "total_cost": 5,
    }
    last = page_answer([], PageRequest(10, position=(1,)), None)
    assert (last["has_more"], last["next_cursor"]) == (False, None)
